"""Tasks: what a target is, how an output is judged and drawn. One file and one line each."""

from fetal_tf.registry import Registry
from fetal_tf.tasks.task import Task

TASKS: Registry[Task] = Registry("task")

from fetal_tf.tasks import four_chamber as four_chamber  # noqa: E402  (they register themselves)
from fetal_tf.tasks import head_axis as head_axis  # noqa: E402
from fetal_tf.tasks import landmarks as landmarks  # noqa: E402
from fetal_tf.tasks import reconstruction as reconstruction  # noqa: E402
from fetal_tf.tasks import segmentation as segmentation  # noqa: E402
from fetal_tf.tasks import structures as structures  # noqa: E402
