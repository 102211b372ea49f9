"""A part of the report that one kind of task adds: sentences, tables and figures, in this order."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fetal_tf.reporting.section_figures import Plot


@dataclass(frozen=True)
class Table:
    """Text cells under a header; the first column names the row.

    Attributes:
        title: above the table.
        header: one text per column.
        rows: of text cells.
        reading: how to read it, below the table.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    reading: str = ""


@dataclass(frozen=True)
class Section:
    """What a task shows beside its metrics.

    Attributes:
        title: the section's heading.
        key: of its anchor in the page, letters only.
        sentences: the result in words.
        tables: one below the other.
        plots: side by side.
    """

    title: str
    key: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = field(default_factory=tuple)
