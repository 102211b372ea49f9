"""Which of several nets is worth its time: those that no other beats in both error and latency."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Contender:
    """One net.

    Attributes:
        name: of the bundle.
        latency_ms: median of one frame through the net.
        error: mean of the metric that is lowered.
        error_ci95: its interval.
        images: how many it was judged on.
        kilobytes: of the file.
        gmacs: multiplications and additions of one frame, 10⁹.
    """

    name: str
    latency_ms: float
    error: float
    error_ci95: tuple[float, float]
    images: int
    kilobytes: float
    gmacs: float


def undominated(contenders: Sequence[Contender]) -> list[Contender]:
    """Those that no other one equals or beats in both, better in at least one; fastest first."""
    return sorted(
        (c for c in contenders if not any(_beats(other, c) for other in contenders)),
        key=lambda c: (c.latency_ms, c.error),
    )


def _beats(other: Contender, one: Contender) -> bool:
    theirs, own = (other.latency_ms, other.error), (one.latency_ms, one.error)
    return theirs != own and all(t <= o for t, o in zip(theirs, own, strict=True))
