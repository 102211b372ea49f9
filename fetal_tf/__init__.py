"""fetal_tf: fetal ultrasound models that measure, from training to the tablet."""

__version__ = "0.1.0"
