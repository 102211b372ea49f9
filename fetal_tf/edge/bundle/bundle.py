"""A bundle: a folder of exported models and how to use them, verified before loading."""

import json
import os
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from fetal_tf.edge.bundle.gate import GatedMeasurement, GatedPredictor, gated, with_doubts
from fetal_tf.edge.bundle.measurers import MEASURERS, Measurement, Measurer
from fetal_tf.edge.bundle.seal import GATE_FOLDER, MANIFEST, SEAL, check_seal, check_sha256
from fetal_tf.edge.errors import BundleError
from fetal_tf.edge.flag import Flag
from fetal_tf.edge.geometry.landmarks import LANDMARKS
from fetal_tf.edge.geometry.letterbox import Letterbox, letterboxed
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.inference.runtimes import LiteRTPredictor, OnnxPredictor
from fetal_tf.edge.measure.anomaly import MIN_CALIBRATION
from fetal_tf.edge.measure.convention import chosen_convention
from fetal_tf.edge.measure.plane import PlaneMeasurement

SCHEMA = 1  # of bundle.json; raised when an older reader would misread a bundle
GATE_MEASUREMENT = "plane"
CROPPED = "cropped"
ALIASES = {"landmarks": "hc18"}  # second names in the zoo: no net is there twice
_LARGEST_NUMBER = 1e15  # also of bytes
ZOO = Path(__file__).resolve().parents[2] / "zoo"
_RUNTIMES: dict[str, type[LiteRTPredictor] | type[OnnxPredictor]] = {
    "litert": LiteRTPredictor,
    "onnx": OnnxPredictor,
}
_TYPES: dict[str, type] = {
    "name": str,
    "measurement": str,
    "classes": list,
    "input": dict,
    "files": dict,
    "default_format": str,
}
_EXPECTED = {
    str: "a text is",
    int: "a whole number from 1 on is",
    list: "a list with entries is",
    dict: "an object with keys is",
}


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its formats, their input, and how their output is measured.

    A model file is compared with its recorded SHA-256 when it is loaded, every other file when the
    bundle is opened.

    Example:
        bundle = Bundle.open(resolve_bundle("runs/mine"))
        head = bundle.measure(bundle.predictor(), read_gray("scan.png"), mm_per_pixel=0.12)
        head.hc_mm, head.flags

    Attributes:
        path: the folder.
        manifest: the tree of bundle.json.
    """

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> "Bundle":
        """Read and check a bundle's folder; no model is loaded yet.

        Raises:
            BundleError: no bundle there, made for a newer reader, incomplete, unsealed or altered.
        """
        path = Path(path)
        manifest = _read_manifest(path / MANIFEST)
        bundle = cls(path, manifest)
        models = {file["path"]: file["sha256"] for file in manifest["files"].values()}
        check_seal(path, models, gated="gate" in manifest)
        # Made now, so that unusable settings or an incomplete gate are found now.
        _ = bundle.measurer
        return bundle

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.manifest["classes"])

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the letterboxed frame."""
        size = self.manifest["input"]
        return int(size["height"]), int(size["width"]), int(size["channels"])

    @property
    def formats(self) -> tuple[str, ...]:
        return tuple(self.manifest["files"])

    @property
    def default_format(self) -> str:
        return str(self.manifest["default_format"])

    @property
    def phantom(self) -> bool:
        """Whether the model or its gate was trained on generated images."""
        own = bool(self.manifest.get("phantom"))
        return own or (self.gate is not None and self.gate.phantom)

    @property
    def measurement_settings(self) -> dict[str, Any]:
        """Fitted settings of the measurer, such as reference shapes and thresholds; often empty."""
        return self.manifest.get("measurement_settings", {})

    @cached_property
    def measurer(self) -> Measurer:
        """Turns this bundle's output into a measurement and a picture."""
        kind = self.manifest["measurement"]
        try:
            measurer = MEASURERS[kind](self.classes, self.measurement_settings)
        except ValueError as error:
            raise BundleError(f"{self.path / MANIFEST}: measurement {kind}: {error}") from error
        return measurer if self.gate is None else gated(measurer)

    def as_measured_at(self, site: str) -> "Bundle":
        """The same bundle, measuring as the experts of a site do.

        Args:
            site: one of the bundle's conventions, see `fetal_tf.edge.measure.convention`.

        Raises:
            BundleError: the bundle has no such convention.
        """
        settings = {**self.measurement_settings, "convention": site}
        try:
            chosen_convention(settings)
        except ValueError as error:
            raise BundleError(f"{self.path}: {error}") from error
        return replace(self, manifest={**self.manifest, "measurement_settings": settings})

    @cached_property
    def gate(self) -> "Bundle | None":
        """The bundle that judges whether a frame shows the right plane, None without one.

        Raises:
            BundleError: the gate is missing, altered, or cannot judge a plane.
        """
        if "gate" not in self.manifest:
            return None
        folder = self.path / GATE_FOLDER
        check_sha256(folder / SEAL, self.manifest["gate"]["seal_sha256"])
        gate = Bundle.open(folder)
        check_gate(gate)
        return gate

    def failed_parity(self, format: str) -> bool:
        """Whether export found that this format measures worse than the float model."""
        return self.manifest["files"][format].get("parity") == "failed"

    def warnings(self, form: str) -> Iterator[str]:
        """What a user must know about the bundle or its gate before he looks at results."""
        gate = self.gate
        if gate is not None and gate.phantom and not self.manifest.get("phantom"):
            yield (
                "PHANTOM: the gate was trained on generated images; "
                "its flags and its plane_score say nothing about patients"
            )
        elif self.phantom:
            yield (
                "PHANTOM: this model was trained on generated images; "
                "its measurements say nothing about patients"
            )
        if self.failed_parity(form):
            yield (
                f"{form} does not measure as well as the float model (see "
                f"{self.path / 'parity.json'})"
            )
        if gate is not None and gate.failed_parity(gate.default_format):
            yield (
                f"the gate's {gate.default_format} does not score as its float model does (see "
                f"{gate.path / 'parity.json'})"
            )

    def predictor(self, format: str | None = None, threads: int = 1) -> Predictor:
        """Verify and load one format (default: the bundle's choice), and the gate before it.

        Args:
            format: of this bundle's model; a gate always runs in its own default format.
            threads: CPU threads of the model, and of the gate, which runs before it.

        Returns:
            The model; with a gate, both as a `GatedPredictor`.

        Raises:
            BundleError: an unknown format, an altered or missing file, or no loadable model.
            MissingExtraError: its runtime is not installed.
        """
        chosen = format or self.default_format
        if chosen not in self.formats:
            raise BundleError(
                f"{self.path}: no format {chosen!r}; the bundle holds {', '.join(self.formats)}"
            )
        entry = self.manifest["files"][chosen]
        file = self.path / entry["path"]
        check_sha256(file, entry["sha256"])
        predictor = _RUNTIMES[entry["runtime"]](file, threads=threads)
        if predictor.input_shape != self.input_shape:
            raise BundleError(
                f"{file}: takes {predictor.input_shape}, {MANIFEST} says {self.input_shape}"
            )
        expected = (*self.input_shape[:2], len(self.classes))
        coordinates = (len(LANDMARKS), 2) if self.classes == LANDMARKS else expected
        if predictor.output_shape not in (expected, coordinates):
            raise BundleError(
                f"{file}: gives {predictor.output_shape}; the classes {', '.join(self.classes)} of "
                f"{MANIFEST} need {expected}"
            )
        if self.gate is None:
            return predictor
        gate = self.gate.predictor(threads=threads)
        return GatedPredictor(predictor, self.gate.name, partial(_judge, self.gate, gate))

    def measure(
        self,
        predictor: Predictor,
        image: np.ndarray,
        mm_per_pixel: float | None = None,
        ga_weeks: float | None = None,
        notes: tuple[Flag, ...] = (),
    ) -> Measurement:
        """Measure one image uint8 (H, W) with a predictor of this bundle, behind its gate.

        `notes` of the image, see `fetal_tf.edge.io.images.Frame`, become the measurement's.

        Returns:
            What the bundle's measurer measures; with a gate, that in a `GatedMeasurement`.

        Raises:
            ValueError: a pixel size that is not positive, an age the references do not cover, or a
                predictor without the bundle's gate.
        """
        if self.gate is not None and not isinstance(predictor, GatedPredictor):
            raise ValueError(f"{self.path}: has a gate; take the predictor that the bundle gives")
        frame, letterbox = letterboxed(image, self.input_shape)
        measurer = self.measurer
        output = measurer.prepared(predictor).predict(frame[None])[0]
        measurement = measurer.measure(output, letterbox, mm_per_pixel, ga_weeks)
        measurement = with_doubts(measurement, notes, tuple(region_flags(letterbox)))
        if not isinstance(predictor, GatedPredictor):
            return measurement
        return GatedMeasurement(measurement, predictor.judge(image))


def region_flags(letterbox: Letterbox) -> Iterator[Flag]:
    """The flag of a picture that was cut out of a screen: what is a screen's is guessed."""
    region = letterbox.cropped
    if region is not None:
        yield Flag(
            CROPPED,
            f"only {region.width}x{region.height} px of the file's "
            f"{letterbox.source_width}x{letterbox.source_height} were taken for the picture, from "
            f"x {region.left}, y {region.top}; look whether it is all of the picture and nothing "
            "else, or crop the file",
        )


def _judge(gate: Bundle, predictor: Predictor, image: np.ndarray) -> PlaneMeasurement:
    plane = gate.measure(predictor, image)
    assert isinstance(plane, PlaneMeasurement)
    # That the frame was cropped is said once, by the measurement.
    return replace(plane, flags=tuple(flag for flag in plane.flags if flag.code != CROPPED))


def check_gate(bundle: Bundle) -> None:
    """Check that a bundle can be the gate of another one.

    Raises:
        BundleError: it does not judge planes, has no threshold, or has a gate itself.
    """
    if bundle.manifest["measurement"] != GATE_MEASUREMENT:
        raise BundleError(
            f"{bundle.path}: measures {bundle.manifest['measurement']!r}; a gate is the bundle of "
            f"an autoencoder, which measures {GATE_MEASUREMENT!r}"
        )
    if "threshold" not in bundle.measurement_settings:
        raise BundleError(
            f"{bundle.path}: has no threshold, so it would flag nothing: it takes at least "
            f"{MIN_CALIBRATION} validation images to fit one"
        )
    if "gate" in bundle.manifest:
        raise BundleError(f"{bundle.path}: has a gate of its own; a gate stands alone")


def shelf_names() -> list[str]:
    """Names in the zoo, second names included, sorted."""
    shelf = {path.parent.name for path in ZOO.glob(f"*/{MANIFEST}")}
    return sorted({*shelf, *(alias for alias, of in ALIASES.items() if of in shelf)})


def resolve_bundle(reference: str) -> Path:
    """The folder that `reference` names: a bundle, a run that holds one, or `zoo:NAME`.

    Raises:
        BundleError: nothing there; lists the zoo's names where the zoo was meant.
    """
    if reference.startswith("zoo:"):
        name, known = reference.removeprefix("zoo:"), shelf_names()
        if name not in known:
            raise BundleError(
                f"{reference}: the zoo holds no {name!r}; there is {', '.join(known) or 'nothing'}"
            )
        return ZOO / ALIASES.get(name, name)
    path = Path(reference)
    for folder in (path, path / "bundle"):
        if os.path.isfile(folder / MANIFEST):  # Path.is_file raises for a name too long
            return folder
    if not os.path.exists(path):
        raise BundleError(f"{reference}: no such folder; name a bundle, a run or zoo:NAME")
    raise BundleError(
        f"{reference}: no {MANIFEST} there nor in {path / 'bundle'}; "
        "`python -m export RUN` makes a bundle of a run"
    )


def _read_manifest(file: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(
            file.read_bytes(), parse_int=_number, parse_float=_number, parse_constant=_number
        )
    except OSError as error:
        raise BundleError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise BundleError(f"{file}: not valid JSON: {error}") from error
    except RecursionError as error:
        raise BundleError(f"{file}: nested too deeply to be a bundle") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise BundleError(
            f"{file}: a bundle of schema {SCHEMA} is expected, found {reprlib.repr(schema)}"
        )
    if schema > SCHEMA:
        version = manifest.get("fetal_tf_version")
        writer = version if isinstance(version, str) else "of a later version"
        raise BundleError(
            f"{file}: schema {schema} was written by fetal_tf {writer}, this one reads up to "
            f"{SCHEMA}: pip install --upgrade fetal-tf"
        )
    _check_manifest(file, manifest)
    return manifest


def _number(text: str) -> int | float:
    """A number of JSON; ValueError where no size, threshold or factor can have it."""
    value = float(text)
    if not abs(value) < _LARGEST_NUMBER:  # NaN is not either
        raise ValueError(f"a number {reprlib.repr(text)}")
    return int(text) if text.lstrip("-").isdecimal() else value


def _check_manifest(file: Path, manifest: dict[str, Any]) -> None:
    missing = [key for key in _TYPES if key not in manifest]
    if missing:
        raise BundleError(f"{file}: {', '.join(missing)} missing; the bundle is incomplete")
    for key, type_ in _TYPES.items():
        _check_filled(file, key, manifest[key], type_)
    for name in manifest["classes"]:
        _check_filled(file, "classes", name, str)
    if not isinstance(manifest.get("measurement_settings", {}), dict):
        raise BundleError(f"{file}: measurement_settings: {_EXPECTED[dict]} expected")
    for key in ("height", "width", "channels"):
        _check_filled(file, f"input.{key}", manifest["input"].get(key), int)
    if manifest["measurement"] not in MEASURERS:
        raise BundleError(
            f"{file}: measurement {manifest['measurement']!r} is unknown here; "
            f"known: {', '.join(MEASURERS)}"
        )
    if "gate" in manifest:
        _check_filled(file, "gate", manifest["gate"], dict)
        _check_filled(file, "gate.seal_sha256", manifest["gate"].get("seal_sha256"), str)
    if manifest["default_format"] not in manifest["files"]:
        raise BundleError(
            f"{file}: default_format {manifest['default_format']!r} is not among the files "
            f"{', '.join(manifest['files'])}"
        )
    for name, entry in manifest["files"].items():
        _check_file_entry(file, f"files.{name}", entry)


def _check_file_entry(file: Path, key: str, entry: Any) -> None:
    _check_filled(file, key, entry, dict)
    if "bytes" in entry:
        _check_filled(file, f"{key}.bytes", entry["bytes"], int)
    absent = [part for part in ("path", "sha256", "runtime") if part not in entry]
    if absent:
        raise BundleError(f"{file}: {key}: {', '.join(absent)} missing")
    for part in ("path", "sha256", "runtime"):
        _check_filled(file, f"{key}.{part}", entry[part], str)
    if entry["runtime"] not in _RUNTIMES:
        raise BundleError(
            f"{file}: {key}.runtime {entry['runtime']!r} is unknown; known: {', '.join(_RUNTIMES)}"
        )
    if Path(entry["path"]).name != entry["path"]:
        raise BundleError(f"{file}: {key}.path {entry['path']!r} leaves the bundle")


def _check_filled(file: Path, key: str, value: Any, type_: type) -> None:
    """Refuse a value of another type, an empty one, or a number below 1."""
    right = isinstance(value, type_) and not isinstance(value, bool)
    if not right or not value or (type_ is int and value < 1):
        raise BundleError(
            f"{file}: {key}: {_EXPECTED[type_]} expected, found {reprlib.repr(value)}"
        )
