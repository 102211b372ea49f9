"""Check that the columns a task declares are those of its rows."""

TEXTS = ("id", "group", "flags", "refused", "error", "condition")


def check_declared(task, row, unheld=()):
    """Every number of a row is declared, and the other way about but for what training follows."""
    numbers = {name for name, value in row.items() if not isinstance(value, str)} - set(TEXTS)
    assert not numbers - set(task.columns)
    training = {metric.name for metric in task.training_metrics((64, 96))}
    assert set(task.columns) - set(row) - training <= set(unheld)
