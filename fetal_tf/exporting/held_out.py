"""Which images a bundle is judged on, and whose figures it states where it has learnt them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import read_splits, select
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.runs.environment import read_environment
from fetal_tf.runs.measurement_settings import read_settings
from fetal_tf.runs.run import Run
from fetal_tf.training.refit import check_recipe, settings_of

MEASURED_BY = "measured_by"  # in parity.json: the run whose figures stand there


def held_out_record(run: Run, split: str, formats: Sequence[str]) -> dict[str, Any] | None:
    """parity.json of the run that `run` refits, with MEASURED_BY.

    None where `run` has not learnt the images of `split`: its own figures count.

    Args:
        run: what is exported, with a fitted measurer.
        split: val or test, the images to judge on.
        formats: names of those that will be compared.

    Raises:
        FetalTFError: the other run has changed since, or was not exported in all `formats`.
    """
    refit = _held_out_by(run, split)
    if refit is None:
        return None
    check_recipe(run.config, refit, read_environment(run.path))
    if run.task.fits_measurer and settings_of(refit) != read_settings(run.path):
        raise FetalTFError(
            f"train.refit: {refit} was trained anew: {run.path} has other thresholds, so its "
            "figures do not stand for it; train the refit anew as well"
        )
    parity = _read_parity(refit / "bundle" / "parity.json", refit, formats)
    return {**parity, MEASURED_BY: refit.name}


def judged_samples(run: Run, samples: list[Sample], split: str, source: str) -> list[Sample]:
    """The images of `split`, val or test; for a refit those that the run it refits held out.

    A refit has learnt its validation images. They show whether a file agrees with its float model,
    but not how well the two measure: see `with_held_out_figures`.

    Raises:
        DataError: there are none.
    """
    refit = _held_out_by(run, split)
    splits = run.splits if refit is None else read_splits(refit / "splits.csv")
    return select(samples, splits, split, source)


def _held_out_by(run: Run, split: str) -> Path | None:
    """The run that held the images of `split` out, where `run` has learnt them."""
    return run.config.train.refit if split == "val" else None


def with_held_out_figures(
    parity: dict[str, Any], measured: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The tree of parity.json with the figures of the run that held the images out.

    The differences between the files and the float model stay those of `parity`, and so do the
    answers to negatives, which a refit has not learnt.

    Args:
        parity: judged on `judged_samples`.
        measured: of `held_out_record`; None leaves `parity` as it is.

    Raises:
        FetalTFError: it is of other images.
    """
    if measured is None:
        return parity
    if measured["images"] != parity["images"]:
        raise FetalTFError(
            f"{measured[MEASURED_BY]}: was exported on {measured['images']} images, this run is "
            f"judged on {parity['images']}; export it anew with its own data"
        )
    return {
        **parity,
        MEASURED_BY: measured[MEASURED_BY],
        "keras": _figures(measured["keras"], parity["keras"]),
        "formats": {
            form: {
                **own,
                "measured": _figures(measured["formats"][form]["measured"], own["measured"]),
            }
            for form, own in parity["formats"].items()
        },
    }


def _figures(held_out: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    answers = {"negatives": own["negatives"]} if "negatives" in own else {}
    return {**{k: v for k, v in held_out.items() if k != "negatives"}, **answers}


def _read_parity(path: Path, refit: Path, formats: Sequence[str]) -> dict[str, Any]:
    command = f"python -m export {refit} --formats {','.join(formats)} --parity-split val"
    try:
        parity = json.loads(path.read_text(encoding="utf-8"))
        missing = [n for n in formats if "measured" not in parity["formats"].get(n, {})]
        split, _, _ = parity["split"], parity["keras"]["metrics"], parity["images"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FetalTFError(
            f"{path}: cannot be read ({error}); its figures stand for the refit: `{command}` first"
        ) from error
    if missing or split != "val":
        raise FetalTFError(
            f"{path}: has no figures of {', '.join(missing) or 'the validation images'}; "
            f"`{command}` makes them"
        )
    return parity
