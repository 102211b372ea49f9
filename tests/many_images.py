"""A folder of images to measure, and whether two ways of measuring them wrote the same."""

import csv
from pathlib import Path

import numpy as np

from fetal_tf.edge.io.images import write_png
from tests.edge.bundle.tiny_bundle import bright_head, tflite_models, write_bundle


def write_scans(folder, count):
    """A bundle, and images that all differ; one is broken."""
    write_bundle(folder / "bundle", tflite_models())
    for number in range(count):
        image = np.roll(bright_head(), number, axis=1)[: 130 - number]
        write_png(folder / "scans" / f"{number:02d}.png", image)
    (folder / "scans" / "05.png").write_bytes(b"no image")


def table(folder):
    with (Path(folder) / "measurements.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def assert_same_results(one, other, pictures):
    """Tables and pictures are the same to the byte, and there are so many pictures."""
    for name in ("measurements.csv", "measurements.json"):
        assert (other / name).read_bytes() == (one / name).read_bytes()
    names = sorted(path.name for path in (one / "overlays").iterdir())
    assert len(names) == pictures
    for name in names:
        pair = [(folder / "overlays" / name).read_bytes() for folder in (one, other)]
        assert pair[0] == pair[1]
