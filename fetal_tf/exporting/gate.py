"""Put a gate into a bundle: the bundle of an autoencoder, copied to the subfolder `gate`."""

import shutil
from pathlib import Path
from typing import Any

from fetal_tf.edge.bundle.bundle import (
    GATE_FOLDER,
    GATE_MEASUREMENT,
    Bundle,
    check_gate,
    resolve_bundle,
)
from fetal_tf.edge.bundle.seal import SEAL, check_sha256, read_seal
from fetal_tf.edge.errors import BundleError, ConfigError
from fetal_tf.edge.io.files import sha256_of


def open_gate(reference: str, target: Path, measurement: str) -> Bundle:
    """The bundle that `--gate` names, checked before any long work.

    Args:
        reference: a bundle, or a run that holds one.
        target: folder of the bundle to be written.
        measurement: what that one measures.

    Raises:
        BundleError: no bundle there, altered, one that cannot be a gate, or whose default format
            failed parity: its threshold was fitted to the float model's scores.
        ConfigError: the run is an autoencoder itself.
    """
    if measurement == GATE_MEASUREMENT:
        raise ConfigError(
            "--gate: this run judges planes itself; a gate stands before a measurement"
        )
    gate = Bundle.open(resolve_bundle(reference))
    check_gate(gate)
    if gate.path.resolve().is_relative_to(target.resolve()):
        raise BundleError(f"--gate: {gate.path} lies in {target}, which is to be replaced")
    if gate.failed_parity(gate.default_format):
        raise BundleError(
            f"--gate: {gate.path}: {gate.default_format} does not score as its float model does, "
            "which the threshold was fitted to (see its parity.json); export the gate once more"
        )
    gate.predictor()
    return gate


def embed(gate: Bundle, folder: Path) -> dict[str, Any]:
    """Copy every sealed file of `gate` into `folder` and open the copy.

    Returns:
        For bundle.json: `name`, `path`, `classes`, the `false_alarm_rate` and number of images `n`
        that its threshold was fitted with, and `seal_sha256`: the seal vouches for all its files.

    Raises:
        BundleError: a file of the gate is missing or altered.
    """
    copy = folder / GATE_FOLDER
    copy.mkdir()
    sums = read_seal(gate.path / SEAL)
    for name in (SEAL, *sums):
        try:
            shutil.copyfile(gate.path / name, copy / name)
        except OSError as error:
            raise BundleError(
                f"{gate.path / name}: part of the gate, but {error.strerror or error}"
            ) from error
    for name, expected in sums.items():
        check_sha256(copy / name, expected)
    settings = gate.measurement_settings
    return {
        "name": gate.name,
        "path": GATE_FOLDER,
        "classes": list(gate.classes),
        "false_alarm_rate": settings.get("false_alarm_rate"),
        "n": settings.get("n"),
        "seal_sha256": sha256_of(copy / SEAL),
    }
