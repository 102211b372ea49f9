"""Tasks: what a net learns, and how its output is scored and drawn. One file a task."""

from fetal_tf.tasks import four_chamber as four_chamber
from fetal_tf.tasks import head_axis as head_axis
from fetal_tf.tasks import landmarks as landmarks
from fetal_tf.tasks import reconstruction as reconstruction
from fetal_tf.tasks import segmentation as segmentation
from fetal_tf.tasks.registry import TASKS as TASKS
from fetal_tf.tasks.structures import structures as structures
