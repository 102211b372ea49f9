"""Format rows of text as an aligned table, for the screen or in Markdown."""

from collections.abc import Sequence

from fetal_tf.scores.wording import DASH

Lines = Sequence[Sequence[str]]


def text_table(lines: Lines, text_columns: int = 1, *, rule: bool = False) -> str:
    """Format an aligned table: text columns to the left, numbers to the right.

    Args:
        lines: the header, then the rows.
        text_columns: how many columns, from the first, hold text.
        rule: draw a line of dashes below the header.

    Example:
        >>> print(text_table([["run", "dice"], ["one", "0.97"]]))
        run  dice
        one  0.97
    """
    widths = _widths(lines)
    head, *rows = lines
    ruled = [["-" * width for width in widths]] if rule else []
    return "\n".join(
        "  ".join(_padded(line, widths, text_columns)).rstrip() for line in (head, *ruled, *rows)
    )


def markdown_table(lines: Lines, text_columns: int = 1, bar: str = r"\|") -> str:
    """Format a Markdown table that is aligned as plain text, too.

    Args:
        lines: the header, then the rows.
        text_columns: how many columns, from the first, hold text.
        bar: replaces `|` in cells: escaped for Markdown, unchanged for the screen.
    """
    escaped = [[cell.replace("|", bar) for cell in line] for line in lines]
    widths = [max(4, width) for width in _widths(escaped)]
    rule = ["-" * w if k < text_columns else "-" * (w - 1) + ":" for k, w in enumerate(widths)]
    head, *rows = (_padded(line, widths, text_columns) for line in escaped)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def significant(value: float | None, digits: int = 3) -> str:
    """Format with `digits` significant digits; a dash for None."""
    if value is None:
        return DASH
    if value and abs(value) < 10**-4:
        return f"{value:.{max(0, digits - 2)}e}"
    return f"{value:.{digits}g}" if abs(value) < 10 ** (digits - 1) else f"{value:.0f}"


def _widths(lines: Lines) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _padded(line: Sequence[str], widths: Sequence[int], text_columns: int) -> list[str]:
    return [
        cell.ljust(width) if column < text_columns else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
