"""A label map of ellipses: brain, cavum and one ventricle."""

import numpy as np

from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise

CLASSES = ("background", "brain", "csp", "lv")
SHAPE = (240, 320)
BRAIN = Ellipse(160, 120, 110, 84, 15)
CSP = Ellipse(105, 105, 14, 8, 15)
LV = Ellipse(210, 150, 24, 11, 35)


def painted(*parts, shape=SHAPE):
    """Label map from (class index, ellipse) in order."""
    labels = np.zeros(shape, np.uint8)
    for index, ellipse in parts:
        labels[rasterise(ellipse, shape)] = index
    return labels


TRUTH = painted((1, BRAIN), (2, CSP), (3, LV))
