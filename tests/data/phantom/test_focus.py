"""The FOCUS phantom: exact ellipses in FOCUS' own files, hearts as large as real ones."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fetal_tf.data.phantom import heart as phantom_heart
from fetal_tf.data.phantom.focus import FOLDER_OF_TURN, focus_frame
from fetal_tf.data.phantom.heart import (
    CTR_LIMITS,
    FRAME_SHAPES,
    THORAX_SEMI_MINOR_LIMITS,
    Chest,
    draw_chest,
)
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers import DATASETS
from fetal_tf.data.readers.focus_annotations import FOLDERS, read_ellipses, read_rectangles
from fetal_tf.edge.geometry.ellipse import rasterise
from fetal_tf.edge.io.images import read_gray

COUNT = 12
SEED = 1  # two of its first ellipse lines begin with the shorter semi-axis


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "focus"
    assert write_phantom("focus", root, COUNT, SEED)
    return root


@pytest.fixture(scope="module")
def drawn() -> list[tuple[np.ndarray, Chest]]:
    """The frames of the phantom, drawn again."""
    return [focus_frame(SEED, index) for index in range(COUNT)]


@pytest.fixture(scope="module")
def frames(drawn) -> list[tuple[np.ndarray, Chest]]:
    """Enough different frames for medians."""
    return drawn[: COUNT - 1] + [focus_frame(3, index) for index in range(COUNT - 1)]


@pytest.fixture(scope="module")
def chests() -> list[Chest]:
    return [draw_chest(np.random.default_rng([9, index])) for index in range(800)]


# Folder and number of the images 0, 1, 2 …
PLACES = [
    *[("training", "001"), ("validation", "001"), ("testing", "001")],
    *[("training", "002"), ("training", "003"), ("training", "004")],
    *[("training", "005"), ("validation", "002"), ("testing", "002")],
    *[("training", "006"), ("training", "007"), ("training", "008")],
]


def test_the_layout_is_the_published_one(phantom):
    assert {path.name for path in phantom.iterdir()} == {*FOLDERS, "phantom.json"}
    for folder, count in (("training", 8), ("validation", 2), ("testing", 2)):
        stems = [f"{number:03d}" for number in range(1, count + 1)]
        expected = {
            "images": [f"{stem}.png" for stem in stems],
            "annfiles_mask": [f"{s}-{part}.png" for s in stems for part in ("cardiac", "thorax")],
            "annfiles_ellipse": [f"{stem}.txt" for stem in stems],
            "annfiles_rectangle": [f"{stem}.txt" for stem in stems],
        }
        found = {
            kind.name: sorted(path.name for path in kind.iterdir())
            for kind in (phantom / folder).iterdir()
        }
        assert found == expected


def test_folders_fill_from_three_images_on_and_as_200_to_50_to_50(tmp_path):
    write_phantom("focus", tmp_path / "three", 3, SEED)
    for folder in FOLDERS:
        assert [p.name for p in (tmp_path / "three" / folder / "images").iterdir()] == ["001.png"]
    turns = [FOLDER_OF_TURN.count(folder) for folder in ("training", "validation", "testing")]
    assert turns == [4, 1, 1]


def test_files_hold_the_very_ellipses_that_were_drawn(phantom, drawn):
    for (folder, stem), (_, chest) in zip(PLACES, drawn, strict=True):
        read = read_ellipses(phantom / folder / "annfiles_ellipse" / f"{stem}.txt")
        inscribed = read_rectangles(phantom / folder / "annfiles_rectangle" / f"{stem}.txt")
        assert set(read) == set(inscribed) == {"thorax", "heart"}
        for structure, ellipse in chest.ellipses.items():
            np.testing.assert_allclose(_numbers(read[structure]), _numbers(ellipse), atol=1e-9)
            there = inscribed[structure]
            assert there.center_x == pytest.approx(ellipse.center_x, abs=0.1)
            assert there.center_y == pytest.approx(ellipse.center_y, abs=0.1)
            assert there.semi_major == pytest.approx(ellipse.semi_major, abs=0.1)
            assert there.semi_minor == pytest.approx(ellipse.semi_minor, abs=0.1)


def _numbers(ellipse) -> tuple[float, ...]:
    return (
        ellipse.center_x,
        ellipse.center_y,
        ellipse.semi_major,
        ellipse.semi_minor,
        ellipse.angle_deg,
    )


def test_ellipse_lines_are_written_as_the_real_ones(phantom):
    shorter_first = 0
    for path in phantom.rglob("annfiles_ellipse/*.txt"):
        text = path.read_text(encoding="utf-8")
        lines = [line.split(" ") for line in text.splitlines()]
        assert sorted(line[5] for line in lines) == ["cardiac", "thorax"]
        for numbers in (line[:5] for line in lines):
            assert all(number == f"{float(number):.1f}" for number in numbers)
            assert 0 <= float(numbers[4]) < 180
            shorter_first += float(numbers[2]) < float(numbers[3])
    assert shorter_first == 2


def test_masks_are_the_rasterised_ellipses(phantom, drawn):
    for (folder, stem), (_, chest) in zip(PLACES[:3], drawn, strict=False):
        for structure, ending in (("heart", "cardiac"), ("thorax", "thorax")):
            with Image.open(phantom / folder / "annfiles_mask" / f"{stem}-{ending}.png") as image:
                mask = np.asarray(image)
            rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
            points = np.column_stack([columns.ravel(), rows.ravel()])
            inside = chest.ellipses[structure].contains(points).reshape(mask.shape)
            assert mask.dtype == np.uint8
            np.testing.assert_array_equal(mask, inside * 255)


def test_the_reader_finds_what_was_drawn(phantom, drawn):
    samples = {s.id: s for s in DATASETS.build("data", {"name": "focus"}, phantom)}
    assert len(samples) == COUNT
    for (folder, stem), (image, chest) in zip(PLACES, drawn, strict=True):
        sample = samples[f"{folder}_{stem}"]
        assert sample.official_split == FOLDERS[folder]
        np.testing.assert_array_equal(read_gray(sample.image_path), image)
        labels = sample.load_mask()
        thorax, heart = (rasterise(chest.ellipses[s], labels.shape) for s in ("thorax", "heart"))
        np.testing.assert_array_equal(labels, thorax.astype(np.uint8) + heart)
        for structure, ellipse in chest.ellipses.items():
            np.testing.assert_allclose(_numbers(sample.ellipses[structure]), _numbers(ellipse))


def test_every_sixty_images_hold_one_copy_and_it_shares_its_group(phantom):
    digests = [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in phantom.glob("*/images/*.png")
    ]
    assert len(digests) - len(set(digests)) == 1
    samples = DATASETS.build("data", {"name": "focus"}, phantom)
    by_group: dict[str, list[str]] = {}
    for sample in samples:
        by_group.setdefault(sample.group, []).append(sample.id)
    assert [ids for ids in by_group.values() if len(ids) > 1] == [["training_007", "training_008"]]


def test_chests_are_as_large_as_real_ones(chests):
    ctr, thorax_px, thorax_ratio, heart_ratio, off = [], [], [], [], []
    for chest in chests:
        thorax, heart = chest.view.ellipse, chest.heart
        ctr.append(heart.semi_minor / thorax.semi_minor)
        thorax_px.append(thorax.semi_minor * 959 / chest.view.frame_shape[1])
        thorax_ratio.append(thorax.semi_minor / thorax.semi_major)
        heart_ratio.append(heart.semi_minor / heart.semi_major)
        away = np.hypot(heart.center_x - thorax.center_x, heart.center_y - thorax.center_y)
        off.append(away * 2 / (thorax.semi_major + thorax.semi_minor))
    # Medians of FOCUS' training and validation images.
    assert np.median(ctr) == pytest.approx(0.445, abs=0.015)
    assert np.median(thorax_px) == pytest.approx(228, abs=15)
    assert np.median(thorax_ratio) == pytest.approx(0.90, abs=0.02)
    assert np.median(heart_ratio) == pytest.approx(0.732, abs=0.02)
    assert np.median(off) == pytest.approx(0.389, abs=0.04)
    assert min(ctr) > CTR_LIMITS[0] - 0.005 and max(ctr) < CTR_LIMITS[1] + 0.005
    assert np.std(ctr) == pytest.approx(0.041, abs=0.008)
    assert min(thorax_px) > THORAX_SEMI_MINOR_LIMITS[0] - 1
    assert max(thorax_px) < THORAX_SEMI_MINOR_LIMITS[1] + 1
    assert 0.73 < min(thorax_ratio) < 0.78 and 0.97 < max(thorax_ratio) < 1
    assert 0.57 < min(heart_ratio) < 0.62 and 0.86 < max(heart_ratio) < 0.91


def test_hearts_lie_wholly_inside_and_their_apex_to_the_left(chests):
    for chest in chests:
        thorax, heart = chest.view.ellipse, chest.heart
        assert thorax.contains(heart.points()).all()
        to_left = (chest.apex_deg - chest.anterior_deg) * chest.left % 360
        assert 24 < to_left < 71, "levocardia"
        assert chest.apex_deg in (heart.angle_deg, heart.angle_deg + 180)
    lefts = np.array([chest.left for chest in chests])
    assert 0.42 < (lefts > 0).mean() < 0.58


class Wide(np.random.Generator):
    """Draws with six times the spread, so that every number often meets its limits."""

    def normal(self, mean, spread):
        return super().normal(mean, 6 * spread)


def test_a_long_heart_in_a_wide_chest_has_its_place_too(monkeypatch):
    """A heart longer than the chest is wide would be moved forever: at most 2000 tries."""
    draw_ellipse, tries = phantom_heart._in_tenths, []

    def counted(*numbers):
        tries.append(numbers)
        assert len(tries) < 2000, "the heart fits nowhere"
        return draw_ellipse(*numbers)

    monkeypatch.setattr(phantom_heart, "_in_tenths", counted)
    longest, rng = 0.0, Wide(np.random.PCG64(4))
    for _ in range(1500):
        tries.clear()
        chest = draw_chest(rng)
        thorax, heart = chest.view.ellipse, chest.heart
        assert thorax.distances(heart.points()).max() <= -0.03 * thorax.semi_minor
        longest = max(longest, heart.semi_major / thorax.semi_minor)
    assert 0.93 < longest < 0.97, "the corner was met"


def test_hearts_point_everywhere_most_of_them_towards_the_probe(chests):
    apex_deg = np.array([chest.apex_deg for chest in chests]) % 360
    octants = np.histogram(apex_deg, 8, (0, 360))[0] / len(chests)
    assert octants.min() > 0.02
    assert 0.7 < (apex_deg > 180).mean() < 0.95, "up in the frame is towards the probe"


def test_a_thorax_seldom_reaches_over_the_edge_and_never_far(chests):
    over = []
    for chest in chests:
        height, width = chest.view.frame_shape
        x, y = chest.view.ellipse.points().T
        beyond = max(-x.min() / width, x.max() / width - 1, -y.min() / height, y.max() / height - 1)
        over.append(beyond)
    assert max(over) < 0.025
    assert 0.0 < np.mean(np.array(over) > 0) < 0.2
    assert {chest.view.frame_shape for chest in chests} == set(FRAME_SHAPES)


def test_gray_values_are_those_of_real_frames(frames):
    mean = [image.mean() for image, _ in frames]
    black = [(image < 5).mean() for image, _ in frames]
    # FOCUS: medians 44 and 0.28; nine in ten images within 26..71 and 0.10..0.51.
    assert 34 < np.median(mean) < 54 and min(mean) > 8 and max(mean) < 110
    assert 0.18 < np.median(black) < 0.38 and max(black) < 0.85
    assert all(np.percentile(image, 99.5) > 110 for image, _ in frames)


def test_a_heart_is_darker_than_the_lung_around_it(frames):
    darker = []
    for image, chest in frames:
        heart = rasterise(chest.heart, image.shape)
        lung = rasterise(chest.view.ellipse.shrunk(25), image.shape)
        lung &= ~rasterise(chest.heart.shrunk(-8), image.shape)
        darker.append(np.median(image[lung]) - np.median(image[heart]))
    assert np.median(darker) > 8
    assert np.mean(np.array(darker) > 0) > 0.85


def test_ribs_shine_at_the_border_of_the_thorax(frames):
    excess = []
    for image, chest in frames:
        thorax = chest.view.ellipse
        rim = rasterise(thorax, image.shape) & ~rasterise(thorax.shrunk(10), image.shape)
        inner = rasterise(thorax.shrunk(25), image.shape) & ~rasterise(
            thorax.shrunk(45), image.shape
        )
        excess.append(np.percentile(image[rim], 90) - np.percentile(image[inner], 90))
    assert np.median(excess) > 25


def test_no_threshold_finds_the_heart(frames):
    best = []
    for image, chest in frames:
        heart = rasterise(chest.heart, image.shape)
        dark = [(image < level) for level in range(4, 80, 4)]
        best.append(max((d & heart).sum() / (d | heart).sum() for d in dark))
    assert np.median(best) < 0.3
