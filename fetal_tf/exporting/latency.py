"""Time nets in turns within one run, so that the ratios of their times can be trusted."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fetal_tf.edge.bundle.measurers import Measurer
from fetal_tf.edge.geometry.letterbox import letterboxed
from fetal_tf.edge.inference.predictor import Predictor

ROUNDS = 10
CALLS_PER_ROUND = 5
TURN_MS = 200.0  # a slow contender is called less often, so that it does not hold up the others


def interleaved_latency_ms(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int = ROUNDS,
    calls_per_round: int = CALLS_PER_ROUND,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time every contender in every round, so that a change of the machine's speed affects all.

    Each turn starts with one call that is not timed: it fills the caches, and the threads of the
    contender before it stop.

    Returns:
        Name → durations in milliseconds: `rounds` turns of `calls_per_round` calls, fewer where a
        turn has lasted TURN_MS, but at least one.
    """
    durations: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            call()
            durations[name] += _turn_ms(call, calls_per_round, clock)
    return durations


def _turn_ms(call: Callable[[], object], calls: int, clock: Callable[[], float]) -> list[float]:
    turn: list[float] = []
    while len(turn) < calls and sum(turn) < TURN_MS:
        start = clock()
        call()
        turn.append(1000 * (clock() - start))
    return turn


def percentiles(durations_ms: Sequence[float]) -> dict[str, float]:
    """`p50_ms` and `p95_ms` of `n` calls."""
    p50, p95 = np.percentile(durations_ms, [50, 95])
    return {"p50_ms": float(p50), "p95_ms": float(p95), "n": len(durations_ms)}


def net_alone(predictor: Predictor, frames: np.ndarray) -> Callable[[], object]:
    """A function that runs the net on one letterboxed frame, the next one at each call.

    Args:
        predictor: the net.
        frames: uint8 [N, h, w, C].
    """
    turn = itertools.cycle(frames[i : i + 1] for i in range(len(frames)))
    return lambda: predictor.predict(next(turn))


def whole_way(
    predictor: Predictor,
    images: Sequence[tuple[np.ndarray, float | None]],
    measurer: Measurer,
) -> Callable[[], Any]:
    """A function that measures an image in memory: letterbox, net, contour, ellipse, millimetres.

    Args:
        predictor: the net.
        images: (uint8 [H, W], mm per pixel) pairs, taken in turn.
        measurer: what the images are measured with.

    Returns:
        A function that measures the next image at each call and returns the measurement.
    """
    prepared = measurer.prepared(predictor)
    turn = itertools.cycle(images)

    def call() -> Any:
        image, mm_per_pixel = next(turn)
        frame, letterbox = letterboxed(image, predictor.input_shape)
        return measurer.measure(prepared.predict(frame[None])[0], letterbox, mm_per_pixel)

    return call
