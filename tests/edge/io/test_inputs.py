"""Paths from a command line, and pictures that never overwrite one another."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.edge.errors import ImageError
from fetal_tf.edge.io.files import write_bytes_atomic
from fetal_tf.edge.io.inputs import image_paths, picture_names


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.PNG", "a.png", "c.jpeg", "notes.txt", ".hidden.png", "a_Annotation.png",
        "sub/a.png", "out/overlays/a.png",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


def test_a_folder_gives_its_images_in_order(folder):
    assert names(image_paths([str(folder)]), folder) == ["a.png", "b.PNG", "c.jpeg"]


def test_globs_and_what_an_earlier_run_made(folder):
    pattern = str(folder / "**" / "*.png")
    assert "out/overlays/a.png" in names(image_paths([pattern]), folder)
    (folder / "out" / "measurements.csv").touch()
    assert names(image_paths([pattern]), folder) == ["a.png", "sub/a.png"]


def test_repeats_are_one_input(folder):
    references = [str(folder / "a.png"), str(folder), str(folder / "sub" / ".." / "a.png")]
    assert names(image_paths(references), folder) == ["a.png", "b.PNG", "c.jpeg"]


def test_a_named_file_is_taken_as_it_is(folder):
    named = [str(folder / n) for n in ("a_Annotation.png", "notes.txt", "absent.png")]
    assert [str(p) for p in image_paths(named)] == named


def test_a_bracket_in_a_real_name_is_no_glob(folder):
    path = folder / "scan[1].png"
    path.touch()
    assert image_paths([str(path)]) == [path]


def test_empty_folders_and_globs_are_errors(folder):
    (folder / "empty").mkdir()
    with pytest.raises(ImageError, match=r"empty: no image in this folder.*--recursive"):
        image_paths([str(folder / "a.png"), str(folder / "empty")])
    with pytest.raises(ImageError, match="no image matches"):
        image_paths([str(folder / "*.gif")])


def test_a_name_too_long_and_a_loop_of_links_are_left_to_the_reader(folder):
    long, loop = folder / ("n" * 300 + ".png"), folder / "loop.png"
    loop.symlink_to(loop)
    named = [str(long), str(loop), str(folder / "a.png")]
    assert [str(p) for p in image_paths(named)] == named
    assert names(image_paths([str(folder)]), folder) == ["a.png", "b.PNG", "c.jpeg"]


@pytest.mark.skipif(os.name != "posix", reason="permissions as on POSIX")
def test_a_folder_that_cannot_be_listed(folder, monkeypatch):
    def refuse(_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "iterdir", refuse)  # the tests may run as root
    with pytest.raises(ImageError, match="sub: cannot be listed: Permission denied"):
        image_paths([str(folder / "sub")])


@pytest.mark.parametrize("letter", ["n", "ä", "\udcff"])
def test_long_names_are_cut_so_that_the_temporary_one_fits(tmp_path, letter):
    stem = letter * (251 // len(os.fsencode(letter)))
    paths = [tmp_path / d / f"{stem}{e}.png" for d in "ab" for e in ("", "x")]
    found = picture_names(paths)
    assert len(set(found)) == 4
    for name in found:
        assert len(os.fsencode(name)) <= 255 - len("..01234567")
        write_bytes_atomic(tmp_path / name, b"1")


def test_same_stems_get_their_folders_name():
    paths = [Path("/x/p1/a.png"), Path("/x/p2/a.png"), Path("/x/p2/a.jpg"), Path("/x/p2/b.png")]
    assert picture_names(paths) == ["p1_a.png", "p2_a.png", "p2_a-2.png", "b.png"]


def test_names_that_a_table_has_are_taken():
    paths = [Path("/x/p1/a.png"), Path("/x/p2/b.png"), Path("/x/p2/scan\udcff.png")]
    taken = ["A.png", "b-2.png", r"scan\udcff.png"]
    assert picture_names(paths, taken) == ["a-2.png", "b.png", "scan\udcff-2.png"]


part = st.text("aAb_-12", min_size=1, max_size=3)


@given(st.lists(st.builds(lambda d, s, e: Path(f"/r/{d}/{s}.{e}"), part, part, part), unique=True))
def test_names_never_collide_even_where_case_does_not_count(paths):
    found = picture_names(paths)
    assert len({name.casefold() for name in found}) == len(paths)
    assert all(path.stem in name for path, name in zip(paths, found, strict=True))
