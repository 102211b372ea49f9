"""What `evaluate` and the tools judge: a run's Keras model, or one format of a bundle."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.config.loading import load_config
from fetal_tf.config.tree import Config
from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow, read_splits
from fetal_tf.edge.bundle.bundle import Bundle, resolve_bundle
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.experiment import Experiment, open_experiment
from fetal_tf.runs.history import read_history
from fetal_tf.runs.measurement_settings import read_settings
from fetal_tf.runs.run import open_run
from fetal_tf.tasks.task import Task


@dataclass(frozen=True)
class EvaluationTarget:
    """What `evaluate` judges: a run's Keras model, or one format of a bundle.

    Attributes:
        name: of the run; of the shelf for a net that ships, whatever run made it.
    """

    name: str
    format: str
    predictor: Predictor
    experiment: Experiment
    splits: dict[str, SplitRow]
    run_path: Path | None
    history: list[dict[str, float]]
    folder: Path | None = None  # of the run or bundle, with the records of its ancestors

    @property
    def task(self) -> Task:
        return self.experiment.task

    @property
    def config(self) -> Config:
        return self.experiment.config

    def samples(
        self, part: str, data_root: Path | None = None, dataset: str | None = None
    ) -> list[Sample]:
        """Samples of a part, from the target's own data or from another root."""
        return self.experiment.data.samples_of(part, self.splits, data_root, dataset)

    def negatives(
        self, part: str, data_root: Path | None = None, dataset: str | None = None
    ) -> list[Sample]:
        """Its frames of something else, see `ConfiguredData.negatives_of`."""
        return self.experiment.data.negatives_of(part, self.splits, data_root, dataset)

    def default_out(
        self,
        part: str,
        tta: str | None = None,
        data_root: Path | None = None,
        dataset: str | None = None,
        negative: bool = False,
    ) -> Path:
        """RUN/evaluation/PART-FORMAT, or evaluation/NAME-PART-FORMAT for a bundle on its own.

        The name also tells averaging, other data and `negative`, so that no such evaluation
        replaces the run's own.
        """
        parts = [part, self.format]
        if dataset and (dataset != self.config.data.dataset or self.config.data.mixed_with):
            parts.append(dataset)
        if data_root and not self.experiment.data.is_own(data_root, dataset):
            parts.append(data_root.resolve().name)
        parts += ["negative"] * negative
        name = "-".join([*parts, *([tta] if tta else [])])
        if self.run_path:
            return self.run_path / "evaluation" / name
        return Path("evaluation") / f"{self.name}-{name}"


def open_target(reference: str, format: str | None = None) -> EvaluationTarget:
    """Open `RUN`, `BUNDLE` or `zoo:NAME` in one format (default: keras for a run).

    Raises:
        FetalTFError: nothing there, or a format that the bundle does not hold.
    """
    path = Path(reference)
    is_run = (path / "best.keras").is_file()
    if is_run and format in (None, "keras"):
        run = open_run(path)
        if run.task.fits_measurer and not read_settings(path):
            warnings.warn(
                f"{path}: no thresholds belong to its best.keras, so nothing is scored as unusual "
                "or as uncertain; `python -m export` fits them, and so does training when it ends",
                stacklevel=2,
            )
        predictor = run.keras_predictor()
        return EvaluationTarget(
            run.config.name, "keras", predictor, run.experiment, run.splits, path, run.history, path
        )
    if format == "keras":
        raise FetalTFError(f"{reference}: --format keras needs a run; this is not one")
    unfinished = (path / "config.yaml").is_file() and not (path / "bundle.json").is_file()
    if unfinished and not is_run:
        raise FetalTFError(f"{path}: the run has no best.keras yet; let one epoch finish first")
    bundle_path = resolve_bundle(reference)
    bundle = Bundle.open(bundle_path)
    chosen = format or bundle.default_format
    run_path = bundle_path.parent if (bundle_path.parent / "best.keras").is_file() else None
    # The run's config knows where the data lies; the bundle's knows only the folder's name.
    config = load_config((run_path or bundle_path) / "config.yaml")
    history = read_history(run_path / "metrics.csv") if run_path else []
    splits_path = bundle_path / "splits.csv"
    splits = read_splits(splits_path) if splits_path.is_file() else {}
    experiment = open_experiment(config, bundle.measurement_settings)
    return EvaluationTarget(
        reference.removeprefix("zoo:") if reference.startswith("zoo:") else config.name,
        chosen,
        bundle.predictor(chosen),
        experiment,
        splits,
        run_path,
        history,
        folder=bundle_path,
    )
