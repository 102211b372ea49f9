"""What the reader of a comparison has to know before believing a difference."""

from collections.abc import Iterator, Mapping, Sequence

from fetal_tf.config.registry import nearest
from fetal_tf.evaluation.stored import Judged

BACKGROUND = "background"  # of tasks in which every pixel belongs to exactly one class


def comparison_notes(
    judged: Sequence[Judged], own: Sequence[Mapping[str, object]], pooled_unpaired: Sequence[int]
) -> list[str]:
    """Sentences on what was trained on, what differs, and what is missing.

    Args:
        judged: the runs.
        own: each run's figures, by the names that a config's `published` may use.
        pooled_unpaired: images in each run's figures over pixels that another run has not.
    """
    first = judged[0]
    notes = [
        f"{j.label} was trained on {j.evaluated['trained_on']} of its images."
        for j in judged
        if j.evaluated.get("trained_on")
    ]
    for j in judged[1:]:
        notes += _differences(j, first)
    for j, count in zip(judged, pooled_unpaired, strict=True):
        if count:
            notes.append(
                f"{j.label}: what is pooled over pixels holds all its {len(j.rows)} images, the "
                f"{count} that another run has not among them."
            )
    for j, names in zip(judged, own, strict=True):
        notes += _alone(j, names)
    return notes


def _differences(one: Judged, first: Judged) -> Iterator[str]:
    if one.task.name != first.task.name:
        yield (
            f"{one.label} is judged by the task {one.task.name}, {first.label} by "
            f"{first.task.name}: a metric that only one of them has is not tested."
        )
    if one.task.classes != first.task.classes:
        known = (
            f"{one.label} knows {', '.join(one.task.classes)}; {first.label} knows "
            f"{', '.join(first.task.classes)}."
        )
        if BACKGROUND in one.task.classes and BACKGROUND in first.task.classes:
            known += (
                " What one names and the other does not counts to another class there: figures of "
                "the surrounding class differ by definition."
            )
        yield known
    if one.evaluated["data_root"] != first.evaluated["data_root"]:
        yield (
            f"{one.label} was evaluated on {one.evaluated['data_root']}, {first.label} on "
            f"{first.evaluated['data_root']}; ids, groups, pixel sizes and truth agree."
        )


def _alone(judged: Judged, own: Mapping[str, object]) -> Iterator[str]:
    """Published figures that nothing of ours can stand beside."""
    metrics = judged.published.metrics if judged.published else {}
    for name, value in metrics.items():
        if name not in own:
            yield (
                f"{judged.label}: its config states published.metrics.{name} = {value:g}, but its "
                f"evaluation has no such figure{nearest(name, own)}."
            )
