"""A config without the paths and addresses of the machine that it was written on."""

from pathlib import Path

from fetal_tf.config.tree import Config, MlflowConfig


def portable(config: Config) -> Config:
    """The config as it ships in a bundle.

    Absolute paths, and paths with `..`, are cut to their last name. The tracking server is left
    out, since its address says where somebody works.
    """
    init = config.model.init
    mixed = {
        name: source.model_copy(update={"root": _portable(source.root)})
        for name, source in config.data.mixed_with.items()
    }
    data = config.data.model_copy(update={"root": _portable(config.data.root), "mixed_with": mixed})
    model = config.model.model_copy(update={"init": init and _portable(init)})
    weights = (model.model_extra or {}).get("weights")
    if isinstance(weights, str):  # a file, or the name of a release
        model = model.model_copy(update={"weights": str(_portable(Path(weights)))})
    mlflow = config.mlflow.model_copy(update={"uri": MlflowConfig().uri})
    teacher = config.teacher
    if teacher is not None:
        # A bundle inside a run is always called `bundle`; the run has the telling name.
        bundles = [_portable(_run_of(path)) for path in teacher.bundles]
        teacher = teacher.model_copy(update={"bundles": bundles})
    refit = config.train.refit
    train = config.train.model_copy(update={"refit": refit and _portable(refit)})
    return config.model_copy(
        update={
            "data": data,
            "model": model,
            "teacher": teacher,
            "train": train,
            "mlflow": mlflow,
        }
    )


def _portable(path: Path) -> Path:
    elsewhere = path.is_absolute() or ".." in path.parts
    return Path(path.name) if elsewhere else path


def _run_of(bundle: Path) -> Path:
    named = bundle.name == "bundle" and bundle.parent.name not in ("", "..")
    return bundle.parent if named else bundle
