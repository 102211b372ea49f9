"""Readers: turn the files of a dataset into samples.

A dataset is one file here with one `@DATASETS.register(name)` function, and one line below.
"""

from fetal_tf.data.readers import fetal_head_biometry as fetal_head_biometry
from fetal_tf.data.readers import focus as focus
from fetal_tf.data.readers import hc18 as hc18
from fetal_tf.data.readers import landmarks as landmarks
from fetal_tf.data.readers import planes as planes
from fetal_tf.data.readers.registry import DATASETS as DATASETS
