"""Which operators a model comes to in TFLite, 8-bit throughout."""

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter


def int8_operators(model: keras.Model) -> set[str]:
    """Operators of the converted model, after every norm was given something to fold."""
    shape = model.input_shape[1:]
    random = np.random.default_rng(0)
    for weight in model.weights:  # a fresh norm is the identity and would fold trivially
        if "_norm" in weight.path:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
    static_input = keras.Input(batch_shape=(1, *shape))
    converter = tf.lite.TFLiteConverter.from_keras_model(
        keras.Model(static_input, model(static_input))
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [random.integers(0, 256, (1, *shape)).astype(np.float32)] for _ in range(4)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    return {op["op_name"] for op in interpreter._get_ops_details()} - {"DELEGATE"}
