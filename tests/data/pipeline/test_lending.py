"""Lending: nobody shares a thing, and threads that come and go make no new ones."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fetal_tf.data.pipeline.lending import Lending


def test_what_came_back_is_lent_again_to_a_new_thread():
    made = []

    def make():
        made.append(object())
        return made[-1]

    def borrow():
        with lending.lent():
            pass

    lending = Lending(make)
    for _ in range(5):
        thread = threading.Thread(target=borrow)
        thread.start()
        thread.join()
    assert len(made) == 1


def test_two_at_once_get_two_things():
    lending = Lending(object)
    both = threading.Barrier(2)

    def borrow(_):
        with lending.lent() as thing:
            both.wait(timeout=30)
            return thing

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(borrow, range(2))
    assert first is not second


def test_it_comes_back_after_an_error():
    lending = Lending(object, ready=1)
    with pytest.raises(ZeroDivisionError), lending.lent() as first:
        raise ZeroDivisionError
    with lending.lent() as second:
        assert second is first


def test_what_is_made_ready_fails_at_once():
    with pytest.raises(ZeroDivisionError):
        Lending(lambda: 1 / 0, ready=1)
