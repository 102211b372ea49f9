"""Frame by frame through a dataset: what can be used, or one error for all that cannot."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError

_SHOWN_PROBLEMS = 5
_SHOWN_IDS = 20


def read_frames(
    folder: Path,
    ids: Iterable[str],
    read: Callable[[str], Sample],
    *,
    label: str | None = None,
    workers: int = 1,
) -> list[Sample]:
    """Call `read` for each id, and report all that it refuses together.

    Args:
        folder: where the frames lie, for the message.
        ids: what to read, in the order of the result.
        read: gives the checked sample, or raises a DataError that names file or line.
        label: of a progress bar; without one there is no bar, nor is there in a log file.
        workers: threads that call `read` at the same time.

    Raises:
        DataError: the first five refusals, how many there are, and how to leave the frames out.
    """
    ids = list(ids)

    def attempt(id: str) -> Sample | DataError:
        try:
            return read(id)
        except DataError as error:
            return error

    hidden = True if label is None else None  # None: where standard error is no terminal
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(attempt, ids)
        found = list(tqdm(results, label, len(ids), unit="frame", disable=hidden, leave=False))
    problems = {id: str(f) for id, f in zip(ids, found, strict=True) if isinstance(f, DataError)}
    if problems:
        raise DataError(_report(folder, problems, len(ids)))
    return [sample for sample in found if isinstance(sample, Sample)]


def only_path(paths: Sequence[Path], folder: Path, stem: str) -> Path | None:
    """The file for `stem`, or None; a DataError where there are several."""
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise DataError(f"{folder}: {len(paths)} files for {stem} ({names}); one expected")
    return paths[0] if paths else None


def _report(folder: Path, problems: dict[str, str], count: int) -> str:
    shown = [f"  {text.rstrip('.')}." for text in list(problems.values())[:_SHOWN_PROBLEMS]]
    if len(problems) > len(shown):
        shown.append(f"  … and {len(problems) - len(shown)} more.")
    ids = ", ".join(list(problems)[:_SHOWN_IDS]) + (", …" if len(problems) > _SHOWN_IDS else "")
    return "\n".join(
        [
            f"{folder}: {len(problems)} of {count} images cannot be used:",
            *shown,
            f"Leave them out with `data.exclude: [{ids}]`, or correct them.",
        ]
    )
