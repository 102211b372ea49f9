import pytest

from fetal_tf.scores.categories import categories
from fetal_tf.scores.rows import image_frame


def rows(pairs):
    return image_frame([{"heart_dice": dice, "heart_roc_auc": area} for dice, area in pairs])


def test_shares_are_above_each_mark_and_nested():
    found = categories(rows([(0.95, 0.99), (0.8, 0.9), (0.71, 0.85), (0.2, 0.5)]), "heart")
    assert found == {
        # 0.8 is not above 0.8, 0.9 not above 0.9
        "dice": {"0.8": 0.25, "0.7": 0.75, "0.5": 0.75},
        "roc_auc": {"0.9": 0.25, "0.8": 0.75, "0.7": 0.75},
        "n": 4,
    }


@pytest.mark.parametrize("gap", [(None, 0.9), (1.0, None), (float("nan"), 0.9)])
def test_images_without_both_figures_are_left_out(gap):
    found = categories(rows([(0.6, 0.95), gap, (None, None)]), "heart")
    assert found["n"] == 1
    assert found["dice"] == {"0.8": 0, "0.7": 0, "0.5": 1}
    assert found["roc_auc"] == {"0.9": 1, "0.8": 1, "0.7": 1}


def test_nothing_scored_is_no_share():
    found = categories(rows([(0.9, 0.9)]), "thorax")
    assert found["n"] == 0
    assert set(found["dice"].values()) == set(found["roc_auc"].values()) == {None}
