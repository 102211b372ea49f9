"""HTML page of a dataset audit: counts, example pictures of each finding, the fingerprint."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fetal_tf.data.audit.audit import Audit
from fetal_tf.data.audit.copies import Duplicates
from fetal_tf.data.audit.frame import AuditedFrame
from fetal_tf.data.audit.landmarks import USUAL_SHAPE
from fetal_tf.edge.draw.head_overlay import BPD, ELLIPSE, MASK, OFD
from fetal_tf.edge.draw.landmark_overlay import AXIS_COLORS, axis_calipers
from fetal_tf.edge.draw.layers import TRUTH, Label, Outline
from fetal_tf.edge.draw.legend import Color, Entry
from fetal_tf.edge.draw.picture import Layer, draw
from fetal_tf.edge.errors import ImageError
from fetal_tf.edge.geometry.landmarks import AXES
from fetal_tf.edge.io.images import read_gray
from fetal_tf.reporting.html import jpeg_uri, render

EXAMPLES = 4  # pictures of each kind of finding, at most
_OUTERMOST = 2  # pictures of the extreme values of each measure
_THUMBNAIL_PX = 720
_LISTED = 40  # groups of copies, at most; audit.json has all
_OUTLINE_COLORS: tuple[Color, ...] = (MASK, ELLIPSE, BPD, OFD)
_MEANINGS: Mapping[str, str] = {
    "good": "nothing found",
    "suspect": "to be looked at",
    "repairable": "names or order of the ends exchanged",
    "wrong": "cannot be used as it is",
}


def audit_page(audit: Audit, dataset: str, root: str) -> str:
    """Build the page as HTML. An image that can no longer be read gets no picture.

    Args:
        audit: of the dataset.
        dataset: its name.
        root: the name of its folder.
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
    """All kinds of findings. Those that make a frame wrong come first."""
    found = [_fault(code, frames, shown) for code, frames in audit.frames_by_code().items()]
    return sorted(found, key=lambda fault: fault["verdict"] != "wrong")


def _fault(code: str, frames: Sequence[AuditedFrame], shown: set[str]) -> dict[str, Any]:
    """One kind of finding: its count and examples.

    Frames without a worse finding come first, and among them those not yet on the page.
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
    """At most EXAMPLES frames, evenly spaced over the dataset."""
    places = np.linspace(0, len(frames) - 1, min(EXAMPLES, len(frames))).round().astype(int)
    return [frames[place] for place in places]


def _extremes(audit: Audit, shown: set[str]) -> list[dict[str, Any]]:
    """The usable frames with the most extreme value of each measure in `audit.extremes`."""
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
    """What the template needs of each frame."""
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
    """The drawn frame as a data URI; empty where there is nothing to draw."""
    try:
        drawn = draw_frame(frame)
    except ImageError:  # the file was removed after the audit; its row stays
        return ""
    return "" if drawn is None else jpeg_uri(drawn, _THUMBNAIL_PX)


def draw_frame(frame: AuditedFrame) -> np.ndarray | None:
    """Draw a frame with its mask borders, ellipses (dashed) and axes with numbered ends.

    Returns:
        RGB uint8 (H, W, 3) with a legend below the image. Labels without an image are drawn on
        black. None where there is neither image nor axes.

    Raises:
        ImageError: the image cannot be read.
    """
    axes = None if frame.axes is None or not np.isfinite(frame.axes).all() else frame.axes
    if frame.image is None and axes is None:
        return None
    image = read_gray(frame.image) if frame.image else np.zeros(USUAL_SHAPE, np.uint8)
    layers: list[Layer] = [
        Outline(outline, color)
        for outlines, color in zip(frame.outlines.values(), _OUTLINE_COLORS, strict=False)
        for outline in outlines
    ]
    layers += [Outline(e.points(480), TRUTH, 2, dashed=True) for e in frame.ellipses.values()]
    if axes is not None:
        layers += axis_calipers(axes)
        for axis, ends in AXES.items():
            for number, end in enumerate(axes[ends], start=1):
                layers.append(Label(end, str(number), AXIS_COLORS[axis]))
    return draw(image, layers, _entries(frame, axes))


def _entries(frame: AuditedFrame, axes: np.ndarray | None) -> Iterator[Entry]:
    if axes is not None:
        for axis, ends in AXES.items():
            length_px = float(np.linalg.norm(np.diff(axes[ends], axis=0)))
            yield Entry(f"labelled {axis.upper()}, {length_px:.0f} px", AXIS_COLORS[axis])
    for name, color in zip(frame.outlines, _OUTLINE_COLORS, strict=False):
        yield Entry(f"mask: {name}", color)
    if frame.ellipses:
        yield Entry(f"ellipse: {', '.join(frame.ellipses)}", TRUTH)
    if frame.image is None:
        yield Entry("no image")


def _copies(title: str, groups: Sequence[Duplicates]) -> dict[str, Any]:
    """A table of groups of copies. Those across splits or groups come first."""
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
