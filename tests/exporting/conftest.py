"""What these tests convert and compare is TensorFlow on the CPU, as in the commands."""

from fetal_tf.cli.launching import use_tensorflow_on_cpu

use_tensorflow_on_cpu()
