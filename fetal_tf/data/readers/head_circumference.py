"""Hold the head circumference of a table against the outline that was drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fetal_tf.data.readers.hc18_files import HC_COLUMN, PIXEL_SIZE_COLUMN
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.pixel_sizes import USUAL_MM_PER_PIXEL, row_mm_per_pixel
from fetal_tf.edge.io.tables import TableRow

# Of HC18's 787 training images none differs by more than 0.14 %. Filled masks read with the wrong
# width of line make 1.4 % in the smallest head.
MAX_HC_PERCENT = 5.0
_FITS_PERCENT = 1.5
# The smallest head that is measured has about 40 mm, the largest 400.
_POSSIBLE_HC_MM = (15.0, 500.0)
_FEW_DRAWINGS = 5  # fewer say nothing about a whole table
_MIN_OFFSET_PX = 0.4
_MAX_SPREAD_PX = 0.4  # between the quartiles; 0.08 in HC18's annotations


@dataclass(frozen=True)
class FilledDrawing:
    """A filled annotation beside its row: perimeter of its outer border, px, pixel size and HC."""

    outer_perimeter_px: float
    mm_per_pixel: float
    hc_mm: float


def check_possible_head(place: object, hc_mm: float) -> None:
    """Refuse drawing and pixel size of no head.

    Args:
        place: file or row, for the message.
        hc_mm: the circumference that they make.

    Raises:
        DataError: it is below 15 or above 500 mm.
    """
    least, most = _POSSIBLE_HC_MM
    if not least <= hc_mm <= most:
        raise DataError(
            f"{place}: drawing and pixel size make a head circumference of {hc_mm:.3g} mm, "
            f"{least:g} to {most:g} are possible; is the pixel size in another unit?"
        )


def line_doubt(drawings: Sequence[FilledDrawing], line_px: float) -> str | None:
    """What to say of filled drawings that another width of line fits, None where this one does.

    A wrong line makes every head too small or too large by the same number of pixels, whatever its
    size. A wrong scale, which is proportional to it, is not taken for that.

    Args:
        drawings: of a whole table; of fewer than 5 nothing can be told.
        line_px: the width that they are read with.
    """
    if len(drawings) < _FEW_DRAWINGS:
        return None
    numbers = [(d.outer_perimeter_px, d.mm_per_pixel, d.hc_mm) for d in drawings]
    outer_px, mm_per_pixel, hc_mm = np.array(numbers).T
    # A curve at a constant distance inside a convex one is shorter by 2π times that.
    lines_px = (outer_px - hc_mm / mm_per_pixel) / np.pi
    offsets_px = (lines_px - line_px) / 2
    fits_px, offset_px = round(float(np.median(lines_px)), 1), float(np.median(offsets_px))
    if abs(offset_px) < _MIN_OFFSET_PX or np.ptp(np.percentile(offsets_px, (25, 75))) > (
        _MAX_SPREAD_PX
    ):
        return None
    shares = offsets_px / outer_px
    if np.std(shares) / abs(np.mean(shares)) < np.std(offsets_px) / abs(np.mean(offsets_px)):
        return None
    return (
        f"filled annotations are read as if a line of {line_px:g} px had been filled; the HC of "
        f"{len(drawings)} rows fits {fits_px + 0.0:g} px. Read so, each head's axes are "
        f"{2 * abs(offset_px):.1f} px too {'short' if offset_px < 0 else 'long'}: set "
        f"`data.options.annotation_line_px: {fits_px + 0.0:.1f}`"
    )


def mm_per_pixel_of(row: TableRow) -> float:
    """The pixel size of a row.

    Raises:
        DataError: it is out of range; says where the columns look swapped.
    """
    try:
        return row_mm_per_pixel(row, PIXEL_SIZE_COLUMN)
    except DataError as error:
        low, high = USUAL_MM_PER_PIXEL
        if any(low <= value <= high for value in _numbers(row, HC_COLUMN)):
            raise DataError(
                f"{error}; {HC_COLUMN!r} holds what a pixel size looks like: are the two columns "
                "swapped?"
            ) from error
        raise


def difference_percent(row: TableRow, perimeter_px: float, mm_per_pixel: float) -> float:
    """How much longer the drawn outline is than the table's circumference, per cent of the table's.

    Raises:
        DataError: the table's circumference is no positive number.
    """
    return 100 * (perimeter_px * mm_per_pixel / row.number(HC_COLUMN, positive=True) - 1)


def check_head_circumference(
    row: TableRow, perimeter_px: float, mm_per_pixel: float, neighbours: Sequence[TableRow]
) -> None:
    """Refuse a row whose circumference is not that of its drawn outline.

    Args:
        row: of the frame.
        perimeter_px: of the drawn outline, px.
        mm_per_pixel: of the row.
        neighbours: the rows above and below, to find out whether the table is shifted.

    Raises:
        DataError: they differ by more than 5 %; says what would explain it.
    """
    percent = difference_percent(row, perimeter_px, mm_per_pixel)
    if abs(percent) > MAX_HC_PERCENT:
        raise DataError(disagreement(row, perimeter_px, mm_per_pixel, neighbours))


def disagreement(
    row: TableRow, perimeter_px: float, mm_per_pixel: float, neighbours: Sequence[TableRow]
) -> str:
    """A sentence for a row that differs from its outline, with what would explain it."""
    table_mm, drawn_mm = row.number(HC_COLUMN, positive=True), perimeter_px * mm_per_pixel
    percent = difference_percent(row, perimeter_px, mm_per_pixel)
    reasons = list(_reasons(table_mm, perimeter_px, mm_per_pixel, neighbours))
    return (
        f"{row.place}: HC {table_mm:.1f} mm, but the annotation's perimeter times the pixel size "
        f"is {drawn_mm:.1f} mm ({percent:+.1f} %)" + (f": {reasons[0]}" if reasons else "")
    )


def _reasons(
    table_mm: float, perimeter_px: float, mm_per_pixel: float, neighbours: Sequence[TableRow]
) -> Iterator[str]:
    drawn_mm = perimeter_px * mm_per_pixel
    if _fits(drawn_mm, 10 * table_mm):
        yield "the table's HC looks like cm"
    if _fits(10 * drawn_mm, table_mm):
        yield "the table's HC is ten times too large, or the pixel size is in cm"
    if _fits(perimeter_px / mm_per_pixel, table_mm):
        yield "the pixel size looks inverted (pixels per mm)"
    for other in neighbours:
        sizes, lengths = _numbers(other, PIXEL_SIZE_COLUMN), _numbers(other, HC_COLUMN)
        if any(_fits(perimeter_px * mm, hc) for mm in sizes for hc in lengths):
            yield f"line {other.line} would fit: are the rows shifted?"


def _fits(one: float, other: float) -> bool:
    return other > 0 and abs(one / other - 1) < _FITS_PERCENT / 100


def _numbers(row: TableRow, column: str) -> list[float]:
    try:
        return [row.number(column, positive=True)]
    except DataError:
        return []
