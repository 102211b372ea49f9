"""Predict loses nothing: killed, interrupted, broken off by a full disk, or started four times."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fetal_tf.edge.bundle.prediction as prediction_module
import fetal_tf.edge.bundle.workers as workers_module
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.io.images import write_png
from fetal_tf.predict import main
from tests.edge.bundle.tiny_bundle import bright_head, tflite_models, write_bundle

ROOT = Path(__file__).resolve().parents[1]
MM = ["--mm-per-pixel", "0.8"]
# The command; it measures two images, then waits to be ended.
BLOCKED = """
import sys
import fetal_tf.edge.bundle.workers as module
from fetal_tf.predict import main

measure, calls = module.predict_file, []

def blocked(*arguments, **named):
    calls.append(arguments)
    if len(calls) > 2:
        print("blocked", flush=True)
        sys.stdin.read()
    return measure(*arguments, **named)

module.predict_file = blocked
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a bundle and four images, and the working directory of the test."""
    write_bundle(tmp_path / "bundle", tflite_models())
    for name in "abcd":
        write_png(tmp_path / "scans" / f"{name}.png", bright_head())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.fixture
def start(place):
    """Start a command that measures two images of four into `out`, and wait until it has."""
    started = []

    def run(*options):
        process = subprocess.Popen(
            [sys.executable, "-c", BLOCKED, "bundle", "scans", *MM, "--out", "out", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "blocked\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def table(folder):
    with (folder / "measurements.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def files(folder):
    return [row["file"] for row in table(folder)]


def resumed(*options):
    return main(["bundle", "scans", *MM, "--out", "out", "--resume", *options])


def test_after_kill_9_the_table_holds_all_that_was_measured(place, start, capsys):
    process = start()
    process.kill()
    process.wait()
    assert files(place / "out") == ["scans/a.png", "scans/b.png"]
    (place / "out" / "overlays" / ".c.0123abcd.png").touch()  # as it is written
    first, _ = table(place / "out")
    assert resumed("--json") == 0
    assert files(place / "out") == [f"scans/{name}.png" for name in "abcd"]
    assert table(place / "out")[0] == first
    tree = json.loads((place / "out" / "measurements.json").read_text())
    assert [row["file"] for row in tree["measurements"]] == files(place / "out")
    assert [row["hc_mm"] for row in tree["measurements"]] == [float(first["hc_mm"])] * 4
    assert "2 measured (0 flagged), 0 refused, 0 broken, 2 before" in capsys.readouterr().out
    assert not list((place / "out").rglob(".*"))


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_one_line_and_its_exit_code(place, start, number, code):
    process = start("--json")
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == code
    assert said.splitlines()[-1] == (
        "interrupted after 2 of 4 images; --resume goes on with --out out"
    )
    assert "Traceback" not in said
    tree = json.loads((place / "out" / "measurements.json").read_text())
    assert len(tree["measurements"]) == len(table(place / "out")) == 2


def test_a_second_writer_is_refused_while_the_first_runs(place, start, capsys):
    first = start()
    for option in ("--resume", "--overwrite"):
        assert main(["bundle", "scans", *MM, "--out", "out", option]) == 2
        said = capsys.readouterr().err
        assert f"out: process {first.pid} on " in said and said.count("\n") == 1
    first.communicate("")  # lets it go on
    assert first.returncode == 0
    assert files(place / "out") == [f"scans/{name}.png" for name in "abcd"]


def test_four_at_once_have_four_folders(place):
    for number in range(8):
        write_png(place / "more" / f"{number}.png", bright_head())
    command = [sys.executable, "-m", "fetal_tf.predict", "bundle", "more", *MM]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate()[0] for process in running]
    named = [re.search(r"(\S+)/measurements\.csv", text)[1] for text in said]
    assert [process.returncode for process in running] == [0] * 4
    folders = ["predictions", *(f"predictions-{number}" for number in (2, 3, 4))]
    assert sorted(named) == sorted(folders)
    for folder in folders:
        assert [row["error"] for row in table(place / folder)] == [""] * 8
        assert len(list((place / folder / "overlays").iterdir())) == 8


@pytest.mark.parametrize("cut", [1, 5, 200])
def test_a_torn_row_is_measured_once_more(place, cut):
    assert resumed() == 0
    file = place / "out" / "measurements.csv"
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    assert resumed() == 0
    assert file.read_bytes() == whole
    assert len(list((place / "out" / "overlays").iterdir())) == 4


def test_a_folder_with_a_table_is_not_written_into_unasked(place, capsys):
    assert main(["bundle", "scans", *MM, "--out", "out"]) == 0
    before = (place / "out" / "measurements.csv").read_bytes()
    assert main(["bundle", "scans/a.png", *MM, "--out", "out"]) == 2
    said = capsys.readouterr().err
    assert "--resume" in said and "--overwrite" in said
    assert (place / "out" / "measurements.csv").read_bytes() == before
    (place / "out" / "overlays" / "mine.png").touch()
    assert main(["bundle", "scans/a.png", "--out", "out", "--overwrite", "--json"]) == 0
    assert files(place / "out") == ["scans/a.png"]
    pictures = sorted(path.name for path in (place / "out" / "overlays").iterdir())
    assert pictures == ["a.png", "mine.png"]


def test_the_help_says_what_an_exit_code_means(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert "exit codes:\n" in said and "130, 143" in said


@pytest.mark.parametrize("option", ["--resume", "--overwrite"])
def test_going_on_needs_a_folder(place, capsys, option):
    with pytest.raises(SystemExit) as stopped:
        main(["bundle", "scans", option])
    assert stopped.value.code == 2 and "--out DIR" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, said",
    [
        (["bundle", *MM, "--ga-weeks", "20"], "ga_weeks None there, 20.0 here"),
        (["bundle", "--mm-per-pixel", "0.7"], "mm_per_pixel 0.8 there, 0.7 here"),
        (["bundle", "--pixel-size-csv", "sizes.csv"], "mm_per_pixel 0.8 there, None here"),
        (["bundle", *MM, "--format", "int8"], "format 'float32' there, 'int8' here"),
        (["other", *MM], "bundle_seal_sha256"),
    ],
)
def test_other_settings_do_not_go_on(place, capsys, options, said):
    assert main(["bundle", "scans/a.png", *MM, "--out", "out"]) == 0
    (place / "sizes.csv").write_text("filename,pixel size(mm)\na.png,0.5\n")
    write_bundle(place / "other", tflite_models(), name="other")
    bundle, *rest = options
    assert main([bundle, "scans", *rest, "--out", "out", "--resume"]) == 2
    assert said in capsys.readouterr().err
    assert files(place / "out") == ["scans/a.png"]


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda out: (out / "measurements_settings.json").unlink(), "cannot be read"),
        (lambda out: (out / "measurements_settings.json").write_text("[]"), "cannot be read"),
        (lambda out: (out / "measurements.csv").write_text("a,b\n"), "other columns"),
        (lambda out: (out / "measurements.csv").write_bytes(b"\xff\n"), "cannot be gone on with"),
    ],
)
def test_a_spoilt_folder_does_not_go_on(place, capsys, spoil, said):
    assert resumed() == 0
    spoil(place / "out")
    assert resumed() == 2
    assert said in capsys.readouterr().err
    assert main(["bundle", "scans", *MM, "--out", "out", "--overwrite"]) == 0
    assert len(table(place / "out")) == 4


def test_a_table_that_was_changed_by_hand_goes_on_but_is_no_json(place, capsys):
    assert main(["bundle", "scans/a.png", "--out", "out"]) == 0
    file = place / "out" / "measurements.csv"
    file.write_text(file.read_text().replace("no_pixel_size: ", "looked at "))
    assert main(["bundle", "scans", "--out", "out", "--resume", "--json"]) == 2
    said = capsys.readouterr().err
    assert "out/measurements.csv: was changed, so there is no JSON" in said
    assert len(table(place / "out")) == 4


def test_equal_names_keep_their_pictures_when_it_goes_on_from_another_folder(place, monkeypatch):
    write_png(place / "other" / "a.png", bright_head())
    command = ["bundle", *MM, "--out", "out", "--resume"]
    assert main([*command, "scans/a.png"]) == 0
    assert main([*command, "other/a.png"]) == 0
    monkeypatch.chdir(place / "other")
    command = ["../bundle", *MM, "--out", "../out", "--resume"]
    assert main([*command, "a.png", "../scans/a.png", "../scans/b.png"]) == 0
    rows = table(place / "out")
    assert [row["file"] for row in rows] == ["scans/a.png", "other/a.png", "scans/b.png"]
    overlays = [row["overlay"] for row in rows]
    assert overlays == ["overlays/a.png", "overlays/a-2.png", "overlays/b.png"]
    assert all((place / "out" / overlay).is_file() for overlay in overlays)


def test_an_error_from_before_is_an_error_still(place):
    assert main(["bundle", "absent.png", *MM, "--out", "out"]) == 3
    assert resumed() == 3
    assert len(table(place / "out")) == 5


@pytest.mark.parametrize("where", ["measure", "tell", "draw"])
def test_an_unexpected_error_is_that_images_and_the_others_go_on(place, capsys, monkeypatch, where):
    def overflow(calls, real):
        def called(*arguments, **named):
            calls.append(arguments)
            if len(calls) == 3:  # the first call is for the columns
                raise OverflowError("math range error")
            return real(*arguments, **named)

        return called

    if where == "measure":
        monkeypatch.setattr(Bundle, "measure", overflow([], Bundle.measure))
    else:
        name = {"tell": "as_lines", "draw": "write_png"}[where]
        real = getattr(prediction_module, name)
        monkeypatch.setattr(prediction_module, name, overflow([None], real))
    assert main(["bundle", "scans", *MM, "--out", "out"]) == 3
    rows = table(place / "out")
    broken = rows[1]
    assert "scans/b.png: unexpected OverflowError: math range error (" in broken["error"]
    assert bool(broken["hc_mm"]) == (where != "measure") and not broken["overlay"]
    assert all(row["hc_mm"] and row["overlay"] for row in (rows[0], *rows[2:]))
    assert "scans/b.png: unexpected OverflowError" in capsys.readouterr().err


def test_names_that_a_terminal_or_a_spreadsheet_would_obey(place, capsys):
    names = ["=cmd.png", "-1+1.png", "\x1b[2Jx.png", "\u202egnp.png", "two\nlines.png"]
    for name in names:
        os.link("scans/a.png", name)
    command = ["bundle", *MM, "--out", "out", "--json", "--resume", *(f"./{n}" for n in names)]
    assert main(command) == 0
    shown = ["=cmd.png", "-1+1.png", r"\x1b[2Jx.png", r"\u202egnp.png", r"two\nlines.png"]
    assert files(place / "out") == [f"'{name}" if name[0] in "=-" else name for name in shown]
    tree = json.loads((place / "out" / "measurements.json").read_text())
    assert [row["file"] for row in tree["measurements"]] == shown
    said = capsys.readouterr()
    assert all(name in said.out for name in shown)
    assert not {"\x1b", "\u202e"} & {*said.out, *said.err}
    assert main(command) == 0  # none is measured twice
    assert len(table(place / "out")) == 5
    (place / "\x1b[31mbroken.png").touch()
    assert main(["bundle", *MM, "\x1b[31mbroken.png"]) == 3
    assert r"\x1b[31mbroken.png" in (said := capsys.readouterr().err) and "\x1b" not in said


def test_what_was_broken_is_measured_once_more(place, capsys):
    whole = (place / "scans" / "b.png").read_bytes()
    (place / "scans" / "b.png").write_bytes(b"half")
    assert main(["bundle", "scans", *MM, "--out", "out"]) == 3
    assert resumed() == 3, "it is broken still"
    assert files(place / "out") == [f"scans/{name}.png" for name in "acdb"]
    (place / "scans" / "b.png").write_bytes(whole)
    assert resumed() == 0 and "3 before" in capsys.readouterr().out
    rows = table(place / "out")
    assert [row["file"] for row in rows] == [f"scans/{name}.png" for name in "acdb"]
    assert not any(row["error"] for row in rows) and float(rows[-1]["hc_mm"]) > 100


def test_a_name_means_the_same_file_wherever_it_goes_on(place, monkeypatch):
    """`a.png` of another folder is another file, and has a row of its own."""
    for folder in ("one", "two"):
        write_png(place / folder / "a.png", bright_head())
    write_png(place / "one" / "b.png", bright_head())
    command = ["../bundle", *MM, "--out", str(place / "out"), "--resume"]
    monkeypatch.chdir(place / "one")
    assert main([*command, "a.png"]) == 0
    monkeypatch.chdir(place / "two")
    assert main([*command, "a.png"]) == 0
    monkeypatch.chdir(place / "one")
    assert main([*command, "a.png", "b.png"]) == 0
    assert files(place / "out") == ["a.png", "../two/a.png", "b.png"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_picture_never_takes_an_images_place(place, capsys, linked):
    before = (place / "scans" / "a.png").read_bytes()
    (place / "out").mkdir()
    if linked:
        (place / "out" / "overlays").symlink_to(place / "scans")
    else:
        (place / "scans").rename(place / "out" / "overlays")
    images = place / ("scans" if linked else "out/overlays")
    for option in ([], ["--overwrite"]):
        assert main(["bundle", str(images), *MM, "--out", "out", *option]) == 2
        assert "where the pictures are to be written" in capsys.readouterr().err
    assert (images / "a.png").read_bytes() == before


def test_results_that_are_overwritten_stay_until_there_is_a_row(place, monkeypatch, capsys):
    assert main(["bundle", "scans", *MM, "--out", "out", "--json"]) == 0
    content = {path: path.read_bytes() for path in (place / "out").rglob("*") if path.is_file()}

    def stop(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(workers_module, "predict_file", stop)
        assert main(["bundle", "scans", *MM, "--out", "out", "--overwrite"]) == 130
    assert {path: path.read_bytes() for path in content} == content
    # killed in between: the next command finds it
    os.replace(place / "out/measurements.csv", place / "out/measurements.csv.before")
    assert resumed() == 0 and len(files(place / "out")) == 4
    assert main(["bundle", "scans/a.png", *MM, "--out", "out", "--overwrite"]) == 0
    assert files(place / "out") == ["scans/a.png"]
    assert sorted(p.name for p in (place / "out").rglob("*.*")) == [
        "a.png", "measurements.csv", "measurements_settings.json",
    ]  # fmt: skip


def test_a_pipe_is_no_table(place, capsys):
    os.mkfifo(place / "sizes.csv")
    assert main(["bundle", "scans", "--pixel-size-csv", "sizes.csv"]) == 2
    assert "a pipe or a device; save the table as a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["bundle", ""], ["", "scans"], ["bundle", "scans", "--out", ""]]
)
def test_empty_names_are_refused(place, command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 2 and "is a variable not set?" in capsys.readouterr().err
