import pytest

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.scores.monitor import Monitor

LOSS, DICE = Monitor("val_loss", falls=True), Monitor("val_dice", falls=False)


def history(monitor, values):
    return [{monitor.name: value, "other": 0.0} for value in values]


@pytest.mark.parametrize(
    ("monitor", "values", "expected"),
    [
        (LOSS, [3.0, 1.0, 1.0, 2.0], 1),
        (DICE, [0.1, 0.9, 0.9, 0.2], 1),
        (DICE, [float("nan"), 0.1, 0.05], 1),
        (LOSS, [float("nan"), 4.0, float("inf")], 1),
    ],
)
def test_the_best_epoch_is_the_earliest_of_equals(monitor, values, expected):
    assert monitor.best_epoch(history(monitor, values)) == expected


def test_no_epoch_is_best_of_none():
    with pytest.raises(ValueError):
        LOSS.best_epoch([])


def test_a_history_without_the_figure_is_named():
    with pytest.raises(FetalTFError, match=r"metrics\.csv: has no column val_loss"):
        LOSS.best_epoch([{"val_dice": 0.5}])


def test_waiting_is_counted_from_the_history_alone():
    rows = history(LOSS, (3.0, 2.0, 1.995, 2.5, 1.0, 1.0))
    waits = [LOSS.epochs_without_gain(rows[:n], 0.01) for n in range(7)]
    assert waits == [0, 0, 0, 1, 2, 0, 1]
    assert DICE.epochs_without_gain(history(DICE, (0.5, 0.8, 0.7, float("nan")))) == 2
