"""Nothing half-written, nothing else overwritten."""

import hashlib
import subprocess

import pytest

from export.bundle_folder import check_replaceable, staged_folder, write_checksums
from fetal_tf.edge.errors import BundleError, FetalTFError


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_complete_bundle_takes_its_place(tmp_path):
    target = tmp_path / "run" / "bundle"
    with staged_folder(target) as folder:
        (folder / "bundle.json").write_text("new")
        assert not target.exists()
    assert (target / "bundle.json").read_text() == "new"
    assert names(target.parent) == ["bundle"]


def test_an_older_bundle_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "bundle.json").write_text("old")
    (target / "model_int8.tflite").write_text("old")
    with staged_folder(target) as folder:
        (folder / "bundle.json").write_text("new")
    assert names(target) == ["bundle.json"]
    assert names(tmp_path) == ["bundle"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_failed_export_leaves_the_older_bundle(tmp_path, error):
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "bundle.json").write_text("old")
    with pytest.raises(error), staged_folder(target) as folder:
        (folder / "bundle.json").write_text("half")
        raise error
    assert (target / "bundle.json").read_text() == "old"
    assert names(tmp_path) == ["bundle"]


def test_a_failed_move_brings_the_older_bundle_back(tmp_path, monkeypatch):
    import os

    target = tmp_path / "bundle"
    target.mkdir()
    (target / "bundle.json").write_text("old")
    real = os.replace

    def replace(source, destination):
        if str(source).endswith(".partial"):
            raise OSError(28, "No space left on device")
        real(source, destination)

    monkeypatch.setattr(os, "replace", replace)
    with (
        pytest.raises(FetalTFError, match=r"bundle: .*No space left"),
        staged_folder(target) as new,
    ):
        (new / "bundle.json").write_text("new")
    assert (target / "bundle.json").read_text() == "old"
    assert names(tmp_path) == ["bundle"]


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(FetalTFError, match="cannot be written there"),
        staged_folder(tmp_path / "file" / "bundle"),
    ):
        pass


def test_only_bundles_are_replaceable(tmp_path):
    check_replaceable(tmp_path / "nothing")
    check_replaceable(tmp_path)
    (tmp_path / "thesis.tex").write_text("ten years")
    with pytest.raises(BundleError, match="is not a bundle"):
        check_replaceable(tmp_path)
    with pytest.raises(BundleError, match="is not a bundle"):
        check_replaceable(tmp_path / "thesis.tex")
    (tmp_path / "bundle.json").write_text("{}")
    check_replaceable(tmp_path)


def test_checksums_are_those_that_sha256sum_checks(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    (tmp_path / "b c.txt").write_bytes(b"")
    write_checksums(tmp_path)
    expected = hashlib.sha256(b"abc").hexdigest()
    assert (tmp_path / "SHA256SUMS").read_text().startswith(f"{expected}  a.bin\n")
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0
