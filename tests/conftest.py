"""Fixtures that every test folder shares."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


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
