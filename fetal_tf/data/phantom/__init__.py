"""Phantoms: generated frames with exact truth, in the layout of a real dataset.

A phantom is one file here with one `@PHANTOMS.register(name)` function, and one line below.
"""

from fetal_tf.data.phantom import brain as brain
from fetal_tf.data.phantom import focus as focus
from fetal_tf.data.phantom import hc18 as hc18
from fetal_tf.data.phantom import landmarks as landmarks
from fetal_tf.data.phantom import planes as planes
from fetal_tf.data.phantom.registry import PHANTOMS as PHANTOMS
