"""A small dataset in FOCUS's layout, to be broken by tests."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fetal_tf.data.readers.focus_annotations import ellipse_lines, rectangle_lines
from fetal_tf.data.readers.focus_masks import MASK_BORDER_PX
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.io.images import write_png

KINDS = ("annfiles_ellipse", "annfiles_rectangle", "annfiles_mask")
SHAPE = (120, 160)
OUTLINES = {
    "thorax": Ellipse(80.3, 60.7, 50.0, 40.0, 20.0),
    "heart": Ellipse(86.1, 55.2, 24.0, 15.0, 110.0),
}
WORDS = {"heart": "cardiac", "thorax": "thorax"}


def write_frame(
    folder: Path, stem: str, gray: int, outlines: Mapping[str, Ellipse] = OUTLINES
) -> None:
    """An image whose bytes depend on `gray`, and all three kinds of annotation."""
    for kind in ("images", *KINDS):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    image = np.full(SHAPE, gray, np.uint8)
    image[40:80, 60:100] += 40
    write_png(folder / "images" / f"{stem}.png", image)
    (folder / "annfiles_ellipse" / f"{stem}.txt").write_text(ellipse_lines(outlines))
    (folder / "annfiles_rectangle" / f"{stem}.txt").write_text(rectangle_lines(outlines))
    for structure, outline in outlines.items():
        mask = filled(outline) * np.uint8(255)
        write_png(folder / "annfiles_mask" / f"{stem}-{WORDS[structure]}.png", mask)


def filled(outline: Ellipse) -> np.ndarray:
    """What FOCUS fills, uint8 0 or 1: the pixels that the outline runs through count too."""
    return rasterise(outline.shrunk(-MASK_BORDER_PX), SHAPE).astype(np.uint8)


def write_focus(root: Path) -> Path:
    """Five good frames in all three official folders, each another image; returns `root`."""
    for gray, place in enumerate(
        ["training/001", "training/002", "training/003", "validation/001", "testing/001"]
    ):
        folder, stem = place.split("/")
        write_frame(root / folder, stem, 20 + 10 * gray)
    return root


def write_text(root: Path, place: str, *lines: str) -> None:
    (root / place).write_text("\n".join(lines))
