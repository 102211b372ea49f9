"""The registry of datasets: a reader takes a root and returns samples."""

from fetal_tf.config.registry import Registry
from fetal_tf.data.sample import Sample

DATASETS: Registry[list[Sample]] = Registry("dataset")
