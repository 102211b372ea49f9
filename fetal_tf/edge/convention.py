"""Where the experts of a centre put their calipers, for a net that has learnt from several.

One expert measures the skull from outer edge to outer edge, another a little further in. A net
trained on both without being told draws something in between, wrong for either. Here every mask is
learnt in one convention, the outline of the first dataset; one more map per other centre shows
what in the frame is its own (lettering, scales, grain), and the measurement is then given as its
experts would.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fetal_tf.edge.ellipse import Ellipse

LEVEL = 0.5  # what a centre's map shows of a frame that is read in its convention
UNCLEAR = (0.2, 0.8)  # between these, a person should look which of the two it is
EVIDENCE_POWER = (
    8  # (mean p^8)^(1/8): one pixel in a hundred that is sure gives 0.56, one in ten 0.75
)
FACTOR_RANGE = (0.8, 1.25)  # a skull's thickness; more is a mistake


@dataclass(frozen=True)
class Convention:
    """How far the outline's axes exceed those that a centre's experts draw.

    Attributes:
        name: of the centre, and of its map among the classes.
        ofd, bpd: outline over expert, both without unit.
    """

    name: str
    ofd: float
    bpd: float

    def __post_init__(self) -> None:
        low, high = FACTOR_RANGE
        for key in ("ofd", "bpd"):
            value = getattr(self, key)
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(
                    f"{self.name}.{key}: outline over expert is {low:g} to {high:g}, found {value}"
                )

    def as_drawn(self, outline: Ellipse) -> Ellipse:
        """The ellipse that the centre's experts would draw for this outline."""
        return _scaled(outline, 1 / self.ofd, 1 / self.bpd)

    def outline(self, drawn: Ellipse) -> Ellipse:
        """The outline of a head for which the centre's experts have drawn this ellipse."""
        return _scaled(drawn, self.ofd, self.bpd)


def conventions_of(settings: Mapping[str, Any], names: Sequence[str]) -> tuple[Convention, ...]:
    """The conventions of the classes `names`, from `{"conventions": {NAME: {ofd, bpd}}}`.

    Raises:
        ValueError: one of them is not stated, another is, or a factor is senseless.
    """
    stated = settings.get("conventions", {})
    if not isinstance(stated, Mapping) or set(stated) != set(names):
        asked = ", ".join(names) or "none"
        found = ", ".join(stated) or "none" if isinstance(stated, Mapping) else repr(stated)
        raise ValueError(f"conventions: the classes ask for {asked}, found {found}")
    return tuple(Convention(name, **_factors(name, stated[name])) for name in names)


def recognised(
    maps: np.ndarray | None, conventions: Sequence[Convention]
) -> tuple[Convention | None, tuple[str, ...]]:
    """In which convention a frame is read, None for the outline itself, and the doubts about it.

    Args:
        maps: float32 [h, w, M], each 0..1, one map per convention, without padding; None where the
            net shows none.
        conventions: in the order of the maps.
    """
    if maps is None or not conventions:
        return None, ()
    powers = np.power(maps, EVIDENCE_POWER).mean(axis=(0, 1), dtype=np.float64)
    shown = np.power(powers, 1 / EVIDENCE_POWER)
    best = int(np.argmax(shown))
    convention, seen = conventions[best], float(shown[best])
    return (convention if seen >= LEVEL else None), tuple(_doubts(convention, seen))


def _doubts(convention: Convention, seen: float) -> Iterator[str]:
    low, high = UNCLEAR
    if low < seen < high:
        yield (
            f"unclear_centre: looks like a frame of {convention.name} with {seen:.2f} "
            f"(clear below {low:g} and above {high:g}); its experts draw OFD "
            f"{100 * (1 - 1 / convention.ofd):.1f} % and BPD {100 * (1 - 1 / convention.bpd):.1f} "
            "% shorter"
        )


def convention_note(convention: Convention) -> str:
    """What a reader of the numbers should know."""
    return (
        f"read as the experts of {convention.name} measure: OFD "
        f"{100 * (1 - 1 / convention.ofd):.1f} % and BPD {100 * (1 - 1 / convention.bpd):.1f} % "
        "shorter than the skull's outline"
    )


def _scaled(ellipse: Ellipse, along: float, across: float) -> Ellipse:
    """The axes times their factors; a round head's long axis stays the longer one."""
    long, short = ellipse.semi_major * along, ellipse.semi_minor * across
    if long < short:
        long = short = math.sqrt(long * short)
    return Ellipse(ellipse.center_x, ellipse.center_y, long, short, ellipse.angle_deg)


def _factors(name: str, stated: Any) -> dict[str, float]:
    if not isinstance(stated, Mapping) or set(stated) != {"ofd", "bpd"}:
        raise ValueError(f"conventions.{name}: ofd and bpd are expected, found {stated!r}")
    for key, value in stated.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"conventions.{name}.{key}: a number is expected, found {value!r}")
    return {key: float(value) for key, value in stated.items()}
