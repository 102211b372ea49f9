"""Fixtures that every test folder shares."""

import os
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# A busy machine must not fail a property: no deadline, no complaint about slow generation.
hypothesis.settings.register_profile(
    "fetal_tf", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("fetal_tf")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real datasets that FETAL_TF_DATA names; skips where it is not set."""
    root = os.environ.get("FETAL_TF_DATA")
    if not root:
        pytest.skip("FETAL_TF_DATA is not set: no real images here")
    path = Path(root)
    if not path.is_dir():
        pytest.skip(f"FETAL_TF_DATA={root} is not a folder")
    return path
