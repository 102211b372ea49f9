"""Runs as `open_target` gives them, without training: the brightness predictor, gray images."""

from types import SimpleNamespace

from fetal_tf.config.loading import parse_config
from fetal_tf.data.splits import SplitRow
from tests.evaluation.evaluation_fakes import BrightnessPredictor, BrightnessTask


def fake_config(name, root, seed=0, **sections):
    tree = {
        "name": name,
        "seed": seed,
        "data": {"dataset": "hc18", "root": str(root), "image_size": [24, 32]},
        "task": {"name": "segmentation", "classes": ["head"], "measurement": "head"},
        "model": {"name": "small_unet"},
        "loss": {"name": "bce"},
        "optimizer": {"name": "adam", "learning_rate": 1e-3},
        "train": {"epochs": 1, "batch_size": 2},
    }
    return parse_config(tree | sections, "test")


def fake_target(run_path, samples, *, task=None, predictor=None, seed=0, **sections):
    """A run in `run_path` that tests on all of `samples`; `asked` records the last request."""
    task = task or BrightnessTask()
    root = samples[0].image_path.parent
    config = fake_config(run_path.name, root, seed, **sections)
    asked = {}

    def find(part, data_root=None, dataset=None):
        asked.update(part=part, data_root=data_root)
        return list(samples)

    return SimpleNamespace(
        name=run_path.name,
        format="keras",
        predictor=predictor or BrightnessPredictor(),
        task=task,
        config=config,
        experiment=SimpleNamespace(
            config=config, task=task, data=SimpleNamespace(is_own=lambda *_: True)
        ),
        splits={s.id: SplitRow(s.id, s.group, "test") for s in samples},
        run_path=run_path,
        history=[],
        folder=None,
        samples=find,
        negatives=lambda *_: [],
        default_out=lambda part, *a, **k: run_path / "evaluation" / f"{part}-keras",
        asked=asked,
    )


class Dimmed(BrightnessPredictor):
    """Another seed's net: less sure of everything, and by how much depends on the frame."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def predict(self, images):
        return super().predict(images) * self.factor


class PoolingTask(BrightnessTask):
    """Also pools Dice: the product of the images', which is no mean of a column."""

    def pooled(self, rows):
        return {} if rows.empty else {"dice": rows["dice"].prod(), "mean_iou": 0.5}

    def summarise(self, rows, seed):
        value = self.pooled(rows)["dice"]
        return {"pooled": {"dice": {"value": value, "ci95": [value / 2, value * 2]}}}
