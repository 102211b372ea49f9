"""The command, as a user runs it: tables, pictures, exit codes and messages."""

import csv
import errno
import json
import os
import pickle
import weakref

import numpy as np
import pytest
from PIL import Image

import fetal_tf
import fetal_tf.edge.bundle.workers as workers_module
from fetal_tf.edge.io.images import write_png
from fetal_tf.predict import main
from tests.edge.bundle.tiny_bundle import bright_head, seal, tflite_models, write_bundle


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a bundle and three images, and the working directory of the test."""
    write_bundle(tmp_path / "bundle", tflite_models())
    write_png(tmp_path / "scans" / "a.png", bright_head())
    write_png(tmp_path / "scans" / "b.png", bright_head()[:, ::-1])
    Image.fromarray(np.dstack([bright_head()] * 3)).save(tmp_path / "c.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(folder):
    with (folder / "measurements.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_folders_and_globs_to_a_table_and_pictures(place, capsys):
    assert main(["bundle", "scans", "*.jpg", "--mm-per-pixel", "0.8"]) == 0
    rows = table(place / "predictions")
    assert [row["file"] for row in rows] == ["scans/a.png", "scans/b.png", "c.jpg"]
    for row in rows:
        assert float(row["hc_mm"]) == pytest.approx(np.pi * (60 + 46) * 0.8, rel=0.01)
        assert float(row["hc_px"]) == pytest.approx(float(row["hc_mm"]) / 0.8, rel=1e-5)
        assert row["flags"] == row["refused"] == row["error"] == row["hc_z"] == ""
        with Image.open(place / "predictions" / row["overlay"]) as picture:
            assert picture.mode == "RGB" and picture.width == 600  # 200 px, enlarged
    said = capsys.readouterr().out
    assert "scans/a.png: HC 26" in said and "3 measured (0 flagged), 0 refused, 0 broken" in said
    assert sorted(p.name for p in (place / "predictions").iterdir()) == [
        "measurements.csv",
        "measurements_settings.json",
        "overlays",
    ]


def test_json_holds_the_same_rows_with_units_and_null(place):
    assert main(["bundle", "scans", "--json", "--out", "o", "--ga-weeks", "30"]) == 0
    tree = json.loads((place / "o" / "measurements.json").read_text())
    assert (tree["bundle"], tree["format"], tree["convention"]) == ("tiny", "float32", "outline")
    manifest = json.loads((place / "bundle" / "bundle.json").read_text())
    assert tree["model"]["sha256"] == manifest["files"]["float32"]["sha256"]
    assert tree["measured_by_fetal_tf"] == fetal_tf.__version__ and tree["gate"] is None
    numbers = {k for row in tree["measurements"] for k, v in row.items() if isinstance(v, float)}
    assert numbers <= tree["units"].keys() and tree["units"]["hc_px"] == "px"
    assert "flags" not in tree["units"] and "file" not in tree["units"]
    for row, line in zip(tree["measurements"], table(place / "o"), strict=True):
        assert row["hc_mm"] is None and line["hc_mm"] == ""
        assert row["hc_px"] == float(line["hc_px"])


def test_json_has_flags_notes_and_refusals_as_code_and_message(place):
    write_png(place / "dark.png", np.zeros((90, 120), np.uint8))
    wide = Image.fromarray(bright_head().astype(np.uint16) * 4)
    wide.save(place / "wide.png")
    assert main(["bundle", "wide.png", "dark.png", "--json", "--out", "o"]) == 0
    wide, dark = json.loads((place / "o" / "measurements.json").read_text())["measurements"]
    assert wide["flags"] == [
        {
            "code": "no_pixel_size",
            "message": "measured in pixels only, millimetres need mm_per_pixel",
        }
    ]
    assert [note["code"] for note in wide["notes"]] == ["few_bits"]
    assert wide["refused"] == [] and [why["code"] for why in dark["refused"]] == ["no_head"]
    assert dark["hc_px"] is None and dark["overlay"] == "overlays/dark.png"


def test_the_screen_says_what_the_picture_says(place, capsys):
    assert main(["bundle", "scans/a.png", "--mm-per-pixel", "0.5", "--ga-weeks", "19"]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    for part in ("HC 16", "OFD 5", "BPD 4", "CI 7", "(Hadlock)", "(INTERGROWTH-21st)", "centile"):
        assert part in first
    assert "    picture: predictions/overlays/a.png" in rest


def test_an_age_that_is_missing_says_why(place, capsys):
    assert main(["bundle", "scans/a.png", "--mm-per-pixel", "0.2"]) == 0
    (row,) = table(place / "predictions")
    assert row["ga_weeks_hadlock"] == row["ga_weeks_intergrowth"] == ""
    assert row["notes"].count("no_age: no age by ") == 3
    assert "no age by INTERGROWTH-21st: HC 66.8 mm is outside the 14 to 40 weeks" in (
        capsys.readouterr().out
    )


def test_many_images_end_in_a_summary_by_flag(place, capsys):
    for number in range(11):
        write_png(place / "many" / f"{number}.png", bright_head())
    write_png(place / "many" / "dark.png", np.zeros((90, 120), np.uint8))
    assert main(["bundle", "many"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("11 measured (11 flagged), 1 refused, 0 broken\n")
    assert "    no_pixel_size 11\n    no_head 1\n" in said
    assert "table: predictions/measurements.csv, pictures: overlays/ beside it" in said


def test_without_a_pixel_size_never_millimetres(place, capsys):
    assert main(["bundle", "scans/a.png"]) == 0
    (row,) = table(place / "predictions")
    assert not any(row[k] for k in row if k.endswith("_mm") or k.startswith("ga_"))
    assert row["hc_px"] and row["flags"].startswith("no_pixel_size")
    said = capsys.readouterr().out
    assert " px" in said and " mm," not in said and "1 flagged" in said


def test_a_site_whose_convention_the_bundle_states(place):
    """The same frame, the numbers that the site's experts would give, and a note that says so."""
    settings = {"conventions": {"second": {"ofd": 1.1, "bpd": 1.05}}}
    write_bundle(place / "sites", tflite_models(), measurement_settings=settings)
    options = ["sites", "scans/a.png", "--mm-per-pixel", "0.8", "--ga-weeks", "20"]
    assert main([*options, "--out", "outline"]) == 0
    assert main([*options, "--out", "site", "--convention", "second"]) == 0
    outline, site = (table(place / folder)[0] for folder in ("outline", "site"))
    assert float(site["ofd_mm"]) == pytest.approx(float(outline["ofd_mm"]) / 1.1, rel=1e-4)
    assert float(site["bpd_mm"]) == pytest.approx(float(outline["bpd_mm"]) / 1.05, rel=1e-4)
    outlines_own = [c for c in outline if c.startswith("ga_") or c.endswith(("_z", "_centile"))]
    assert len(outlines_own) == 9 and all(outline[column] for column in outlines_own)
    assert [site[column] for column in outlines_own] == [outline[c] for c in outlines_own]
    assert "experts of second" in site["notes"] and "experts" not in outline["notes"]
    assert main([*options, "--out", "none", "--convention", "third"]) == 2
    assert not (place / "none").exists()


def test_broken_files_are_reported_and_the_others_go_on(place, capsys):
    (place / "scans" / "aa.png").write_bytes((place / "scans" / "a.png").read_bytes()[:200])
    arguments = ["bundle", "absent.png", "scans", "--mm-per-pixel", "0.8", "--json"]
    assert main(arguments) == 3
    rows = {row["file"]: row for row in table(place / "predictions")}
    assert list(rows) == ["absent.png", "scans/a.png", "scans/aa.png", "scans/b.png"]
    assert rows["scans/b.png"]["hc_mm"] and not rows["scans/b.png"]["error"]
    for name in ("absent.png", "scans/aa.png"):
        assert name in rows[name]["error"] and not rows[name]["hc_mm"]
    captured = capsys.readouterr()
    assert "aa.png" in captured.err and "absent.png" in captured.err
    assert "2 measured (0 flagged), 0 refused, 2 broken" in captured.out
    assert len(list((place / "predictions" / "overlays").iterdir())) == 2


def test_columns_are_those_of_the_bundle_whatever_comes_first(place):
    assert main(["bundle", "absent.png"]) == 3
    assert main(["bundle", "absent.png", "scans"]) == 3
    (broken,), (first, second, _) = (table(place / f"predictions{n}") for n in ("", "-2"))
    assert broken == first and list(first) == list(second)
    assert [name for name, cell in broken.items() if cell] == ["file", "error"]
    assert "hc_px" in broken and second["hc_px"]


def test_an_image_without_a_head_is_refused_not_broken(place, capsys):
    write_png(place / "dark.png", np.zeros((100, 150), np.uint8))
    assert main(["bundle", "dark.png", "--mm-per-pixel", "0.1"]) == 0
    (row,) = table(place / "predictions")
    assert row["refused"].startswith("no_head:") and row["hc_px"] == "" and row["overlay"]
    assert "0 measured (0 flagged), 1 refused" in capsys.readouterr().out


def test_same_names_in_two_folders_keep_both_pictures(place):
    write_png(place / "other" / "a.png", bright_head()[::-1])
    assert main(["bundle", "scans/a.png", "other/a.png"]) == 0
    overlays = [row["overlay"] for row in table(place / "predictions")]
    assert overlays == ["overlays/scans_a.png", "overlays/other_a.png"]
    first, second = (Image.open(place / "predictions" / name).tobytes() for name in overlays)
    assert first != second


def test_pixel_sizes_by_file_name(place, capsys):
    (place / "sizes.csv").write_text("filename,pixel size(mm)\na.png,0.5\n")
    assert main(["bundle", "scans", "--pixel-size-csv", "sizes.csv"]) == 0
    first, second = table(place / "predictions")
    assert float(first["hc_mm"]) == pytest.approx(float(first["hc_px"]) * 0.5, rel=1e-5)
    assert second["hc_mm"] == "" and "no_pixel_size" in second["flags"]
    said = capsys.readouterr().err
    assert "scans/b.png: no row in sizes.csv, measured in pixels only\n" in said
    assert "a.png" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["--mm-per-pixel", "0"],
        ["--mm-per-pixel", "-0.1"],
        ["--mm-per-pixel", "nan"],
        ["--mm-per-pixel", "0.1mm"],
        ["--mm-per-pixel", "1e308"],
        ["--mm-per-pixel", "1e-320"],
        ["--ga-weeks", "8"],
        ["--ga-weeks", "nan"],
        ["--threads", "0"],
        ["--threads", "65"],
        ["--threads", "100000"],
        ["--threads", "9" * 5000],
        ["--mm-per-pixel", "0.1", "--pixel-size-csv", "x.csv"],
    ],
)
def test_senseless_options(place, capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["bundle", "scans", *arguments])
    assert stopped.value.code == 2
    assert arguments[0] in capsys.readouterr().err
    assert not (place / "predictions").exists()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["absent", "scans"], "absent: no such folder"),
        (["zoo:absent", "scans"], "the zoo holds no 'absent'"),
        (["bundle", "empty"], "empty: no image in this folder"),
        (["bundle", "*.tif"], "no image matches"),
        (["bundle", "scans", "--format", "int4"], "no format 'int4'"),
        (["bundle", "scans", "--convention", "x"], "this net knows no other beside the outline"),
        (["bundle", "scans", "--pixel-size-csv", "x.csv"], "x.csv: cannot be read"),
        (["bundle", "scans", "--pixel-size-csv", "bad.csv"], "bad.csv, line 2"),
        (["bundle", "scans", "--out", "c.jpg"], "cannot be written"),
    ],
)
def test_nothing_can_be_done(place, capsys, arguments, said):
    (place / "empty").mkdir()
    (place / "bad.csv").write_text("filename,pixel size(mm)\na.png,-1\n")
    before = sorted(place.rglob("*"))
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error
    assert sorted(place.rglob("*")) == before


def test_an_altered_bundle_measures_nothing(place, capsys):
    model = place / "bundle" / "model_float32.tflite"
    data = bytearray(model.read_bytes())
    data[9] ^= 4
    model.write_bytes(data)
    assert main(["bundle", "scans"]) == 2
    assert "model_float32.tflite: altered" in capsys.readouterr().err


@pytest.mark.parametrize("written_before", range(6))  # settings, header, two of picture and row
def test_a_full_disk_is_an_error_and_leaves_no_half_file(
    place, capsys, monkeypatch, written_before
):
    real, calls = os.fsync, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) > written_before:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert main(["bundle", "scans", "--mm-per-pixel", "0.8"]) == 2
    said = capsys.readouterr()
    assert "No space left" in said.err
    for path in (place / "predictions" / "overlays").glob("*"):
        Image.open(path).load()
    rows = table(place / "predictions") if written_before >= 4 else []
    assert [row["file"] for row in rows] == ["scans/a.png", "scans/b.png"][: len(rows)]
    assert len(rows) == max(0, written_before // 2 - 1)
    if written_before >= 2:  # the row that had no space is not lost
        assert f"scans/{'ab'[len(rows)]}.png: HC 26" in said.out
        assert f"{len(rows)} rows are whole" in said.err
    assert not list((place / "predictions").glob(".*"))


def test_a_picture_that_cannot_be_written_costs_no_measurement(place, capsys):
    (place / "predictions" / "overlays" / "a.png").mkdir(parents=True)
    command = ["bundle", "scans", "--mm-per-pixel", "0.8", "--json", "--out", "predictions"]
    assert main(command) == 3
    first, second = table(place / "predictions")
    for row in (first, second):
        assert float(row["hc_mm"]) == pytest.approx(np.pi * (60 + 46) * 0.8, rel=0.01)
    assert "overlays/a.png: cannot be written" in first["error"] and first["overlay"] == ""
    assert second["error"] == "" and second["overlay"] == "overlays/b.png"
    tree = json.loads((place / "predictions" / "measurements.json").read_text())
    assert tree["measurements"][0]["overlay"] is None
    said = capsys.readouterr()
    assert "2 measured (0 flagged), 0 refused, 0 broken, 1 without a picture" in said.out
    assert said.err.startswith("no picture: predictions/overlays/a.png: cannot be written")


@pytest.mark.parametrize("done", [0, 1])
def test_an_interruption_leaves_the_table_of_what_is_done(place, capsys, monkeypatch, done):
    real, calls = workers_module.predict_file, []

    def interrupted(*arguments, **named):
        calls.append(arguments)
        if len(calls) > done:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(workers_module, "predict_file", interrupted)
    assert main(["bundle", "scans", "--json"]) == 130
    said = capsys.readouterr().err
    assert said.startswith("interrupted") and said.count("\n") == 1
    if done:
        assert "after 1 of 2 images" in said
        assert [row["file"] for row in table(place / "predictions")] == ["scans/a.png"]
        tree = json.loads((place / "predictions" / "measurements.json").read_text())
        assert len(tree["measurements"]) == 1
    else:
        assert not list((place / "predictions").iterdir())


def test_no_measurement_with_its_maps_stays_in_memory(place, monkeypatch):
    real, made = workers_module.predict_file, []

    def watched(*arguments, **named):
        assert sum(reference() is not None for reference in made) <= 1
        prediction = real(*arguments, **named)
        made.append(weakref.ref(prediction))
        assert len(pickle.dumps(prediction)) < 10_000, "no map of its image"
        return prediction

    monkeypatch.setattr(workers_module, "predict_file", watched)
    assert main(["bundle", "scans", "c.jpg"]) == 0
    assert len(made) == 3


def test_names_as_long_as_a_file_system_allows_and_longer(place, capsys):
    longest, too_long = "n" * 251 + ".png", "n" * 300 + ".png"
    write_png(place / "a.png", bright_head())
    (place / "a.png").rename(place / longest)
    assert main(["bundle", too_long, longest, "c.jpg"]) == 3
    rows = table(place / "predictions")
    assert [row["file"] for row in rows] == [too_long, longest, "c.jpg"]
    assert os.strerror(errno.ENAMETOOLONG) in rows[0]["error"] and not rows[0]["hc_px"]
    for row in rows[1:]:
        assert row["hc_px"] and not row["error"]
        Image.open(place / "predictions" / row["overlay"]).load()
    assert capsys.readouterr().err.count("\n") == 1


def test_a_name_whose_bytes_are_no_text(place, capsys):
    name = os.fsdecode(b"scan\xff.png")
    try:
        os.rename("c.jpg", name)
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    assert main(["bundle", name, "--json"]) == 0
    (row,) = table(place / "predictions")
    assert row["file"] == r"scan\udcff.png" and row["overlay"] == r"overlays/scan\udcff.png"
    assert r"scan\udcff.png: HC" in capsys.readouterr().out
    (place / name).write_bytes(b"")
    assert main(["bundle", name, "--json"]) == 3
    (row,) = table(place / "predictions-2")
    assert row["error"].startswith(r"scan\udcff.png: the file is empty")


def test_a_format_that_failed_parity_is_used_with_a_warning(place, capsys):
    manifest = json.loads((place / "bundle" / "bundle.json").read_text())
    for entry in manifest["files"].values():
        entry["parity"] = "failed"
    (place / "bundle" / "bundle.json").write_text(json.dumps(manifest))
    seal(place / "bundle")
    assert main(["bundle", "c.jpg"]) == 0
    assert "does not measure as well as the float model" in capsys.readouterr().err
