"""Optional dependencies: which modules an extra brings, and the line that installs it."""

import importlib.util

from fetal_tf.edge.errors import MissingExtraError

# The modules of each extra in pyproject.toml.
EXTRAS = {
    "train": (
        "albumentations", "jinja2", "keras", "matplotlib", "pandas", "pydantic", "scipy",
        "tensorboard", "tensorflow", "yaml",
    ),
    "export": ("onnx", "onnxruntime", "tf2onnx"),
    "jax": ("jax",),
    "keras-cv": ("keras_cv",),
    "mlflow": ("mlflow",),
    "ray": ("ray",),
}  # fmt: skip


def missing_modules(extra: str) -> list[str]:
    """Those modules of an extra that are not installed."""
    return [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]


def require(extra: str) -> None:
    """Check an extra.

    Raises:
        MissingExtraError: with the pip line that installs it.
    """
    missing = missing_modules(extra)
    if missing:
        raise MissingExtraError(
            f'this needs {", ".join(missing)}; install with `pip install "fetal-tf[{extra}]"`, '
            f'in a checkout `pip install -e ".[{extra}]"`'
        )
