"""The benchmark of `predict`: it measures what it says; memory does not grow with the frames."""

import pytest

from fetal_tf.benchmarks.prediction import (
    Way,
    copies,
    predict_cost,
    shares,
    stage_times_ms,
    throughput,
)
from fetal_tf.cli.benchmark import main
from fetal_tf.edge.bundle.net import open_net
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.images import write_png
from tests.edge.bundle.tiny_bundle import bright_head, tflite_models, write_bundle


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    write_bundle(folder / "bundle", tflite_models())
    for name in "ab":
        write_png(folder / "frames" / f"{name}.png", bright_head())
    return folder


@pytest.fixture
def frames(place):
    return sorted((place / "frames").iterdir())


def test_copies_are_files_of_their_own_and_go_away(frames):
    with copies(frames, 5) as folder:
        found = sorted(folder.iterdir())
        assert [path.read_bytes() for path in found] == [frames[0].read_bytes()] * 5
        assert len({path.resolve() for path in found}) == 5
    assert not folder.exists() and all(path.is_file() for path in frames)


def test_each_stage_of_a_frame_is_timed(place, frames):
    times = stage_times_ms(open_net(str(place / "bundle")), frames, rounds=2)
    assert list(times) == [
        "read the file", "fit to the net", "the net", "measure", "draw", "write the picture",
        "write the row",
    ]  # fmt: skip
    assert min(times.values()) > 0 and sum(shares(times).values()) == pytest.approx(1)


def test_every_way_measures_every_frame_in_each_round(place, frames):
    ways = [Way(1, True), Way(2, False)]
    with copies(frames, 4) as folder:
        costs = throughput(str(place / "bundle"), folder, ways, rounds=2)
    assert [len(costs[way]) for way in ways] == [2, 2]
    for cost in costs[ways[1]]:
        assert cost.frames == 4 and cost.frames_per_second == pytest.approx(4 / cost.seconds)
        assert cost.worker_peak_mib > 10 and cost.peak_mib > 10


@pytest.mark.parametrize("workers", [1, 2])
def test_memory_is_the_same_for_many_frames_as_for_few(place, frames, workers):
    """Two maps of a frame more for each of 500 frames would be 24 MiB."""
    peaks = []
    for count in (20, 520):
        with copies(frames, count) as folder:
            cost = predict_cost(str(place / "bundle"), folder, Way(workers, False))
        peaks.append(cost.peak_mib + cost.worker_peak_mib)
    assert peaks[1] - peaks[0] < 8


def test_what_breaks_off_says_so(place, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(FetalTFError, match="exit code 3: broken: "):
        predict_cost(str(place / "bundle"), tmp_path, Way(1, True))


def test_the_command_prints_ratios_to_the_first_way(place, frames, capsys):
    command = [
        "predict",
        str(place / "bundle"),
        *map(str, frames),
        "--images",
        "6",
        "--rounds",
        "1",
    ]
    assert main([*command, "--memory", "3,6"]) == 0
    said = capsys.readouterr().out
    assert "1 worker, pictures" in said and "2 workers, no pictures" in said
    assert "write the row" in said and "memory at its highest" in said
    (first,) = (line for line in said.splitlines() if line.startswith("1 worker, pictures"))
    assert first.split()[-1] == "1.00"
    with pytest.raises(SystemExit):
        main([*command, "--workers", "0"])
