"""Training metrics of exclusive classes: Dice, IoU and accuracy of the most probable class.

Pixels are pooled over the epoch, so a structure that most images lack is judged on the images that
show it. Evaluation after training is `fetal_tf.scores.classes`: per image, at the original size.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

CARRY = 2**20  # pixels that make one unit of `PooledPixels.carried`


class PooledPixels(keras.metrics.Metric):
    """A score of exact pixel counts that are pooled over the epoch.

    The class of a pixel is the channel with the largest value, the first of equals, so a pixel
    without any truth is background. An epoch has more pixels than float32 can count (2^24) or, with
    large frames, int32 (2^31). So counts are kept as int32 in two parts, exact up to 2^51 pixels.
    Only `result` rounds, each count by less than 1e-7 of itself.

    Args:
        counts: how many numbers a subclass counts.
        name: the name in the logs.
        dtype: as in `keras.metrics.Metric`.
    """

    def __init__(self, counts: int, name: str, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.pending = self.add_variable((counts,), "zeros", dtype="int32", name="pending")
        self.carried = self.add_variable((counts,), "zeros", dtype="int32", name="carried")

    def update_state(
        self, y_true: KerasTensor, y_pred: KerasTensor, sample_weight: KerasTensor | None = None
    ) -> None:
        """Add a batch: one-hot truth and probabilities, (N, H, W, K), of up to 4096x4096 pixels.

        Raises:
            ValueError: a `sample_weight`: pixels are counted whole.
        """
        if sample_weight is not None:
            raise ValueError(f"{self.name} counts pixels whole and takes no sample_weight")
        masks = self._masks(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1))
        # float32 counts one image exactly in any order of summation, and unlike int32 it is
        # summed on the GPU. The sum over images is int32.
        per_image = ops.sum(ops.cast(masks, "float32"), axis=(2, 3))
        pending = self.pending + ops.sum(ops.cast(per_image, "int32"), axis=1)
        self.carried.assign_add(pending // CARRY)
        self.pending.assign(pending % CARRY)

    def result(self) -> KerasTensor:
        pixels = ops.cast(self.carried, "float32") * CARRY + ops.cast(self.pending, "float32")
        return self._score(pixels)

    def _masks(self, truth: KerasTensor, predicted: KerasTensor) -> KerasTensor:
        """Class indices (N, H, W) twice to bool (counts, N, H, W)."""
        raise NotImplementedError

    def _score(self, pixels: KerasTensor) -> KerasTensor:
        """Counts (counts,) to the score."""
        raise NotImplementedError


class PooledClasses(PooledPixels):
    """A score of the pixels per class in truth, in prediction and in both; here the mean Dice.

    A class that neither truth nor prediction ever showed is left out; NaN where all are.

    Args:
        indices: the classes that count.
        name: the name in the logs.
        dtype: as in `keras.metrics.Metric`.
    """

    def __init__(self, indices: Sequence[int], name: str, dtype: Any = None):
        super().__init__(3 * len(indices), name=name, dtype=dtype)
        self._indices = list(indices)

    def _masks(self, truth: KerasTensor, predicted: KerasTensor) -> KerasTensor:
        pairs = [(truth == index, predicted == index) for index in self._indices]
        shared = [ops.logical_and(true, found) for true, found in pairs]
        return ops.stack([*shared, *(true for true, _ in pairs), *(found for _, found in pairs)])

    def _score(self, pixels: KerasTensor) -> KerasTensor:
        return self._class_score(*ops.unstack(ops.reshape(pixels, (3, len(self._indices)))))

    def _class_score(
        self, shared: KerasTensor, true: KerasTensor, found: KerasTensor
    ) -> KerasTensor:
        """The score of pixels per class, (classes,) each."""
        return _mean_of_seen(2 * shared, true + found, ops.ones_like(shared))


@keras.saving.register_keras_serializable(package="fetal_tf")
class ClassDice(PooledClasses):
    """Pooled Dice of one class, 2 |A and B| / (|A| + |B|)."""

    def __init__(self, class_index: int, name: str, dtype: Any = None):
        super().__init__([class_index], name=name, dtype=dtype)
        self.class_index = class_index

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "class_index": self.class_index}


@keras.saving.register_keras_serializable(package="fetal_tf")
class ForegroundDice(PooledClasses):
    """The mean of the pooled Dice of classes 1 to `classes` - 1."""

    def __init__(self, classes: int, name: str = "foreground_dice", dtype: Any = None):
        super().__init__(range(1, classes), name=name, dtype=dtype)
        self.classes = classes

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}


@keras.saving.register_keras_serializable(package="fetal_tf")
class WeightedIoU(PooledClasses):
    """sum_c w_c IoU_c / sum_c w_c of pooled IoU; `weights` holds one w_c per class.

    A class that neither truth nor prediction ever showed is left out with its weight; NaN where no
    weight is left. The source thesis chooses its best epoch by the weights 0, 1, 2, 2.
    """

    def __init__(self, weights: Sequence[float], name: str = "weighted_iou", dtype: Any = None):
        super().__init__(range(len(weights)), name=name, dtype=dtype)
        self.weights = [float(weight) for weight in weights]

    def _class_score(
        self, shared: KerasTensor, true: KerasTensor, found: KerasTensor
    ) -> KerasTensor:
        weights = ops.convert_to_tensor(self.weights, "float32")
        return _mean_of_seen(shared, true + found - shared, weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": self.weights}


@keras.saving.register_keras_serializable(package="fetal_tf")
class ClassAccuracy(PooledPixels):
    """The share of pixels whose most probable class is the true one.

    A large background makes it high for any net.
    """

    def __init__(self, name: str = "pixel_accuracy", dtype: Any = None):
        super().__init__(2, name=name, dtype=dtype)

    def _masks(self, truth: KerasTensor, predicted: KerasTensor) -> KerasTensor:
        right = truth == predicted
        return ops.stack([right, ops.ones_like(right)])

    def _score(self, pixels: KerasTensor) -> KerasTensor:
        right, counted = ops.unstack(pixels)
        return _mean_of_seen(right, counted, ops.ones_like(right))


def _mean_of_seen(part: KerasTensor, whole: KerasTensor, weights: KerasTensor) -> KerasTensor:
    """The weighted mean of `part / whole` where `whole` is not zero; NaN where it always is."""
    weights = ops.where(whole > 0, weights, 0.0)
    total = ops.sum(weights)
    mean = ops.sum(weights * part / ops.maximum(whole, 1.0)) / ops.where(total > 0, total, 1.0)
    return ops.where(total > 0, mean, float("nan"))
