"""The dataset's fingerprint: its figures are those of the pixels, its checksum is theirs alone."""

import numpy as np
import pytest

from fetal_tf.data.fingerprint import describe_images, look_at, statistics
from fetal_tf.edge.errors import ImageError
from fetal_tf.edge.io.images import write_png


@pytest.fixture
def images():
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, shape, np.uint8) for shape in ((40, 60), (40, 60), (30, 70))]


def _looks(folder, images, names="abc"):
    for name, image in zip(names, images, strict=True):
        write_png(folder / f"{name}.png", image)
    return [look_at(folder / f"{name}.png") for name in sorted(names)]


def test_figures_are_those_of_the_pixels(tmp_path, images):
    found = describe_images(_looks(tmp_path, images))
    pixels = np.concatenate([image.ravel() for image in images])
    assert found["images"] == 3
    assert found["sizes"] == {"60x40": 2, "70x30": 1}
    assert (found["height_px"]["min"], found["width_px"]["max"]) == (30, 70)
    gray = found["gray"]
    assert gray["mean"] == pytest.approx(pixels.mean())
    assert gray["sd"] == pytest.approx(pixels.std())
    assert gray["p50"] == np.percentile(pixels, 50, method="inverted_cdf")
    assert gray["p95"] == np.percentile(pixels, 95, method="inverted_cdf")
    assert gray["black_percent"] == pytest.approx(100 * (pixels == 0).mean())
    counts, _ = np.histogram(pixels, 16, (0, 256))
    assert gray["histogram_percent"] == pytest.approx(100 * counts / len(pixels))
    assert gray["image_mean"]["min"] == pytest.approx(min(image.mean() for image in images))
    assert gray["image_sd"]["max"] == pytest.approx(max(image.std() for image in images))


def test_the_checksum_knows_contents_and_no_names(tmp_path, images):
    for folder in ("one", "renamed", "changed"):
        (tmp_path / folder).mkdir()
    first = describe_images(_looks(tmp_path / "one", images))["sha256"]
    assert describe_images(_looks(tmp_path / "renamed", images, "zyx"))["sha256"] == first
    images[1][3, 3] ^= 1
    assert describe_images(_looks(tmp_path / "changed", images))["sha256"] != first


def test_without_images_it_says_so_and_a_broken_one_raises(tmp_path):
    assert describe_images([]) == {"images": 0}
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(ImageError):
        look_at(tmp_path / "a.png")


def test_statistics_of_one_value():
    assert statistics([4]) == {"n": 1, "min": 4, "mean": 4, "sd": 0, "median": 4, "max": 4}
