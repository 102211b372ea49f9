"""A head's figures by its size and by the dataset it comes from: a mean over all hides both."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fetal_tf.scores.rows import Row
from fetal_tf.scores.statistics import finite, summarise

# Head circumference in mm: the INTERGROWTH-21st medians at 14, 20 and 28 weeks, rounded.
SIZE_LIMITS_MM = (100, 175, 260)
METRICS = ("dice", "hc_abs_error_mm", "hc_error_mm", "bpd_abs_error_mm", "ofd_abs_error_mm")
FIRST_SOURCE = "first"
_NO_SIZE = "hc_unknown"


def subgroup_section(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """`subgroups` of `summary.json`, for rows of heads.

    Args:
        rows: scored, as `SegmentationTask.evaluate` makes them.
        seed: of the bootstrap over groups.

    Returns:
        `size`: by the expert's circumference, `hc_below_100_mm`, `hc_100_to_175_mm` …; `source`,
        where several datasets are mixed: by their names, the first one's as `first`. Each holds
        `n`, `flagged`, `metrics` (see `fetal_tf.scores.statistics.summarise`) and
        `largest_unflagged_error_mm`, of HC, None where nothing is known. Empty groups are left out.
    """
    sources = _grouped(rows, _source)
    found = {"size": _described(_grouped(rows, _size), seed)}
    if len(sources) > 1:
        found["source"] = _described(sources, seed)
    return {"subgroups": found}


def _grouped(rows: Iterable[Row], name: Callable[[Row], str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(name(row), []).append(row)
    return {key: found[key] for key in sorted(found, key=_order)}


def _order(name: str) -> tuple[int, str]:
    known = [*map(_size_name, range(len(SIZE_LIMITS_MM) + 1)), _NO_SIZE, FIRST_SOURCE]
    return (known.index(name) if name in known else len(known)), name


def _size(row: Row) -> str:
    hc_mm = finite(row.get("hc_true_mm"))
    if hc_mm is None:
        return _NO_SIZE
    return _size_name(sum(hc_mm >= limit for limit in SIZE_LIMITS_MM))


def _size_name(place: int) -> str:
    if place == 0:
        return f"hc_below_{SIZE_LIMITS_MM[0]}_mm"
    if place == len(SIZE_LIMITS_MM):
        return f"hc_from_{SIZE_LIMITS_MM[-1]}_mm"
    return f"hc_{SIZE_LIMITS_MM[place - 1]}_to_{SIZE_LIMITS_MM[place]}_mm"


def _source(row: Row) -> str:
    return str(row.get("source") or FIRST_SOURCE)


def _described(groups: Mapping[str, Sequence[Row]], seed: int) -> dict[str, Any]:
    return {name: _figures(rows, seed) for name, rows in groups.items()}


def _figures(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    patients = [str(row["group"]) for row in rows]
    trusted = [row for row in rows if not row.get("flags") and not row.get("refused")]
    errors = [abs(e) for row in trusted if (e := finite(row.get("hc_error_mm"))) is not None]
    return {
        "n": len(rows),
        "flagged": sum(bool(row.get("flags")) and not row.get("refused") for row in rows),
        "metrics": {
            name: summarise([finite(row.get(name)) for row in rows], seed, patients)
            for name in METRICS
        },
        "largest_unflagged_error_mm": max(errors, default=None),
    }
