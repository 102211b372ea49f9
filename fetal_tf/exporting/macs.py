"""Multiply-accumulate operations of a Keras model, from its layers and their shapes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class MacCount:
    """Multiply-accumulates of one image.

    Attributes:
        total: the sum.
        by_layer: layer name → MACs, over all calls of that layer.
        uncounted: layers that hold a weight matrix but have no rule here; where this is not empty,
            `total` is a lower bound.
    """

    total: int
    by_layer: dict[str, int]
    uncounted: tuple[str, ...]


def count_macs(model: keras.Model) -> MacCount:
    """Count the multiply-accumulates of one image through a functional or sequential `model`.

    Counted: Conv2D (with groups), DepthwiseConv2D, SeparableConv2D, Conv2DTranspose, Dense; a layer
    that is called twice counts twice. Not counted, as is usual: biases, activations, normalisation
    (it folds into the convolution before it), pooling and resizing.
    """
    by_layer: dict[str, int] = {}
    uncounted: dict[str, None] = {}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, keras.Sequential):
            x = args[0]
            for inner in layer.layers:
                x = call(inner, x)
            return x
        if isinstance(layer, keras.Model):
            keras.models.clone_model(layer, input_tensors=args[0], call_function=call)
            return layer(*args, **kwargs)
        output = layer(*args, **kwargs)
        if rule := RULES.get(type(layer)):
            by_layer[layer.name] = by_layer.get(layer.name, 0) + rule(layer, args[0], output)
        elif any(len(w.shape) > 1 for w in getattr(layer, "weights", ())):
            uncounted[layer.name] = None
        return output

    image = keras.Input(batch_shape=(1, *model.input_shape[1:]))
    if isinstance(model, keras.Sequential):
        call(keras.models.clone_model(model), image)
    else:
        keras.models.clone_model(model, input_tensors=image, call_function=call)
    return MacCount(sum(by_layer.values()), by_layer, tuple(uncounted))


def _positions(tensor: Any) -> int:
    return math.prod(tensor.shape[1:-1])


def _convolution(layer: Any, _x: Any, y: Any) -> int:
    return _positions(y) * math.prod(layer.kernel.shape)


def _transposed_convolution(layer: Any, x: Any, _y: Any) -> int:
    """Each input pixel is multiplied by the whole kernel, also where "same" padding crops."""
    return _positions(x) * math.prod(layer.kernel.shape)


def _separable_convolution(layer: Any, _x: Any, y: Any) -> int:
    kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
    return _positions(y) * kernels


RULES: dict[type, Callable[[Any, Any, Any], int]] = {
    keras.layers.Conv2D: _convolution,
    keras.layers.DepthwiseConv2D: _convolution,
    keras.layers.Conv2DTranspose: _transposed_convolution,
    keras.layers.SeparableConv2D: _separable_convolution,
    keras.layers.Dense: _convolution,
}
