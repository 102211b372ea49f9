"""On which images a bundle is judged, and by whose figures where its net has learnt them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import read_splits
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.experiment import select
from fetal_tf.refit import measured_config
from fetal_tf.run import Run

MEASURED_BY = "measured_by"  # in parity.json: the run whose figures stand there


def judged_samples(run: Run, samples: list[Sample], split: str, source: str) -> list[Sample]:
    """The images of val or test; of a refit's validation part those that it has learnt too.

    Whether a file follows its float model can be seen on any image. How well both measure cannot:
    see `with_held_out_figures`.

    Raises:
        DataError: there are none.
    """
    refit = run.config.train.refit
    learnt = split == "val" and refit is not None
    splits = read_splits(refit / "splits.csv") if learnt and refit else run.splits
    return select(samples, splits, split, source)


def with_held_out_figures(
    run: Run, parity: dict[str, Any], formats: Sequence[str]
) -> dict[str, Any]:
    """The tree of parity.json, its figures those of the run that held the images out.

    Its own stay the differences between the files and the float model, and what the net says to
    frames of something else, which are held out from a refit too.

    Args:
        run: what is exported.
        parity: judged on `judged_samples`.
        formats: that were compared.

    Raises:
        FetalTFError: the other run was not exported, or without one of the formats.
    """
    refit = run.config.train.refit
    if refit is None or parity["split"] != "val":
        return parity
    measured = _read_parity(refit / "bundle" / "parity.json", refit, formats)
    own = parity["formats"]
    return {
        **parity,
        MEASURED_BY: measured_config(refit).name,
        "keras": _figures(measured["keras"], parity["keras"]),
        "formats": {
            name: {
                **form,
                "measured": _figures(measured["formats"][name]["measured"], form["measured"]),
            }
            for name, form in own.items()
        },
    }


def _figures(held_out: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    answers = {"negatives": own["negatives"]} if "negatives" in own else {}
    return {**{k: v for k, v in held_out.items() if k != "negatives"}, **answers}


def _read_parity(path: Path, refit: Path, formats: Sequence[str]) -> dict[str, Any]:
    command = f"python -m export {refit} --formats {','.join(formats)} --parity-split val"
    try:
        parity = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FetalTFError(
            f"{path}: cannot be read ({error}); its figures stand for the refit: `{command}` first"
        ) from error
    missing = [name for name in formats if name not in parity["formats"]]
    if missing or parity["split"] != "val":
        raise FetalTFError(
            f"{path}: has no figures of {', '.join(missing) or 'the validation images'}; "
            f"`{command}` makes them"
        )
    return parity
