"""Hold the head circumference of a table against the outline that was drawn."""

from collections.abc import Iterator, Sequence

from fetal_tf.data.readers.hc18_files import HC_COLUMN, PIXEL_SIZE_COLUMN
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.pixel_sizes import row_mm_per_pixel
from fetal_tf.edge.io.tables import TableRow

# Of HC18's 787 training images none differs by more than 0.14 %. Filled masks read with the wrong
# width of line make 1.4 % in the smallest head.
MAX_HC_PERCENT = 5.0
_FITS_PERCENT = 1.5
_USUAL_MM_PER_PIXEL = (0.02, 0.5)


def mm_per_pixel_of(row: TableRow) -> float:
    """The pixel size of a row.

    Raises:
        DataError: it is out of range; says where the columns look swapped.
    """
    try:
        return row_mm_per_pixel(row, PIXEL_SIZE_COLUMN)
    except DataError as error:
        low, high = _USUAL_MM_PER_PIXEL
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
    row: TableRow, perimeter_px: float, mm_per_pixel: float, neighbours: Sequence[TableRow] = ()
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
