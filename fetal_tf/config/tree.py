"""The configuration tree: YAML with `extends:`, overrides from the command line, strict types.

A config is checked in two steps. This file checks the tree: sections, types and paths. The
parameters of a named component (`model: {name: unet, base: 16}`) are the keywords of the function
or class registered under that name; `fetal_tf.experiment` checks them before any image is read.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    field_validator,
    model_validator,
)

from fetal_tf.edge.errors import ConfigError

CONFIG_VERSION = 1


class Section(BaseModel):
    """A part of the tree, immutable; unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Component(BaseModel):
    """A registered component by name; its other keys are the component's parameters."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    name: str

    def spec(self) -> dict[str, Any]:
        """`{"name": …, parameter: value}`, as registries take it."""
        return self.model_dump()


# YAML has neither paths nor tuples: both are converted before the strict check.
PathValue = Annotated[Path, BeforeValidator(lambda v: Path(v) if isinstance(v, str) else v)]
ImageSize = Annotated[
    tuple[Annotated[int, Field(ge=16, le=4096)], Annotated[int, Field(ge=16, le=4096)]],
    BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v),
]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
SourceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class ModelComponent(Component):
    """A model by name, and where its first weights come from."""

    init: PathValue | None = None  # a run, `zoo:NAME` or a .keras file: its weights, by layer

    def spec(self) -> dict[str, Any]:
        """As `Component.spec`, without `init`, which is no parameter of a builder."""
        return self.model_dump(exclude={"init"})


class SourceConfig(Section):
    """A further dataset to mix in."""

    root: PathValue
    dataset: str | None = None  # its reader; None: the name that it is mixed in under
    weight: PositiveFloat = 1.0  # how often each of its training frames is drawn
    negative: bool = False  # its frames show nothing of the task's structures
    exclude: list[str] = []
    options: dict[str, Any] = {}


class DataConfig(Section):
    """The datasets, where they are, and the size of the frames.

    `data: [{dataset: …, root: …, image_size: …}, {dataset: …, root: …, weight: 2}]` is short for
    the first dataset with the others under `mixed_with`, each by its name.
    """

    dataset: str
    root: PathValue
    image_size: ImageSize  # (height, width) of the letterboxed frame
    weight: PositiveFloat = 1.0  # how often each training frame is drawn, as in `mixed_with`
    exclude: list[str] = []  # sample ids to leave out
    options: dict[str, Any] = {}  # further parameters of the dataset's reader
    mixed_with: dict[SourceName, SourceConfig] = {}

    @property
    def sources(self) -> dict[str, SourceConfig]:
        """Every dataset by `Sample.source`: the first under "", the others under their names."""
        first = SourceConfig.model_validate(
            self.model_dump(exclude={"image_size", "mixed_with"}), strict=False
        )
        named = {
            name: source.model_copy(update={"dataset": source.dataset or name})
            for name, source in self.mixed_with.items()
        }
        return {"": first} | named

    @property
    def readers(self) -> dict[str, str]:
        """The dataset of each source."""
        return {name: str(source.dataset) for name, source in self.sources.items()}

    @property
    def names(self) -> str:
        """The datasets without negatives, to be shown: `hc18`, or `hc18 + planes`."""
        mixed = (name for name, source in self.mixed_with.items() if not source.negative)
        return " + ".join([self.dataset, *mixed])


class SplitConfig(Section):
    """Shares of the images; groups (examinations, patients) are never cut."""

    val: Fraction = 0.15
    test: Fraction = 0.15
    seed: Seed = 0
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=0)] | None = None  # this fold validates, the others train
    stratify: bool = False  # by which structures a group's frames show

    @model_validator(mode="after")
    def _can_be_made(self) -> "SplitConfig":
        if self.val + self.test >= 1:
            raise ValueError(f"val + test = {self.val + self.test:g} leaves nothing to train on")
        if self.fold is not None and (self.folds is None or self.fold >= self.folds):
            raise ValueError(f"fold {self.fold} needs folds: {self.fold + 1} or more")
        return self


class SamplerConfig(Section):
    """Which training frames an epoch draws."""

    oversample: dict[str, Annotated[float, Field(gt=0)]] = {}  # structure → how much more often


class MixConfig(Section):
    """How many training frames are mixed with another one; only for targets that are maps.

    The other frame is drawn by the same weights as the epoch's: `sampler.oversample` and each
    source's `weight`, negatives among them.
    """

    mixup: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of the frames
    cutmix: Annotated[float, Field(ge=0, le=1)] = 0.0
    alpha: PositiveFloat = 0.4  # the first frame's part is drawn from Beta(alpha, alpha)

    @model_validator(mode="after")
    def _is_a_share(self) -> "MixConfig":
        if self.mixup + self.cutmix > 1:
            raise ValueError(f"mixup + cutmix = {self.mixup + self.cutmix:g} is more than all")
        return self


class TeacherConfig(Section):
    """Exported nets to learn from, see `fetal_tf.data.pipeline.teacher`."""

    bundles: Annotated[list[PathValue], Field(min_length=1)]  # also runs that hold one, zoo:NAME
    share: Annotated[float, Field(gt=0, le=1)] = 0.5  # of their mean answer in the target


class EarlyStopping(Section):
    """Stop after `patience` epochs without a better `train.monitor`."""

    patience: Annotated[int, Field(ge=1)]
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class TrainConfig(Section):
    """The training loop: its length, its batches, and how the best epoch is chosen."""

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    monitor: str = "val_loss"  # a name ending in loss or error is minimised, others maximised
    early_stopping: EarlyStopping | None = None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    accumulate_batches: Annotated[int, Field(ge=1)] = 1  # whose mean gradient is one step
    steps_per_execution: Annotated[int, Field(ge=1)] = 1  # between two looks of the callbacks
    deterministic: bool = False
    jit_compile: bool = False  # XLA on the TensorFlow backend; JAX always compiles
    # mirrored: all GPUs of the machine share each batch (TensorFlow backend)
    distribute: Literal["none", "mirrored"] = "none"
    workers: Annotated[int, Field(ge=1, le=64)] = 2  # threads that decode and augment
    overlay_every: Annotated[int, Field(ge=1)] = 5  # epochs between validation overlays
    refit: PathValue | None = None  # the run whose validation frames are learnt too, see `refit`

    @model_validator(mode="after")
    def _refit_validates_nothing(self) -> "TrainConfig":
        if self.refit is not None and self.monitor.startswith("val_"):
            raise ValueError(
                f"monitor: {self.monitor} is not measured where refit learns the validation "
                "frames; both runs need another one: loss"
            )
        return self


class ExportConfig(Section):
    """The formats of `python -m export`, and their largest difference to the float model."""

    formats: list[str] = ["float32", "float16", "int8"]  # what a tablet needs; or [all]
    calibration_images: Annotated[int, Field(ge=1)] = 100
    parity_split: Literal["val", "test"] = "test"
    parity_limits: dict[str, dict[str, float]] = {}  # format → metric → limit, over the task's own


class MlflowConfig(Section):
    """Where `tracking: [tensorboard, mlflow]` logs to."""

    uri: str = "sqlite:///runs/mlflow.db"  # or a server's http://…
    experiment: str = "fetal_tf"
    parent: str | None = None  # name of the run above the folds; None: the config's name

    @field_validator("uri")
    @classmethod
    def _names_no_user(cls, uri: str) -> str:
        refuse_user_info(uri, "mlflow.uri")
        return uri


def refuse_user_info(uri: str, key: str) -> None:
    """Refuse an address with a secret: it is written to the run's folder and printed.

    A user or password stands before an @, a token in the query or the fragment.

    Raises:
        ConfigError: names `key`, and does not repeat the address.
    """
    if "@" in uri and not uri.startswith("sqlite:///"):
        raise ConfigError(
            f"{key}: a user or password in the address would be written to the run's folder; "
            "leave out what stands before the @, and set the environment variables "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if ("?" in uri or "#" in uri) and not uri.startswith("sqlite:///"):
        raise ConfigError(
            f"{key}: a token behind ? or # in the address would be written to the run's folder; "
            "leave it out and set the environment variable MLFLOW_TRACKING_TOKEN"
        )


class PublishedConfig(Section):
    """Figures of the study that a recipe repeats; `tools.compare` shows them beside ours."""

    source: str
    metrics: dict[str, float]  # keys are our names of the metrics


class Config(Section):
    """One experiment."""

    version: Annotated[int, Field(ge=1)] = CONFIG_VERSION
    name: str
    seed: Seed = 0
    data: DataConfig
    split: SplitConfig = SplitConfig()
    task: Component
    sampler: SamplerConfig = SamplerConfig()
    augment: list[Component] = []
    mix: MixConfig = MixConfig()
    teacher: TeacherConfig | None = None
    model: ModelComponent
    loss: Component
    optimizer: Component
    schedule: Component = Component(name="constant")
    train: TrainConfig
    export: ExportConfig = ExportConfig()
    tracking: list[Literal["tensorboard", "mlflow"]] = ["tensorboard"]  # TensorBoard in any case
    mlflow: MlflowConfig = MlflowConfig()
    published: PublishedConfig | None = None

    @model_validator(mode="after")
    def _name_is_a_folder(self) -> "Config":
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(f"name {self.name!r} cannot name a folder: use letters, digits, . _ -")
        return self

    @model_validator(mode="after")
    def _refit_is_no_fold(self) -> "Config":
        if self.train.refit is not None and self.split.folds is not None:
            raise ValueError(
                "train.refit: a fold validates, and a refit has nothing to validate on"
            )
        return self
