"""Audits: every file of a dataset is checked before training, and called good, suspect or wrong.

An audit is one file here with one `@AUDITS.register(name)` function, and one line below.
"""

from fetal_tf.data.audit import fetal_head_biometry as fetal_head_biometry
from fetal_tf.data.audit import focus as focus
from fetal_tf.data.audit import hc18 as hc18
from fetal_tf.data.audit import landmarks as landmarks
from fetal_tf.data.audit import planes as planes
from fetal_tf.data.audit.audit import AUDITS as AUDITS
