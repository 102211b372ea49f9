"""An audit as one self-contained page: counts, pictures of every kind of fault, the fingerprint."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fetal_tf.data.audit.audit import Audit
from fetal_tf.data.audit.copies import Duplicates
from fetal_tf.data.audit.frame import AuditedFrame
from fetal_tf.edge.errors import ImageError
from fetal_tf.reporting.audit_picture import draw_frame
from fetal_tf.reporting.html import jpeg_uri, render

EXAMPLES = 4  # pictures of each kind of fault, at most
_OUTERMOST = 2  # pictures of each extreme
_THUMBNAIL_PX = 720
_LISTED = 40  # groups of copies; audit.json has them all
_MEANINGS: Mapping[str, str] = {
    "good": "nothing found",
    "suspect": "to be looked at",
    "repairable": "names or order of the ends exchanged",
    "wrong": "cannot be used as it is",
}


def audit_page(audit: Audit, dataset: str, root: str) -> str:
    """The page as HTML; pictures are drawn from the images, which must still be there.

    Args:
        audit: of the dataset.
        dataset: its name.
        root: what to call the folder.
    """
    shown: set[str] = set()
    fingerprint = audit.fingerprint()
    return render(
        "audit.html.j2",
        dataset=dataset,
        root=root,
        total=len(audit.frames),
        verdicts=audit.verdicts(),
        meanings=_MEANINGS,
        faults=_faults(audit, shown),
        extremes=_extremes(audit, shown),
        copies=[
            _copies("Byte-identical images", audit.duplicates),
            _copies("Nearly identical images", audit.near_duplicates),
        ],
        listed=_LISTED,
        counts=audit.counts(),
        measures=[
            (name, [_number(values[key]) for key in ("n", "min", "mean", "sd", "median", "max")])
            for name, values in audit.statistics().items()
        ],
        fingerprint=fingerprint,
        number=_number,
        tables=list(audit.tables),
    )


def _faults(audit: Audit, shown: set[str]) -> list[dict[str, Any]]:
    """Every kind of finding, those that make a frame wrong first."""
    found = [_fault(code, frames, shown) for code, frames in audit.frames_by_code().items()]
    return sorted(found, key=lambda fault: fault["verdict"] != "wrong")


def _fault(code: str, frames: Sequence[AuditedFrame], shown: set[str]) -> dict[str, Any]:
    """One kind of finding: its count and examples.

    First come frames that nothing worse is wrong with, and among them those not shown before.
    """
    finding = next(f for f in frames[0].findings if f.code == code)
    verdict = "wrong" if finding.wrong else frames[0].doubt
    picked: list[AuditedFrame] = []
    for alike in (True, False):
        for new in (True, False):
            picked += _spread(
                [f for f in frames if (f.verdict == verdict, f.file not in shown) == (alike, new)]
            )
    cases = _cases(picked[:EXAMPLES])
    shown.update(case["file"] for case in cases)
    return {
        "code": code,
        "title": code.replace("_", " ").capitalize(),
        "n": len(frames),
        "verdict": verdict,
        "example": finding.sentence,
        "cases": cases,
    }


def _spread(frames: Sequence[AuditedFrame]) -> list[AuditedFrame]:
    """Some frames from all over the dataset."""
    places = np.linspace(0, len(frames) - 1, min(EXAMPLES, len(frames))).round().astype(int)
    return [frames[place] for place in places]


def _extremes(audit: Audit, shown: set[str]) -> list[dict[str, Any]]:
    """The outermost usable frames of each measure that says how well a frame fits the others."""
    views = []
    for name, end in audit.extremes.items():
        measured = [f for f in audit.frames if name in f.measures and f.verdict != "wrong"]
        measured.sort(key=lambda f: f.measures[name], reverse=end == "highest")
        fresh = [frame for frame in measured if frame.file not in shown][:_OUTERMOST]
        cases = _cases(fresh)
        shown.update(case["file"] for case in cases)
        for case, frame in zip(cases, fresh, strict=False):
            case["fact"] = f"{name} {_number(frame.measures[name])}"
        if cases:
            views.append({"title": f"{end.capitalize()} {name}", "cases": cases})
    return views


def _cases(frames: Sequence[AuditedFrame]) -> list[dict[str, Any]]:
    """What the page shows of frames."""
    return [
        {
            "file": frame.file,
            "verdict": frame.verdict,
            "findings": [(f.code, f.sentence) for f in frame.findings],
            "source": _picture(frame),
            "fact": "",
        }
        for frame in frames
    ]


def _picture(frame: AuditedFrame) -> str:
    """A data URI, empty where there is nothing to draw."""
    try:
        drawn = draw_frame(frame)
    except ImageError:  # the file has gone since the audit; its row stays true
        return ""
    return "" if drawn is None else jpeg_uri(drawn, _THUMBNAIL_PX)


def _copies(title: str, groups: Sequence[Duplicates]) -> dict[str, Any]:
    """A table of groups, those first that a split would tear apart."""
    leaks = [group for group in groups if group.across_splits or group.across_groups]
    others = [group for group in groups if group not in leaks]
    return {
        "title": title,
        "n": len(groups),
        "leaks": len(leaks),
        "rows": [(" · ".join(g.files), _spread_over(g)) for g in (*leaks, *others)],
    }


def _spread_over(group: Duplicates) -> str:
    over = [
        name
        for name, yes in (("splits", group.across_splits), ("groups", group.across_groups))
        if yes
    ]
    return f"across {' and '.join(over)}" if over else "within"


def _number(value: float) -> str:
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value)}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
