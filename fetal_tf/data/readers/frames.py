"""What all readers do: list images, read frame by frame, report all faults in one error."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.images import IMAGE_SUFFIXES, frame_notes

_SHOWN_PROBLEMS = 5
_SHOWN_IDS = 20


def read_frames(
    folder: Path,
    ids: Iterable[str],
    read: Callable[[str], Sample],
    *,
    exclude: Iterable[str] = (),
    label: str | None = None,
    workers: int = 1,
) -> list[Sample]:
    """Call `read` for each id that is not excluded, and report all refusals together.

    Args:
        folder: where the frames lie, for the message.
        ids: what to read; the result is sorted by it.
        read: gives the checked sample, or raises a DataError that names file or line.
        exclude: ids to leave out; one that is not there is no error.
        label: of a progress bar; without one there is no bar, nor is there in a log file.
        workers: threads that call `read` at the same time.

    Raises:
        DataError: the first five refusals, how many there are, and how to leave the frames out; or
            all ids are excluded.
    """
    known = set(ids)
    ids = sorted(known.difference(exclude))
    if not ids:
        raise DataError(f"{folder}: no image is left; all {len(known)} are in `data.exclude`.")

    def attempt(id: str) -> Sample | DataError:
        try:
            sample = read(id)
            check_square(sample.image_path)
            return sample
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


def check_square(image: Path) -> None:
    """Refuse a frame whose file states pixels that are not square.

    Read for a measurement, its width is corrected; nobody knows which pixels were annotated.

    Raises:
        DataError: they are not square.
    """
    for note in frame_notes(image):
        if note.code == "pixels_made_square":
            raise DataError(
                f"{image}: {note.message.partition(':')[0]}, so it is unknown which pixels the "
                "annotation belongs to. Save frame and annotation with square pixels, or remove "
                "the resolution from the file."
            )


def visible_files(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Files by suffix, sorted, of a folder that may be absent.

    Hidden ones are passed over: `._010_HC.png` is what a Mac leaves beside the real file.
    """
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in paths if p.suffix.lower() in suffixes and not p.name.startswith("."))


def check_mask_size(
    mask: object, found: tuple[int, int], expected: tuple[int, int], image: Path | None = None
) -> None:
    """Raise a DataError where a mask has not the size of its `image`; both are (height, width)."""
    if found != expected:
        if image is not None:
            check_square(image)  # which would explain it
        raise DataError(
            f"{mask}: mask is {found[0]}x{found[1]} (height x width), "
            f"image is {expected[0]}x{expected[1]}"
        )


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
