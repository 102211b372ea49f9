"""The registry of tasks."""

from fetal_tf.config.registry import Registry
from fetal_tf.tasks.task import Task

TASKS: Registry[Task] = Registry("task")
