"""Fixtures that every test folder shares."""

import os
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# A busy machine must not fail a property: no deadline, no complaint about slow generation.
hypothesis.settings.register_profile(
    "fetal_tf", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("fetal_tf")


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory) -> Path:
    """An empty database of MLflow's, to be copied: its tables take longer than most tests."""
    from tests.tracking.tracked_runs import new_database

    return new_database(tmp_path_factory.mktemp("mlflow") / "runs" / "mlflow.db")


@pytest.fixture(scope="session")
def server(tmp_path_factory, mlflow_database):
    """The address of a real MLflow server; each test has a run, an experiment of its own there."""
    from tests.tracking.tracked_runs import mlflow_server

    with mlflow_server(tmp_path_factory.mktemp("server"), mlflow_database) as uri:
        yield uri


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
