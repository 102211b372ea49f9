"""Views and their inverse, dropout that stays on, spreads and what they tell: against NumPy."""

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, label, map_coordinates, maximum
from scipy.stats import spearmanr

from fetal_tf.analysis.augmented_views import View, draw_views
from fetal_tf.analysis.uncertain_quantities import Uncertain, consistent_ends
from fetal_tf.analysis.uncertainty import dropout_sampler, study, view_sampler
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.geometry.axis import AXIS, axis_maps
from fetal_tf.edge.geometry.landmarks import LANDMARKS, canonical, from_shares, to_shares
from fetal_tf.edge.inference.runtimes import FlipAverage
from fetal_tf.edge.inference.views import GAMMAS, unmirrored
from fetal_tf.edge.io.images import read_gray
from fetal_tf.evaluation.provenance import Evaluated
from fetal_tf.reporting.plots.uncertainty import error_against_spread
from fetal_tf.reporting.text.uncertainty import (
    main_first,
    pairs_of,
    screen_text,
    uncertainty_record,
)
from fetal_tf.scores.landmarks import landmark_errors
from fetal_tf.scores.risk_coverage import risk_coverage, spearman, worst_found
from tests.evaluation.evaluation_fakes import BrightnessPredictor, BrightnessTask, write_samples

HEIGHT, WIDTH = 48, 64
HEAD = ("head", *LANDMARKS)
POINTS = np.array([[12.0, 30.0], [50.0, 20.0], [28.0, 12.0], [34.0, 37.0]])


def blobs(points, shape=(HEIGHT, WIDTH), sigma=3.0):
    """A gaussian per point, float32 [h, w, P]."""
    y, x = np.indices(shape)[..., None]
    squares = (x - points[:, 0]) ** 2 + (y - points[:, 1]) ** 2
    return np.exp(-squares / (2 * sigma**2)).astype(np.float32)


def mirrored_points(points):
    return canonical((points - [WIDTH - 1, 0]) * [-1, 1])


# --- mirroring ---


def test_a_mirrored_answer_is_told_in_the_frames_own_terms():
    """What a perfect net says about the mirror image, with names as it would give them there."""
    there = mirrored_points(POINTS)
    maps = np.concatenate([np.ones((HEIGHT, WIDTH, 1)), blobs(there)], axis=-1)
    own = np.concatenate([np.ones((HEIGHT, WIDTH, 1)), blobs(POINTS)], axis=-1)
    back = unmirrored(maps[None], own[None], HEAD)[0]
    np.testing.assert_allclose(back[..., 1:], blobs(POINTS), atol=1e-6)
    shares, own = (to_shares(points, HEIGHT, WIDTH)[None] for points in (there, POINTS))
    np.testing.assert_allclose(
        from_shares(unmirrored(shares, own, LANDMARKS)[0], HEIGHT, WIDTH), POINTS
    )


def test_other_classes_and_further_channels_are_only_turned():
    maps = np.random.default_rng(0).random((2, 3, 5, 3)).astype(np.float32)
    for classes in (("head",), ("background", "brain", "csp"), ()):
        np.testing.assert_array_equal(unmirrored(maps, maps, classes), maps[:, :, ::-1])
    six = np.random.default_rng(0).random((2, 3, 5, 6))
    there = six[:, :, ::-1, [0, 2, 1, 3, 4, 5]]
    np.testing.assert_array_equal(unmirrored(there, six, HEAD), six)


def test_averaging_with_the_mirror_image_keeps_the_ends_apart():
    class Perfect:
        """Finds the blob of each brightness; in the mirror image the left end is the other one."""

        input_shape = (HEIGHT, WIDTH, 1)

        def predict(self, images):
            is_mirrored = images[0, 0, 0, 0] == 0
            return blobs(mirrored_points(POINTS) if is_mirrored else POINTS)[None]

    frame = np.zeros((1, HEIGHT, WIDTH, 1), np.uint8)
    frame[0, 0, 0] = 255
    both = FlipAverage(Perfect(), LANDMARKS).predict(frame)
    np.testing.assert_allclose(both[0], blobs(POINTS), atol=1e-6)
    assert np.abs(FlipAverage(Perfect()).predict(frame)[0] - blobs(POINTS)).max() > 0.4


# An upright OFD: which of its ends is the left one changes with a turn by a degree.
UPRIGHT = np.array([[30.0, 8.0], [31.0, 42.0], [20.0, 25.0], [41.0, 24.0]])


def perfect_answer(points, kind, sort_ends, sigma=3.0):
    """What a net without errors says about a frame with these ends, named as its labels name them.

    Sorted, the first end is the left one of the frame it sees; else the one that the file names.
    """
    points = canonical(points) if sort_ends else points
    if kind == "coordinates":
        return to_shares(points, HEIGHT, WIDTH).astype(np.float32)
    maps = blobs(points, sigma=sigma)
    mask = blobs(points.mean(0)[None], sigma=12 * sigma / 3)
    return maps if kind == "heatmaps" else np.concatenate([mask, maps], axis=-1)


@pytest.mark.parametrize(
    "points", [POINTS, POINTS[[1, 0, 3, 2]], UPRIGHT], ids=["slanted", "exchanged", "upright"]
)
@pytest.mark.parametrize("sort_ends", [True, False])
@pytest.mark.parametrize("kind", ["coordinates", "heatmaps", "mask and heatmaps"])
@pytest.mark.parametrize("view", ["flip", 1, 5, 7])
def test_mirrored_views_never_confuse_the_ends_of_an_axis(view, kind, sort_ends, points):
    """However a net names the ends in a mirror image, they come back in the frame's own order."""
    classes = HEAD if kind == "mask and heatmaps" else LANDMARKS
    own = perfect_answer(points, kind, sort_ends)
    mirrored = (points - [WIDTH - 1, 0]) * [-1, 1]
    if view == "flip":

        class Perfect:
            input_shape = (HEIGHT, WIDTH, 1)

            def predict(self, images):
                seen = [mirrored if image[0, 0] == 0 else points for image in images]
                return np.stack([perfect_answer(p, kind, sort_ends) for p in seen])

        frames = np.zeros((2, HEIGHT, WIDTH, 1), np.uint8)
        frames[:, 0, 0] = 255
        found = FlipAverage(Perfect(), classes).predict(frames)
        np.testing.assert_allclose(found, np.stack([own, own]), atol=1e-5)
        return
    view = draw_views(8, seed=0)[view]
    assert view.mirrored
    matrix = view.matrix(HEIGHT, WIDTH)
    there = mirrored @ matrix[:, :2].T + matrix[:, 2]
    answer = perfect_answer(there, kind, sort_ends, sigma=3.0 * view.scale)
    back = view.restore(answer, own, (HEIGHT, WIDTH), classes)
    np.testing.assert_allclose(back, own, atol=1e-5 if kind == "coordinates" else 0.04)


# --- views ---

MOVED = View(rotation_deg=7.0, scale=1.05, shift_x_share=0.02, shift_y_share=-0.03)
MIRRORED = View(mirrored=True, rotation_deg=-5.0, scale=0.95, shift_x_share=-0.03)


def test_a_view_shows_the_frame_where_its_matrix_says():
    frame = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 1)).astype(np.uint8)
    seen = MIRRORED.apply(frame)[..., 0].astype(float)
    inverse = np.linalg.inv(np.vstack([MIRRORED.matrix(HEIGHT, WIDTH), [0, 0, 1]]))
    y, x = np.indices((HEIGHT, WIDTH))
    u, v, _ = np.tensordot(inverse, np.stack([x, y, np.ones_like(x)]), 1)
    expected = map_coordinates(frame[:, ::-1, 0].astype(float), [v, u], order=1)
    inside = (u > 0) & (u < WIDTH - 1) & (v > 0) & (v < HEIGHT - 1)
    assert inside.mean() > 0.7
    assert np.abs(seen - expected)[inside].max() <= 9  # OpenCV's 1/32 px, on white noise
    assert np.abs(seen - expected)[inside].mean() < 1.5


@pytest.mark.parametrize("view", [View(), View(mirrored=True), MOVED, MIRRORED])
def test_a_direction_comes_back_in_the_frames_own_terms(view):
    """What a perfect net says about the axis in the view is turned back with the view."""
    matrix = view.matrix(HEIGHT, WIDTH)[:, :2] @ np.diag([-1 if view.mirrored else 1, 1])
    along = matrix @ [np.cos(0.4), np.sin(0.4)]
    seen = axis_maps(np.degrees(np.arctan2(along[1], along[0])))
    ones = np.ones((HEIGHT, WIDTH, 1), np.float32)
    there = np.concatenate([ones, seen * np.repeat(ones, 2, -1)], -1).astype(np.float32)
    own = np.full_like(there, -1)
    back = view.restore(there, own, (HEIGHT, WIDTH), ("head", *AXIS))
    middle = back[HEIGHT // 2, WIDTH // 2]
    np.testing.assert_allclose(middle, [1, *axis_maps(np.degrees(0.4))], atol=1e-5)


@pytest.mark.parametrize("view", [View(), View(mirrored=True), MOVED, MIRRORED])
def test_points_come_back_exactly_and_maps_to_interpolation(view):
    """The truth of the view, brought back, is the truth of the frame."""
    matrix = view.matrix(HEIGHT, WIDTH)
    there = mirrored_points(POINTS) if view.mirrored else POINTS
    there = there @ matrix[:, :2].T + matrix[:, 2]
    size = (HEIGHT, WIDTH)
    own = to_shares(POINTS + np.array([2, -2]), *size)
    back = view.restore(to_shares(there, *size).astype(np.float32), own, size, LANDMARKS)
    np.testing.assert_allclose(from_shares(back, *size), POINTS, atol=1e-4)
    expected = blobs(POINTS)
    found = view.restore(blobs(there, sigma=3.0 * view.scale), expected, size, LANDMARKS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_what_a_view_has_lost_is_as_in_the_frame_itself():
    view = View(shift_x_share=0.25)  # 16 of 64 columns leave on the right
    own, seen = (
        np.full((HEIGHT, WIDTH, 1), 0.5, np.float32),
        np.ones((HEIGHT, WIDTH, 1), np.float32),
    )
    back = view.restore(seen, own, (HEIGHT, WIDTH), ("head",))[..., 0]
    assert (back[:, :48] == 1).all() and (back[:, 48:] == 0.5).all()
    both = View(mirrored=True, shift_x_share=0.25)
    back = both.restore(seen, own, (HEIGHT, WIDTH), ("head",))[..., 0]
    assert (back[:, 16:] == 1).all() and (back[:, :16] == 0.5).all()


def test_brightness_moves_nothing_and_black_stays_black():
    frame = np.array([[[0], [128], [255]]], np.uint8)
    seen = View(gamma=GAMMAS[0]).apply(frame)
    np.testing.assert_allclose(seen.ravel(), 255 * (frame.ravel() / 255) ** GAMMAS[0], atol=0.5)


def test_views_begin_with_the_frame_and_repeat_by_their_seed():
    views = draw_views(20, seed=3)
    assert views[:4] == [View(), View(mirrored=True), View(gamma=0.8), View(gamma=1.25)]
    assert len(set(views)) == len(views) == 20
    assert views == draw_views(20, seed=3) != draw_views(20, seed=4)
    assert draw_views(2, seed=0) == views[:2]
    assert sum(view.mirrored for view in views) == 9


# --- spread ---


def test_the_spread_of_a_number_is_its_sd():
    hc = Uncertain("hc_mm", ("hc_mm",))
    values = [170.0, 172.0, 177.0]
    records = [{"hc_mm": v} for v in values] + [{"hc_mm": None}]
    assert hc.spread(records) == pytest.approx(np.std(values, ddof=1))
    assert hc.mean(records) == pytest.approx(173)
    assert hc.spread(records[:1]) is None and hc.mean(records[3:]) is None
    assert hc.column("tta_spread") == "hc_tta_spread_mm"


def landmark_record(points):
    return {
        f"{n}_{a}_px": p[i]
        for n, p in zip(LANDMARKS, points, strict=True)
        for i, a in enumerate("xy")
    }


def test_the_spread_of_places_is_the_distance_to_their_mean():
    clouds = POINTS + np.random.default_rng(2).normal(0, 2, (7, 4, 2))
    records = [landmark_record(points) for points in clouds]
    one = Uncertain("ofd_1_px", ("ofd_1_x_px", "ofd_1_y_px"), True)
    distances = np.linalg.norm(clouds - clouds.mean(axis=0), axis=-1)
    assert one.spread(records) == pytest.approx(np.sqrt((distances[:, 0] ** 2).mean()))
    every = Uncertain("landmarks_px", tuple(landmark_record(POINTS)), True)
    assert every.spread(records) == pytest.approx(np.sqrt((distances**2).mean()))


def test_an_end_that_changes_its_name_has_not_moved():
    swapped = POINTS[[1, 0, 2, 3]] + 0.5
    named = consistent_ends(
        [landmark_record(POINTS), {"ofd_1_x_px": None}, landmark_record(swapped)]
    )
    assert named[2] == landmark_record(POINTS + 0.5)
    assert named[1] == {"ofd_1_x_px": None}
    assert consistent_ends([{"hc_mm": 1.0}]) == [{"hc_mm": 1.0}]


# --- what a spread tells ---


def test_the_rank_correlation_is_scipys_and_its_interval_draws_groups():
    rng = np.random.default_rng(0)
    spread = rng.gamma(2, 1, 60).round(1)  # with ties
    error = spread * rng.random(60)
    groups = [str(i // 2) for i in range(60)]
    found = spearman(spread, error, groups, seed=0)
    assert found["value"] == pytest.approx(spearmanr(spread, error).statistic)
    low, high = found["ci95"]
    assert low < found["value"] < high and 0.2 < high - low < 0.7
    assert spearman(spread, error, groups, seed=0) == found
    assert spearman(spread, error, ["one"] * 60, seed=0)["ci95"] == [None, None]
    assert spearman(np.ones(60), error, groups, seed=0)["value"] is None


def test_the_worst_errors_are_looked_for_among_the_most_uncertain():
    error = np.arange(20.0)  # the worst two: 19 and 18
    spread = np.zeros(20)
    spread[[19, 3]] = 1
    assert worst_found(spread, error) == 0.5
    assert worst_found(error, error) == 1 and worst_found(-error, error) == 0
    assert worst_found(np.zeros(0), np.zeros(0)) is None


def test_refusing_the_most_uncertain_leaves_the_mean_of_the_others():
    error = np.array([5.0, 1, 1, 1, 9, 1, 1, 1, 1, 1])
    spread = np.array([9.0, 0, 0, 0, 1, 0, 0, 0, 0, 0])
    curve = risk_coverage(spread, error)
    assert [p["kept"] for p in curve] == [10, 9, 8, 7]
    np.testing.assert_allclose([p["mean_error"] for p in curve], [2.2, 17 / 9, 1, 1])
    np.testing.assert_allclose([p["best_mean_error"] for p in curve], [2.2, 13 / 9, 1, 1])


# --- the whole study ---


class Moody:
    """Answers of one frame by turns: the shares of the frame's brightness that it is told."""

    def __init__(self, factors):
        self.factors = np.array(factors, np.float32)

    def __call__(self, frame):
        return self.factors[:, None, None, None] * (frame[None] / np.float32(255))


class BrightHead(BrightnessTask):
    """Measures HC as the hundredfold of the mean brightness; refuses what is too dark."""

    class measurer:
        prepared = staticmethod(lambda predictor: predictor)

        @staticmethod
        def measure(output, letterbox, mm_per_pixel, ga_weeks=None):
            hc = 100 * float(output[letterbox.content].mean())

            class Measured:
                def as_record(self):
                    dark = hc < 10
                    return {"hc_mm": None if dark else hc, "refused": "dark" if dark else ""}

            return Measured()


@pytest.fixture
def samples(tmp_path):
    return write_samples(tmp_path, [100, 150, 200, 240])


def test_every_image_is_measured_once_and_again(samples):
    factors = [0.8, 1.0, 1.1, 0.01]
    rows, quantities = study(
        BrightnessPredictor(), samples, BrightHead(), {"mc-dropout": Moody(factors)}
    )
    assert [q.name for q in quantities] == ["hc_mm"]
    for gray, row in zip([100, 150, 200, 240], rows.to_dict("records"), strict=True):
        hc = 100 * gray / 255
        assert row["hc_mm"] == pytest.approx(hc, rel=1e-5)
        assert row["hc_abs_error_mm"] == pytest.approx(0, abs=1e-4)
        assert row["hc_mc_dropout_spread_mm"] == pytest.approx(
            hc * np.std(factors[:3], ddof=1), rel=1e-4
        )
        assert row["hc_mc_dropout_abs_error_mm"] == pytest.approx(
            hc * (1 - np.mean(factors[:3])), rel=1e-3
        )
        assert row["mc_dropout_unmeasured"] == 1


def test_a_broken_image_keeps_its_row(samples):
    samples[1].image_path.write_bytes(b"no image")
    rows, _ = study(BrightnessPredictor(), samples, BrightHead(), {"tta": Moody([1, 0.9])})
    assert list(rows.iloc[1].dropna().index) == ["id", "group", "error"]
    assert (rows["error"] != "").tolist() == [False, True, False, False]


def test_no_expert_is_no_study(samples):
    class Silent(BrightHead):
        def evaluate(self, probabilities, sample, letterbox, gather=None):
            return {"id": sample.id, "group": sample.group, "dice": 1.0}

    with pytest.raises(DataError, match="measures nothing that an expert's value is known of"):
        study(BrightnessPredictor(), samples, Silent(), {"tta": Moody([1, 0.9])})


class LandmarkTask(BrightnessTask):
    """The landmark measurer with the real scores; the truth is POINTS in every image."""

    name = "landmarks"
    classes = LANDMARKS
    headline = ("radial_error_px", "hc_abs_error_mm")
    measurer = MEASURERS["landmarks"](LANDMARKS, {})

    def evaluate(self, output, sample, letterbox, gather=None):
        record = self.measurer.measure(output, letterbox, sample.mm_per_pixel)
        row = landmark_errors(record.points, POINTS, sample.mm_per_pixel)
        return {"id": sample.id, "group": sample.group, **row, "flags": "", "refused": ""}


class SpotFinder:
    """Coordinates of four spots: the two brighter ones are the OFD's, named as they lie."""

    input_shape = (HEIGHT, WIDTH, 1)

    def predict(self, images):
        return np.stack([self._one(image[..., 0]) for image in images])

    def _one(self, image):
        spots, count = label(image > 25)
        assert count == 4
        brightness = maximum(image, spots, np.arange(1, 5))
        centers = np.array(center_of_mass(image > 25, spots, np.arange(1, 5)))[:, ::-1]
        ordered = centers[np.argsort(-brightness, kind="stable")]
        return to_shares(canonical(ordered), HEIGHT, WIDTH).astype(np.float32)


@pytest.fixture
def spots(tmp_path):
    """A frame with a square of its own gray at each landmark, as large as the network's frame."""
    from PIL import Image

    stripes = np.where(np.arange(WIDTH) // 2 % 3 == 2, 10, 0)  # a flat one would be a screen
    image = np.tile(stripes.astype(np.uint8), (HEIGHT, 1))
    for (x, y), level in zip(POINTS.astype(int), (250, 200, 150, 100), strict=True):
        image[y - 3 : y + 4, x - 3 : x + 4] = level
    path = tmp_path / "spots.png"
    Image.fromarray(image).save(path)
    return Sample("spots", path, "p", 0.5)


def test_a_net_that_follows_its_landmarks_has_hardly_a_spread(spots):
    """Coordinates: every view is undone for each end, its name included."""
    task, net = LandmarkTask(), SpotFinder()
    sampler = view_sampler(net, task, 12, seed=1)
    places = from_shares(sampler(read_gray(spots.image_path)[..., None]), HEIGHT, WIDTH)
    assert np.linalg.norm(places - POINTS, axis=-1).max() < 0.4
    rows, quantities = study(net, [spots], task, {"tta": sampler})
    row = rows.iloc[0]
    assert row["landmarks_abs_error_px"] < 0.1 and row["landmarks_tta_spread_px"] < 0.2
    names = [q.name for q in main_first(quantities, task)]
    assert names[:2] == ["landmarks_px", "hc_mm"]
    assert set(names[-4:]) == {f"{name}_px" for name in LANDMARKS}


@pytest.fixture
def dropping():
    import keras

    from fetal_tf.models.predictor import KerasPredictor

    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(16, 3, padding="same")(pixels)
    normed = keras.layers.BatchNormalization(name="norm")
    x = normed(x)
    inner = keras.Input((8, 8, 16))
    x = keras.Model(inner, keras.layers.Dropout(0.5)(inner), name="inner")(x)
    x = keras.layers.SpatialDropout2D(0.5)(x)
    model = keras.Model(pixels, keras.layers.Conv2D(1, 1)(x))
    normed.moving_mean.assign(np.linspace(0, 50, 16))
    return KerasPredictor(model)


class Raw:
    measurer = BrightHead.measurer


def test_dropout_stays_on_and_batch_norm_keeps_its_averages(dropping):
    frame = np.random.default_rng(0).integers(0, 256, (8, 8, 1)).astype(np.uint8)
    before = dropping.predict(frame[None])
    mean = dropping.model.get_layer("norm").moving_mean.numpy()
    outputs = dropout_sampler(dropping, Raw, 400, seed=5)(frame)
    assert outputs.shape == (400, 8, 8, 1)
    assert (outputs.std(axis=0) > 0).all()
    # dropping half and doubling the rest: a linear net's mean is its answer without dropout
    error = outputs.std(axis=0) / np.sqrt(400)
    assert (np.abs(outputs.mean(axis=0) - before[0]) < 5 * error).all()
    np.testing.assert_array_equal(dropping.predict(frame[None]), before)
    np.testing.assert_array_equal(dropping.model.get_layer("norm").moving_mean.numpy(), mean)
    again = dropout_sampler(dropping, Raw, 400, seed=5)(frame)
    np.testing.assert_allclose(again, outputs)


def test_without_dropout_there_is_nothing_to_sample(dropping):
    import keras

    from fetal_tf.models.predictor import KerasPredictor

    pixels = keras.Input((8, 8, 1))
    plain = keras.Model(pixels, keras.layers.Dropout(0.0)(pixels), name="plain")
    with pytest.raises(ConfigError, match=r"plain: the model has no dropout.*--method tta"):
        dropout_sampler(KerasPredictor(plain), Raw, 3, seed=0)
    with pytest.raises(ConfigError, match="needs the Keras model"):
        dropout_sampler(BrightnessPredictor(), Raw, 3, seed=0)


def test_the_record_and_the_screen(samples):
    task = BrightHead()
    rows, quantities = study(BrightnessPredictor(), samples, task, {"tta": Moody([0.8, 1.2, 0.01])})
    rows["hc_abs_error_mm"] = [1.0, 2, 3, 4]
    evaluated = Evaluated("net", "keras", "hc18", "heads", "test", None, False, "", 0, "", {})
    record = uncertainty_record(rows, quantities, ["tta"], evaluated, 3, 0)
    figures = record["methods"]["tta"]["quantities"]["hc_mm"]
    assert record["methods"]["tta"]["unmeasured_share"] == pytest.approx(1 / 3)
    spread, error, groups = pairs_of(rows, quantities[0], "tta")
    assert figures["spearman"]["value"] == pytest.approx(1) and len(groups) == 4
    ratio = np.sqrt((error**2).mean() / (spread**2).mean())
    assert figures["error_over_spread"] == pytest.approx(ratio)
    text = screen_text(record)
    assert "tta: HC (mm)" in text and "1.00" in text and "100%" in text
    rows["hc_abs_error_mm"] = np.nan
    with pytest.raises(DataError, match="no image has both"):
        uncertainty_record(rows, quantities, ["tta"], evaluated, 3, 0)


def test_the_figure_has_a_panel_per_quantity_and_method():
    rng = np.random.default_rng(0)
    pair = (rng.gamma(2, 1, 30), rng.gamma(2, 1, 30))
    empty = (np.zeros(0), np.zeros(0))
    pairs = {
        "hc_mm": {"mc-dropout": pair, "tta": pair},
        "csp_mm": {"mc-dropout": empty, "tta": empty},
        "bpd_mm": {"mc-dropout": empty, "tta": pair},
    }
    figure = error_against_spread(pairs, "net")
    assert len(figure.axes) == 2 * 3
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels[:4:2] == ["spread of HC (mm), mc-dropout", "spread of HC (mm), tta"]
    scatters = figure.axes[0].collections
    np.testing.assert_array_equal([len(s.get_offsets()) for s in scatters], [27, 3])
    doubted = np.asarray(scatters[1].get_offsets())[:, 0]
    np.testing.assert_allclose(np.sort(doubted), np.sort(pair[0])[-3:])
    assert error_against_spread({"csp_mm": {"tta": empty}}, "net") is None
