"""SIGTERM ends a block as Ctrl-C does, and nothing is changed after it."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from fetal_tf.edge.io.stopping import Terminated, exit_code, noted_signals


def test_sigterm_is_an_interruption_with_a_code_of_its_own():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as stopped, noted_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert isinstance(stopped.value, Terminated) and exit_code(stopped.value) == 143
    assert exit_code(KeyboardInterrupt()) == 130
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_leaves_the_signals_alone():
    def handler():
        with noted_signals():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(handler).result() is signal.getsignal(signal.SIGTERM)
