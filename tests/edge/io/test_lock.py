"""A second writer into one folder is refused while the first one lives, and only so long."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.lock import LOCK, only_writer

HOLD = """
import sys
from pathlib import Path
from fetal_tf.edge.io.lock import only_writer
with only_writer(Path(sys.argv[1]), ""):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of the test's folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def enter(folder):
    with only_writer(folder, "Wait for it."):
        return True


def test_the_second_writer_is_refused_and_told_who_is_first(tmp_path, other):
    for _ in range(2):  # the refusal changes nothing
        with pytest.raises(FetalTFError) as refused:
            enter(tmp_path)
        said = str(refused.value)
        assert f"process {other.pid} on {socket.gethostname()} (since 20" in said
        assert said.startswith(f"{tmp_path}: ") and said.endswith("writing there. Wait for it.")


def test_a_killed_writer_locks_nothing(tmp_path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert (tmp_path / LOCK).is_file()
    assert enter(tmp_path)


def test_the_lock_ends_with_its_block_also_by_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), only_writer(tmp_path, ""):
        with pytest.raises(FetalTFError, match=f"process {os.getpid()} "):
            enter(tmp_path)
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir()) and enter(tmp_path)


def test_a_holder_that_has_not_signed_yet(tmp_path, other):
    (tmp_path / LOCK).write_text("")
    with pytest.raises(FetalTFError, match="another process is writing there"):
        enter(tmp_path)


def test_a_folder_that_cannot_hold_a_lock(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FetalTFError, match=r"file: cannot be locked: .*; choose"):
        enter(tmp_path / "file")
