"""The default is never a format that failed."""

from fetal_tf.exporting.bundle_record import default_format
from fetal_tf.exporting.parity import Check, Parity


def parity(name, passed):
    return Parity(name, 1, [], 0, {}, checks=[Check("dice_delta_mean", 1.0, 0.0 if passed else 2)])


def test_default_is_the_preferred_format_that_passed():
    assert default_format({n: parity(n, True) for n in ("onnx", "float32", "int8")}) == "int8"
    some = {"int8": parity("int8", False), "float32": parity("float32", True)}
    assert default_format(some) == "float32"
    none = {"float32": parity("float32", False), "int8": parity("int8", False)}
    assert default_format(none) == "int8"
