"""Teachers: exported nets whose answer to a frame is part of what another net learns from it.

`teacher: {bundles: [RUN, …], share: 0.5}` blends what the experts drew with what the bundles say,
in the mean, about the same augmented frame. The experts of ultrasound differ by as much as good
nets err; a teacher has seen them all and answers with their mean, at every pixel of every view.

Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv
1503.02531. Cross-entropy is linear in the target, so a blended target is exactly the blend of both
losses there; overlaps and ellipses are held against the blend itself.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from fetal_tf.edge.bundle import Bundle, resolve_bundle
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.runtimes import Predictor


@dataclass(frozen=True)
class Teacher:
    """The mean answer of some bundles, and how much of the target it is.

    Safe to be shared by threads: each loads the models for itself.

    Attributes:
        bundles: all for one input shape and one list of classes.
        share: of the answer in the target, 0..1; what is left is the experts'.
    """

    bundles: tuple[Bundle, ...]
    share: float
    _loaded: threading.local = field(default_factory=threading.local, compare=False)

    @classmethod
    def of(
        cls,
        references: Sequence[str],
        share: float,
        input_shape: tuple[int, int, int],
        classes: Sequence[str],
    ) -> Self:
        """Open and load the bundles that a config names.

        Args:
            references: bundles, runs that hold one, or zoo:NAME.
            share: as the attribute.
            input_shape: (height, width, channels) that this run's net sees.
            classes: channels of this run's target.

        Raises:
            BundleError: no sound bundle there.
            ConfigError: one that answers another question.
        """
        bundles = tuple(Bundle.open(resolve_bundle(reference)) for reference in references)
        for reference, bundle in zip(references, bundles, strict=True):
            for what, there, here in (
                ("frames", bundle.input_shape, input_shape),
                ("classes", bundle.classes, tuple(classes)),
            ):
                if there != here:
                    raise ConfigError(
                        f"teacher.bundles: {reference} has other {what}: {there} there, {here} here"
                    )
        teacher = cls(bundles, share)
        teacher._predictors()
        return teacher

    def blend(self, image: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The target that is learnt from a frame.

        Args:
            image: uint8 (h, w, C), as the net sees it: augmented.
            target: the experts', encoded, float32 (h, w, K).

        Returns:
            float32 (h, w, K).
        """
        blended = (1 - self.share) * target + self.share * self.answer(image)
        return blended.astype(np.float32)

    def answer(self, image: np.ndarray) -> np.ndarray:
        """What the bundles say of a frame uint8 (h, w, C) in the mean: float32 (h, w, K)."""
        answers = [predictor.predict(image[None]) for predictor in self._predictors()]
        return np.concatenate(answers).mean(axis=0)

    def _predictors(self) -> list[Predictor]:
        if not hasattr(self._loaded, "predictors"):
            self._loaded.predictors = [bundle.predictor() for bundle in self.bundles]
        return self._loaded.predictors
