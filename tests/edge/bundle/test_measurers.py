"""Every measurer by its name: what it looks at, measures, records and draws."""

import numpy as np
import pytest

from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.landmarks import LANDMARKS, ellipse_landmarks
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.inference.views import WithDisagreement
from fetal_tf.edge.measure.brain import measure_brain
from fetal_tf.edge.measure.four_chamber import measure_four_chamber
from fetal_tf.edge.measure.head import measure_head
from tests.edge.measure.painted_brain import BRAIN as BRAIN_ELLIPSE
from tests.edge.measure.painted_brain import CLASSES, SHAPE, TRUTH, painted

BOX = Letterbox(*SHAPE, *SHAPE)
HEAD_ELLIPSE = Ellipse(160, 120, 110, 84, 15)
HEAD = rasterise(HEAD_ELLIPSE, SHAPE)[..., None].astype(np.float32)
ENDS = np.stack(
    [
        np.exp(-((np.indices(SHAPE) - [[[y]], [[x]]]) ** 2).sum(0) / 18).astype(np.float32)
        for x, y in ellipse_landmarks(HEAD_ELLIPSE)
    ],
    axis=-1,
)
BRAIN = np.eye(len(CLASSES), dtype=np.float32)[TRUTH]
HEART = rasterise(Ellipse(150, 110, 52, 40, 70), SHAPE)[..., None].astype(np.float32)
VIEW = np.concatenate([HEAD, HEART], axis=-1)
TRUE = {"head": HEAD, "brain": BRAIN, "four_chamber": VIEW, "landmarks": ENDS}
CLASSES_OF = {
    "head": ("head",),
    "brain": CLASSES,
    "four_chamber": ("thorax", "heart"),
    "landmarks": LANDMARKS,
}


class Fixed:
    """A net that gives one answer, whatever it sees; it remembers what it saw."""

    def __init__(self, output):
        self.input_shape = (*output.shape[:2], 1)
        self.output, self.seen = output, []

    def predict(self, images):
        self.seen.append(images)
        return np.repeat(self.output[None], len(images), axis=0)


def measurer_of(name, settings=None):
    return MEASURERS[name](CLASSES_OF[name], settings or {})


def outputs(name):
    """What the measurer measures of a net that is right: (measurer, prepared output)."""
    measurer = measurer_of(name)
    frame = np.full((1, *SHAPE, 1), 100, np.uint8)
    return measurer, measurer.prepared(Fixed(TRUE[name])).predict(frame)[0]


def test_a_test_for_every_measurer():
    assert set(MEASURERS) == {*TRUE, "plane"}  # which measures no length: test_plane.py


@pytest.mark.parametrize("name", TRUE)
def test_the_record_has_the_same_keys_refused_or_not(name):
    measurer, output = outputs(name)
    found = measurer.measure(output, BOX, 0.3)
    nothing = np.zeros_like(output)
    if name == "brain":
        nothing[..., 0] = 1
    refused = measurer.measure(nothing, BOX, None)
    assert found.refused is None
    assert refused.refused.startswith("no_")
    assert list(found.as_record()) == list(refused.as_record())
    assert found.headline() and not refused.headline()
    # What a table can hold, and no NumPy number that JSON refuses.
    assert {type(value) for value in found.as_record().values()} <= {float, str, type(None)}


@pytest.mark.parametrize("name", TRUE)
def test_millimetres_need_a_pixel_size(name):
    measurer, output = outputs(name)
    with_size, without = (measurer.measure(output, BOX, mm).as_record() for mm in (0.3, None))
    lengths = [key for key in without if key.endswith(("_mm", "_mm2"))]
    assert lengths
    assert all(without[key] is None for key in lengths)
    assert any(with_size[key] is not None for key in lengths)
    with pytest.raises(ValueError):
        measurer.measure(output, BOX, 0.0)


@pytest.mark.parametrize("name", TRUE)
def test_a_picture_with_and_without_the_truth(name):
    measurer, output = outputs(name)
    image = np.full(SHAPE, 60, np.uint8)
    found = measurer.measure(output, BOX, 0.3)
    alone, compared = measurer.draw(image, found), measurer.draw(image, found, found)
    for picture in (alone, compared):
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert alone.shape != compared.shape or (alone != compared).any()


def test_a_head_is_measured_in_the_nets_own_output():
    net = Fixed(HEAD)
    measurer = measurer_of("head")
    assert measurer.prepared(net) is net
    expected = measure_head(HEAD[..., 0], BOX, 0.3, ga_weeks=30)
    found = measurer.measure(HEAD, BOX, 0.3, 30)
    assert found.as_record() == expected.as_record()
    assert found.as_record()["hc_z"] is not None


def test_a_four_chamber_view_is_measured_in_the_nets_own_output():
    net = Fixed(VIEW)
    measurer = measurer_of("four_chamber")
    assert measurer.prepared(net) is net
    expected = measure_four_chamber(VIEW, ("thorax", "heart"), BOX, 0.3)
    assert measurer.measure(VIEW, BOX, 0.3, 30) == expected
    assert expected.ctr_diameter_percent == pytest.approx(100 * 40 / 84, rel=0.01)


def test_a_brain_is_looked_at_in_several_views():
    net = Fixed(BRAIN)
    measurer = measurer_of("brain")
    prepared = measurer.prepared(net)
    assert isinstance(prepared, WithDisagreement) and prepared.input_shape == net.input_shape
    output = prepared.predict(np.full((1, *SHAPE, 1), 100, np.uint8))
    assert len(net.seen) > 1 and output.shape == (1, *SHAPE, len(CLASSES) + 1)
    np.testing.assert_array_equal(output[0, ..., :-1], BRAIN)
    # A net that does not follow the mirror contradicts itself where the brain has no mirror image.
    asymmetric = (BRAIN[:, ::-1] != BRAIN).any(axis=-1)
    assert (output[0, ..., -1][asymmetric] > 0.1).all()
    assert not output[0, ..., -1][~asymmetric].any()
    found = measurer.measure(output[0], BOX, 0.3)
    assert found.as_record() == measure_brain(output[0], CLASSES, BOX, 0.3).as_record()
    assert found.disagreement_score > 0


def test_a_brains_settings_reach_the_measurement():
    speck = TRUTH.copy()
    speck[118:120, 200:202] = CLASSES.index("csp")
    output = np.eye(len(CLASSES), dtype=np.float32)[speck]
    cleaned = measurer_of("brain").measure(output, BOX, 0.3)
    raw = measurer_of("brain", {"cleaning": None}).measure(output, BOX, 0.3)
    assert cleaned.structures["csp"].fragments == 1
    assert raw.structures["csp"].fragments == 2
    np.testing.assert_array_equal(raw.labels, speck)
    axis_ratio = {"median": 0.0, "scale": 0.01, "n": 50}
    settings = {"reference": {"brain_axis_ratio": axis_ratio}, "thresholds": {"shape_score": 2.0}}
    solid = np.eye(len(CLASSES), dtype=np.float32)[painted((1, BRAIN_ELLIPSE))]
    judged = measurer_of("brain", settings).measure(solid, BOX, 0.3)
    # The painted brain's semi-axes are 110 and 84: so many scales from a circle.
    assert judged.shape_score == pytest.approx(abs(np.log(84 / 110)) / 0.01, rel=0.02)
    assert judged.anomaly_score == pytest.approx(judged.shape_score / 2)


@pytest.mark.parametrize(
    "settings", [{"cleaning": {"min_aera": 0.1}}, {"cleaning": 3}, {"cleaning": {"closing": -1}}]
)
def test_settings_that_a_brain_does_not_know_are_refused_at_once(settings):
    with pytest.raises(ValueError, match="cleaning"):
        measurer_of("brain", settings)
