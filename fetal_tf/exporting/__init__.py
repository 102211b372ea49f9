"""From a run to a bundle: `python -m export RUN`.

Conversion, calibration, parity, benchmark, model card. Nothing here runs on the tablet; what the
tablet needs is `fetal_tf.edge`.
"""

import os

# Before anything imports TensorFlow or Keras:
# - a .keras file loads on every backend, but TFLite and tf2onnx convert TensorFlow graphs only;
os.environ["KERAS_BACKEND"] = "tensorflow"
# - parity and latency mean the CPU: a GPU's TF32 convolutions alone would break the float limits;
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
# - the converters' C++ logs would drown the tables.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
