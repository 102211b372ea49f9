"""Rows of text as a table, for the terminal and for Markdown."""

from collections.abc import Sequence

from fetal_tf.scores.wording import DASH


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned with blanks: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = cells
        padded = [c.rjust(w) for c, w in zip(others, widths[1:], strict=True)]
        return "  ".join([first.ljust(widths[0]), *padded]).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *map(line, rows)])


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1
) -> str:
    """A Markdown table, the first `text_columns` to the left, the others to the right."""
    rule = ["---" if i < text_columns else "---:" for i in range(len(header))]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(_escaped(c) for c in cells) + " |" for cells in lines)


def number(value: float | None, digits: int = 3) -> str:
    """`digits` significant digits, a dash where there is no value."""
    if value is None:
        return DASH
    if value and abs(value) < 10**-4:
        return f"{value:.{max(0, digits - 2)}e}"
    return f"{value:.{digits}g}" if abs(value) < 10 ** (digits - 1) else f"{value:.0f}"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
