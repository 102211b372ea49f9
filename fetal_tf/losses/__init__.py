"""Keras losses by name, and the arithmetic that they share with metrics.

All but `l1_smooth_l1` and `wing` take `y_true` (N, H, W, K), fractional coverage 0..1, and `y_pred`
of the same shape, probabilities. `keras.losses.Loss` casts both to float32 before `call`, so sums
over large frames and tiny probabilities hold under mixed precision too.

A loss is a class or function with `@LOSSES.register(name)` in one of the files below.
"""

from fetal_tf.losses import classes as classes
from fetal_tf.losses import coordinates as coordinates
from fetal_tf.losses import head_axis as head_axis
from fetal_tf.losses import landmark_maps as landmark_maps
from fetal_tf.losses import masks as masks
from fetal_tf.losses import reconstruction as reconstruction
from fetal_tf.losses.registry import LOSSES as LOSSES
