"""The unit of a number, by its name."""

from collections.abc import Iterable, Mapping

# Parts of names that are units.
_UNITS = ("mm", "mm2", "px", "px2", "percent", "weeks", "days", "deg")
_ENDINGS: Mapping[str, str] = {
    "_z": "standard deviations", "_centile": "centile", "_per_pixel": "mm/px",
}  # fmt: skip
_WHOLE: Mapping[str, str] = {"cephalic_index": "percent"}
DIMENSIONLESS = "1"
# Names of records that are no numbers.
TEXTS = ("file", "overlay", "ventriculomegaly", "flags", "notes", "refused", "error")


def unit_of(name: str) -> str:
    """`hc_mm` → mm, `ga_weeks_hadlock` → weeks, `hc_centile` → centile, `fit_iou` → 1."""
    if name in _WHOLE:
        return _WHOLE[name]
    for ending, unit in _ENDINGS.items():
        if name.endswith(ending):
            return unit
    return next((part for part in name.split("_") if part in _UNITS), DIMENSIONLESS)


def units_of(names: Iterable[str]) -> dict[str, str]:
    """Name → unit, of all that are numbers."""
    return {name: unit_of(name) for name in names if name not in TEXTS}
