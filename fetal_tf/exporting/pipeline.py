"""Export a run, step by step: convert, compare with Keras, time, describe, write checksums."""

import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from fetal_tf.config.loading import save_config
from fetal_tf.config.portable import portable
from fetal_tf.data.credit import joined, read_credits
from fetal_tf.data.splits import select, write_splits
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.edge.io.folders import staged_folder
from fetal_tf.edge.io.images import read_gray
from fetal_tf.exporting.benchmark import benchmark
from fetal_tf.exporting.bundle_folder import write_checksums, write_json
from fetal_tf.exporting.bundle_record import bundle_record
from fetal_tf.exporting.comparison import compare_files
from fetal_tf.exporting.convert import convert
from fetal_tf.exporting.float_model import float32_model
from fetal_tf.exporting.formats import Format
from fetal_tf.exporting.gate import embed
from fetal_tf.exporting.held_out import (
    MEASURED_BY,
    held_out_record,
    judged_samples,
    with_held_out_figures,
)
from fetal_tf.exporting.int8_ranges import choose_range_samples, read_frames
from fetal_tf.exporting.latency import whole_way
from fetal_tf.exporting.model_card import (
    CARD,
    CardFacts,
    benchmark_table,
    model_card,
    parity_table,
)
from fetal_tf.models.predictor import KerasPredictor
from fetal_tf.reporting.text.table import text_table
from fetal_tf.runs.lineage import INHERITED_NAME, credits_due, read_inherited, write_inherited
from fetal_tf.runs.run import Run
from fetal_tf.training.fit_measurer import with_fitted_measurer


def export_run(
    run: Run,
    formats: Sequence[Format],
    target: Path,
    parity_split: str | None = None,
    data_root: Path | None = None,
    gate: Bundle | None = None,
) -> list[str]:
    """Write the bundle of `run` to `target`, replacing an older one when all is done.

    Args:
        run: a trained run.
        formats: what to convert to.
        target: the bundle's folder.
        parity_split: val or test; None takes the config's.
        data_root: where the run's data are; None takes the config's.
        gate: the bundle of a gate, see `exporting.gate`.

    Returns:
        One line per parity limit that was broken, none where all formats passed.

    Raises:
        FetalTFError: nothing was written.
    """
    run = with_fitted_measurer(run, data_root)
    config = run.config
    split = parity_split or config.export.parity_split
    measured = held_out_record(run, split, [form.name for form in formats])
    root = data_root or config.data.root
    samples = run.samples("all", data_root)
    training = select(samples, run.splits, "train", str(root))
    judged = judged_samples(run, samples, split, str(root))
    needed = config.export.calibration_images if any(f.fixed_ranges for f in formats) else 0
    learnt = [*training, *run.negatives("train", data_root)]  # ranges of all that was learnt
    judged_ids = {sample.id for sample in judged}  # a refit has learnt them as well
    range_samples = choose_range_samples(
        [sample for sample in learnt if sample.id not in judged_ids], needed, config.seed
    )
    model = float32_model(run.keras_model())

    with staged_folder(target) as folder:
        files = _convert(model, formats, folder, read_frames(range_samples, run.input_shape))
        comparison = compare_files(
            KerasPredictor(model),
            files,
            judged,
            run.task,
            negatives=run.negatives("test", data_root),
            split=split,
            config_limits=config.export.parity_limits,
            seed=config.seed,
        )
        parity = with_held_out_figures(comparison.as_record(), measured)
        print("\n" + text_table(parity_table(parity, run.task), rule=True) + "\n")
        images = [(read_gray(s.image_path), s.mm_per_pixel) for s in comparison.probes]
        frames = read_frames(comparison.probes, run.input_shape)
        timing = benchmark(files, model, images, frames, run.task.measurer)
        print(text_table(benchmark_table(timing), rule=True) + "\n")

        measure = whole_way(KerasPredictor(model), images, run.task.measurer)
        data = joined(read_credits(run.path) or credits_due(config, samples))
        bundle = bundle_record(
            run,
            files,
            comparison,
            {"split": "train", "seed": config.seed, "images": [s.id for s in range_samples]},
            measure().as_record(),
            data,
            None if gate is None else embed(gate, folder),
        )
        if measured is not None:
            bundle["parity"][MEASURED_BY] = measured[MEASURED_BY]
        facts = CardFacts(bundle, parity, timing, config, run.splits, run.task)
        save_config(portable(config), folder / "config.yaml")
        write_splits(folder / "splits.csv", run.splits)
        _keep_inherited(run.path, folder)
        for name, tree in (("bundle", bundle), ("parity", parity), ("benchmark", timing)):
            write_json(folder / f"{name}.json", tree)
        write_text_atomic(folder / CARD, model_card(facts))
        write_checksums(folder)
    return comparison.failures


def _keep_inherited(run: Path, folder: Path) -> None:
    """Copy inherited.json; runs of older versions have none."""
    if (run / INHERITED_NAME).is_file():
        write_inherited(folder, read_inherited(run))


def _convert(
    model: keras.Model, formats: Sequence[Format], folder: Path, range_frames: np.ndarray
) -> dict[str, Path]:
    files = {}
    for form in formats:
        start = time.perf_counter()
        path = convert(model, form, folder, range_frames)
        seconds = time.perf_counter() - start
        size = f"{path.stat().st_size / 1000:.0f} KB"
        print(f"convert  {form.name:<9}  {size:>8}  {seconds:4.1f} s", flush=True)
        files[form.name] = path
    return files
