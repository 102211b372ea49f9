"""Draw weights of the training frames, and the draw of partners for mixing."""

from collections.abc import Mapping, Sequence

import numpy as np

from fetal_tf.config.registry import nearest
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError, DataError


def oversampling_weights(samples: Sequence[Sample], factors: Mapping[str, float]) -> np.ndarray:
    """Draw weight of each sample: the factor of the structure it shows, 1 where it shows none.

    A frame that shows several of the structures gets the largest factor.

    Args:
        samples: of the training split.
        factors: structure → factor, for example `{"csp": 3, "lv": 3}`.

    Returns:
        float32 [len(samples)].

    Raises:
        DataError: the dataset does not say which structures its frames show.
        ConfigError: no training frame shows one of the structures.
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


def draw_partner(index: int, weights: np.ndarray, rng: np.random.Generator) -> int:
    """The index of another frame to mix frame `index` with, drawn in proportion to `weights`.

    Args:
        index: is never drawn itself.
        weights: float [n], above zero, n at least 2: those that the epoch's frames are drawn by.
        rng: the only source of chance.
    """
    chances = np.array(weights, np.float64)
    chances[index] = 0
    return int(rng.choice(len(chances), p=chances / chances.sum()))
