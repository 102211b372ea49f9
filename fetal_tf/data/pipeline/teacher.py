"""Distillation: the answers of exported nets are part of another net's training targets.

`teacher: {bundles: [RUN, …], share: 0.5}` blends the expert's target of an augmented frame with the
mean answer of the bundles to it.

Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv
1503.02531. Cross-entropy is linear in the target, so a blended target equals the blend of both
losses there. Dice and the ellipse are computed against the blended target.
"""

from collections.abc import Callable, Sequence

import numpy as np

from fetal_tf.data.pipeline.lending import Lending
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.inference.predictor import Predictor


class Teacher:
    """Blends the mean answer of some bundles into training targets.

    Args:
        bundles: all for one input shape and one list of classes.
        share: of the answer in the target, 0..1; the rest is the expert's.
        known: which channels of an encoded target are known, see `Task.known_channels`; the others
            stay as they are.
        threads: how many may ask at once; each gets its own models, which are loaded now.

    Raises:
        BundleError: a model that cannot be loaded.
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        share: float,
        known: Callable[[np.ndarray], np.ndarray],
        threads: int,
    ):
        self.share = share
        self._known = known
        self._predictors: Lending[list[Predictor]] = Lending(
            lambda: [bundle.predictor() for bundle in bundles], ready=threads
        )

    def blend(self, image: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The blended target of a frame.

        Args:
            image: augmented, uint8 (h, w, C).
            target: the expert's, encoded, float32 (h, w, K).

        Returns:
            float32 (h, w, K).
        """
        blended = (1 - self.share) * target + self.share * self.answer(image)
        return np.where(self._known(target), blended, target).astype(np.float32)

    def answer(self, image: np.ndarray) -> np.ndarray:
        """The mean answer of the bundles to a frame uint8 (h, w, C): float32 (h, w, K)."""
        with self._predictors.lent() as predictors:
            answers = [predictor.predict(image[None]) for predictor in predictors]
        return np.concatenate(answers).mean(axis=0)


def check_bundles(
    bundles: Sequence[Bundle], input_shape: tuple[int, int, int], classes: Sequence[str]
) -> None:
    """Check that bundles can teach a net.

    Args:
        bundles: its teachers.
        input_shape: (height, width, channels) of the net.
        classes: channels of its target.

    Raises:
        ConfigError: a bundle has other frames or classes, or measures worse than its float model.
    """
    for bundle in bundles:
        for what, there, here in (
            ("frames", bundle.input_shape, input_shape),
            ("classes", bundle.classes, tuple(classes)),
        ):
            if there != here:
                raise ConfigError(
                    f"teacher.bundles: {bundle.path} has other {what}: {there} there, {here} here"
                )
        if bundle.failed_parity(bundle.default_format):
            raise ConfigError(
                f"teacher.bundles: {bundle.path}: export found that {bundle.default_format} does "
                "not measure as well as the float model; export it in another format"
            )
