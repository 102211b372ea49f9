"""Nothing else overwritten, and a seal that others can check."""

import hashlib
import subprocess

import pytest

from fetal_tf.edge.errors import BundleError
from fetal_tf.exporting.bundle_folder import check_replaceable, write_checksums


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
