"""Which frames an epoch draws: each once, or those that show a rare structure more often."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from fetal_tf.config.registry import nearest
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError, DataError


def oversampling_weights(samples: Sequence[Sample], factors: Mapping[str, float]) -> np.ndarray:
    """How often each sample is drawn relative to one that shows none of `factors`' structures.

    A frame that shows several of them counts once, with the largest factor.

    Args:
        samples: of the training split.
        factors: structure → factor, for example `{"csp": 3, "lv": 3}`.

    Returns:
        float32 [len(samples)].

    Raises:
        DataError: the dataset does not tell what its frames show.
        ConfigError: a structure that no training frame shows.
    """
    unknown = [sample.id for sample in samples if sample.present is None]
    if unknown:
        raise DataError(
            f"sampler.oversample: the dataset does not say which structures {unknown[0]} and "
            f"{len(unknown) - 1} others show; leave the sampler out"
        )
    shown = sorted({name for sample in samples for name in sample.present or ()})
    for name in factors:
        if name not in shown:
            raise ConfigError(
                f"sampler.oversample.{name}: no training frame shows it{nearest(name, shown)}; "
                f"they show {', '.join(shown) or 'nothing'}"
            )
    return np.array(
        [max([factors.get(n, 1.0) for n in s.present or ()], default=1.0) for s in samples],
        np.float32,
    )


def systematic_draw(order: tf.Tensor, weights: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Draw `count` of `order` in proportion to `weights`, each its expected number of times ± 1.

    Systematic sampling: `count` equally spaced points, one random offset for all of them, on the
    cumulated weights. Independent draws would leave out a third of the frames of an epoch by
    chance; this leaves out only what its weight leaves out.

    Args:
        order: int32 [n], a shuffled order of indices.
        weights: float32 [n], by index, above zero.
        count: how many to draw.
        seed: int32 [2]; the same seed, the same draw.

    Returns:
        int32 [count], shuffled.
    """
    ends = tf.cumsum(tf.cast(tf.gather(weights, order), tf.float64))
    offset = tf.random.stateless_uniform([], seed=seed, dtype=tf.float64)
    points = (offset + tf.cast(tf.range(count), tf.float64)) * (ends[-1] / count)
    places = tf.minimum(tf.searchsorted(ends, points, side="right"), tf.size(order) - 1)
    return tf.random.experimental.stateless_shuffle(tf.gather(order, places), seed=seed)
