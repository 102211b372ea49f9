"""The parts of the report page: plots, tables, and sections that hold both."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup
from matplotlib.figure import Figure

from fetal_tf.reporting.plots.figures import inline_svg


@dataclass(frozen=True)
class Plot:
    """A figure with its text for screen readers (`alt`) and how to read it (`reading`)."""

    name: str
    title: str
    figure: Figure
    alt: str
    reading: str
    wide: bool = False

    @property
    def svg(self) -> Markup:
        return Markup(inline_svg(self.figure, self.name, self.alt))


@dataclass(frozen=True)
class Table:
    """A table of text cells. The first column names the row.

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
    """One section of the page, below the task's metrics.

    Attributes:
        title: the section's heading.
        key: its anchor in the page, letters only.
        sentences: the result in words.
        tables: one below the other.
        plots: side by side.
    """

    title: str
    key: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = field(default_factory=tuple)
