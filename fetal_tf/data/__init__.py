"""Readers, splits, augmentation and the tf.data pipeline.

A dataset is one file here with one `@DATASETS.register(name)` function that returns samples.
"""

from fetal_tf.data.sample import Sample
from fetal_tf.registry import Registry

DATASETS: Registry[list[Sample]] = Registry("dataset")

from fetal_tf.data import fetal_head_biometry as fetal_head_biometry  # noqa: E402  (registers itself)
from fetal_tf.data import focus as focus  # noqa: E402  (registers itself)
from fetal_tf.data import hc18 as hc18  # noqa: E402  (registers itself)
from fetal_tf.data import landmarks as landmarks  # noqa: E402  (registers itself)
from fetal_tf.data import planes as planes  # noqa: E402  (registers itself)
