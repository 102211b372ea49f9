"""Convert between the skull's outer outline and the ellipse that a site's experts draw.

One expert measures from outer edge to outer edge, another a little further in, and no image shows
which. A net trained on both would draw something in between. So every mask is learnt as the outline
of the first dataset. A measurement is converted only where the user or the dataset names the site.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fetal_tf.edge.flag import Flag
from fetal_tf.edge.geometry.ellipse import Ellipse

FACTOR_RANGE = (0.8, 1.25)  # the thickness of a skull explains no more


@dataclass(frozen=True)
class Convention:
    """By which factors the outline's axes exceed those that a site's experts draw.

    Attributes:
        name: of the site or its dataset.
        ofd, bpd: length on the outline divided by the expert's length.

    Raises:
        ValueError: a factor outside FACTOR_RANGE.
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
        """The ellipse that the site's experts draw for a head with this outline."""
        return _scaled(outline, 1 / self.ofd, 1 / self.bpd)

    def outline(self, drawn: Ellipse) -> Ellipse:
        """The outline of a head for which the site's experts draw this ellipse."""
        return _scaled(drawn, self.ofd, self.bpd)

    def note(self) -> Flag:
        """Says which numbers follow the convention and which the outline."""
        ofd, bpd = (100 * (1 - 1 / factor) for factor in (self.ofd, self.bpd))
        return Flag(
            "convention",
            f"measured as the experts of {self.name} do: OFD {ofd:.1f} % and BPD {bpd:.1f} % "
            "shorter than the skull's outline; ages, z-scores and centiles are the outline's",
        )


def conventions_of(settings: Mapping[str, Any]) -> dict[str, Convention]:
    """The conventions in `{"conventions": {NAME: {"ofd": 1.03, "bpd": 1.02}}}`, by name.

    Raises:
        ValueError: another structure, or a factor outside FACTOR_RANGE.
    """
    stated = settings.get("conventions", {})
    if not isinstance(stated, Mapping):
        raise ValueError(f"conventions: factors by name are expected, found {stated!r}")
    return {name: Convention(name, **_factors(name, given)) for name, given in stated.items()}


def chosen_convention(settings: Mapping[str, Any]) -> Convention | None:
    """The convention that `settings["convention"]` names; None for the outline.

    Raises:
        ValueError: `settings["conventions"]` does not hold it.
    """
    known, name = conventions_of(settings), settings.get("convention")
    if name is None:
        return None
    if name not in known:
        raise ValueError(
            f"convention: found {name!r}; this net knows {', '.join(known) or 'no other'} beside "
            "the outline"
        )
    return known[name]


def _scaled(ellipse: Ellipse, along: float, across: float) -> Ellipse:
    """The ellipse with scaled axes. Where the long one would become the shorter, a circle."""
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
