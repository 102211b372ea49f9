"""The Pareto front of several nets: those that no other beats in both error and latency."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Contender:
    """A net with its error, latency and size.

    Attributes:
        name: of the bundle.
        latency_ms: median of one frame through the net.
        error: mean of the metric; lower is better.
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
    """The nets that no other equals or beats in both and beats in one; fastest first."""
    return sorted(
        (c for c in contenders if not any(_beats(other, c) for other in contenders)),
        key=lambda c: (c.latency_ms, c.error),
    )


def _beats(other: Contender, one: Contender) -> bool:
    theirs, own = (other.latency_ms, other.error), (one.latency_ms, one.error)
    return theirs != own and all(t <= o for t, o in zip(theirs, own, strict=True))
