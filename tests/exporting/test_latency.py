"""Turns, warm-up calls and percentiles, with a clock of our own: no test looks at real time."""

import numpy as np
import pytest

from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.exporting.latency import interleaved_latency_ms, net_alone, percentiles, whole_way


def test_contenders_take_turns_and_the_first_call_is_not_timed():
    now, order = 0.0, []

    def contender(name, first, later):
        def call():
            nonlocal now
            cold = not order or order[-1] != name
            order.append(name)
            now += first if cold else later

        return call

    timed = interleaved_latency_ms(
        {"a": contender("a", 9.0, 0.002), "b": contender("b", 9.0, 0.003)},
        rounds=3,
        calls_per_round=2,
        clock=lambda: now,
    )
    assert order == ["a"] * 3 + ["b"] * 3 + ["a"] * 3 + ["b"] * 3 + ["a"] * 3 + ["b"] * 3
    assert timed["a"] == pytest.approx([2.0] * 6)
    assert timed["b"] == pytest.approx([3.0] * 6)


def test_a_slow_contender_gets_fewer_calls_but_at_least_one():
    now = 0.0

    def slow():
        nonlocal now
        now += 0.15

    timed = interleaved_latency_ms({"slow": slow}, 2, calls_per_round=5, clock=lambda: now)
    assert timed["slow"] == pytest.approx([150.0] * 4)  # two calls of 150 ms fill a turn of 200


def test_percentiles():
    assert percentiles(range(101)) == {"p50_ms": 50.0, "p95_ms": 95.0, "n": 101}


class Everywhere:
    input_shape = (32, 48, 1)

    def __init__(self):
        self.seen = []

    def predict(self, images):
        self.seen.append(images)
        y, x = np.mgrid[:32, :48]
        inside = ((x - 24) / 16) ** 2 + ((y - 16) / 12) ** 2 < 1
        return np.repeat(inside[None, ..., None].astype(np.float32), len(images), axis=0)


def test_net_alone_feeds_one_frame_after_the_other():
    predictor = Everywhere()
    frames = np.arange(2, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 48, 1), np.uint8)
    call = net_alone(predictor, frames)
    for _ in range(3):
        call()
    assert [batch.shape for batch in predictor.seen] == [(1, 32, 48, 1)] * 3
    assert [int(batch.max()) for batch in predictor.seen] == [0, 1, 0]


def test_whole_way_ends_in_millimetres_of_the_original_image():
    image = np.full((64, 96), 200, np.uint8)  # twice the net's frame
    measurement = whole_way(Everywhere(), [(image, 0.5)], MEASURERS["head"](("head",), {}))()
    # Semi-axes 16 and 12 px of the frame are 32 and 24 px of the image, 16 and 12 mm.
    assert measurement.as_record()["ofd_mm"] == pytest.approx(32, abs=0.7)
    assert measurement.as_record()["bpd_mm"] == pytest.approx(24, abs=0.7)
