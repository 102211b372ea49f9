"""Runs that are found by their path, without training."""

import os

import pytest

import fetal_tf.evaluation.stored
import fetal_tf.evaluation.target
from fetal_tf.edge.errors import FetalTFError
from tests.evaluation.evaluation_fakes import write_samples
from tests.evaluation.target_fakes import fake_target


@pytest.fixture
def samples(tmp_path, request):
    """Gray images of the brightnesses in the test file's GRAYS."""
    folder = tmp_path / "machine" / "heads"
    folder.mkdir(parents=True)
    return write_samples(folder, request.module.GRAYS)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Makes a run, known to `open_target` by its path and with the file of its model."""
    known = {}

    def open_target(path, format=None):
        if path not in known:
            raise FetalTFError(f"{path}: not a run")
        return known[path]

    monkeypatch.setattr(fetal_tf.evaluation.target, "open_target", open_target)
    monkeypatch.setattr(fetal_tf.evaluation.stored, "open_target", open_target)

    def add(name, samples, **kwargs):
        path = tmp_path / "runs" / name
        path.mkdir(parents=True)
        (path / "best.keras").write_bytes(b"weights")
        os.utime(path / "best.keras", ns=(10**18, 10**18))  # long ago
        known[str(path)] = fake_target(path, samples, **kwargs)
        return str(path)

    add.known = known
    return add
