"""The registry of audits: an audit takes the root of a dataset and only reads."""

from fetal_tf.config.registry import Registry
from fetal_tf.data.audit.audit import Audit

AUDITS: Registry[Audit] = Registry("audit")
