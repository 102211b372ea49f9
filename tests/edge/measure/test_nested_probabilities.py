"""Three spellings of the same thing: thorax and heart, the one inside the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fetal_tf.edge.measure.nested_probabilities import SPELLINGS, check_classes, nested

NESTED, EXCLUSIVE, ALONE = SPELLINGS
LABELS = np.array([[0, 1, 1, 0], [1, 2, 2, 1], [0, 1, 2, 0]])  # background, thorax, heart


def probabilities(channels):
    return arrays(np.float32, (3, 4, channels), elements=st.floats(0, 1, width=32))


def test_all_spellings_of_one_label_map_say_the_same():
    thorax, heart = (LABELS > 0).astype(np.float32), (LABELS == 2).astype(np.float32)
    outputs = {
        NESTED: np.stack([thorax, heart], axis=-1),
        EXCLUSIVE: np.eye(3, dtype=np.float32)[LABELS],
        ALONE: heart[..., None],
    }
    for classes, output in outputs.items():
        found = nested(output, classes)
        assert list(found) == (["heart"] if classes == ALONE else ["thorax", "heart"])
        np.testing.assert_array_equal(found["heart"], heart)
        if classes != ALONE:
            np.testing.assert_array_equal(found["thorax"], thorax)
        assert all(values.dtype == np.float32 for values in found.values())


def test_the_thorax_of_exclusive_classes_is_the_ring_and_the_heart():
    output = np.array([[[0.2, 0.5, 0.3], [0.1, 0.3, 0.6]]], np.float32)
    found = nested(output, EXCLUSIVE)
    np.testing.assert_allclose(found["thorax"], [[0.8, 0.9]], rtol=1e-6)
    np.testing.assert_array_equal(found["heart"], output[..., 2])


def test_quantised_probabilities_that_sum_to_more_than_one():
    found = nested(np.array([[[0.0, 0.504, 0.5]]], np.float32), EXCLUSIVE)
    assert found["thorax"].item() == 1.0


@given(probabilities(2))
def test_a_heart_is_never_likelier_than_its_thorax(output):
    found = nested(output, NESTED)
    np.testing.assert_array_equal(found["thorax"], output[..., 0])
    np.testing.assert_array_equal(found["heart"], np.minimum(output[..., 1], output[..., 0]))


@given(probabilities(3))
def test_neither_with_exclusive_classes_and_none_leaves_the_unit_interval(output):
    found = nested(output, EXCLUSIVE)
    assert (found["heart"] <= found["thorax"]).all() and (found["thorax"] <= 1).all()
    assert (found["thorax"] >= output[..., 1]).all()


def test_the_networks_output_is_not_written_to():
    output = np.array([[[0.2, 0.9]]], np.float32)
    nested(output, NESTED)["heart"][:] = 0
    np.testing.assert_array_equal(output, np.array([[[0.2, 0.9]]], np.float32))


@pytest.mark.parametrize(
    "classes", [("heart", "thorax"), ("thorax",), ("background", "heart"), ("head",), ()]
)
def test_other_classes_are_refused(classes):
    with pytest.raises(ValueError) as error:
        check_classes(classes)
    assert str(error.value) == (
        "classes of a four-chamber view are one of: thorax, heart; background, thorax, heart; "
        f"heart; found {', '.join(classes)}"
    )
    with pytest.raises(ValueError, match="four-chamber"):
        nested(np.zeros((3, 4, len(classes)), np.float32), classes)


def test_another_number_of_channels():
    with pytest.raises(ValueError) as error:
        nested(np.zeros((3, 4, 3), np.float32), NESTED)
    assert str(error.value) == (
        "probabilities (height, width, 2) are expected for thorax, heart, found (3, 4, 3)"
    )
