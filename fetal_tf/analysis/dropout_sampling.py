"""Monte Carlo dropout: dropout stays on in inference, all other layers are as usual."""

import itertools
from collections.abc import Iterator

import keras

from fetal_tf.edge.errors import ConfigError

_KINDS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


class _AlwaysOn(keras.layers.Layer):
    """A dropout layer that also drops in inference."""

    def __init__(self, dropout: keras.layers.Layer, **kwargs):
        super().__init__(dtype=dropout.dtype_policy, **kwargs)
        self._dropout = dropout

    def call(self, inputs):
        return self._dropout(inputs, training=True)

    def compute_output_shape(self, input_shape):
        return input_shape


def with_dropout_on(model: keras.Model, seed: int) -> keras.Model:
    """Keep layers and weights, but turn every dropout layer on; batch norm keeps its averages.

    Two predictions of one image differ: each draws its own masks. Nested models are included.

    Args:
        model: a functional one; it is not changed.
        seed: of the masks.

    Raises:
        ConfigError: the model has no dropout.

    Source: Gal & Ghahramani 2016, ICML, arXiv 1506.02142.
    """
    if not any(_drops(layer) for layer in _leaves(model)):
        raise ConfigError(
            f"{model.name}: the model has no dropout, so its passes do not differ; take "
            "--method tta, or train it with dropout (model.dropout=0.2)"
        )
    seeds = itertools.count(seed)

    def on(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not _drops(layer):
            return layer
        twin = type(layer).from_config(layer.get_config() | {"seed": next(seeds)})
        return _AlwaysOn(twin, name=layer.name)

    return keras.models.clone_model(model, clone_function=on, recursive=True)


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _drops(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, _KINDS) and layer.rate > 0
