"""RUN/measurement.json: the settings of the run's measurer that were fitted to its best.keras.

The file holds the checksum of that best.keras. When a better epoch has replaced it, the settings
are out of date: they are fitted again, not used.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.files import sha256_of, write_text_atomic

SETTINGS_NAME = "measurement.json"
_FITTED_TO = "fitted_to_sha256"
_SETTINGS = "settings"


def read_settings(run: Path) -> dict[str, Any]:
    """The settings that were fitted to the run's present best.keras; empty where there are none.

    Raises:
        FetalTFError: the file is damaged.
    """
    path = run / SETTINGS_NAME
    if not path.is_file() or not (run / "best.keras").is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        fitted_to, settings = record[_FITTED_TO], dict(record[_SETTINGS])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FetalTFError(
            f"{path}: damaged ({error}); remove it, `python -m export` makes it anew"
        ) from error
    return settings if fitted_to == sha256_of(run / "best.keras") else {}


def write_settings(run: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings that were fitted to the run's present best.keras.

    Raises:
        FetalTFError: the file cannot be written.
    """
    record = {_FITTED_TO: sha256_of(run / "best.keras"), _SETTINGS: settings}
    text = json.dumps(record, indent=2, allow_nan=False)
    write_text_atomic(run / SETTINGS_NAME, text + "\n")
