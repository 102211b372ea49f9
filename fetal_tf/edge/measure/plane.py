"""Judge by an autoencoder's reconstruction whether a frame shows the plane it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fetal_tf.edge.flag import Flag, in_words
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.measure.plane_features import FEATURES, plane_features, structural_similarity
from fetal_tf.edge.measure.plane_reference import PlaneReference


class WithInput:
    """Append the input frame to an autoencoder's reconstruction as a second channel."""

    def __init__(self, predictor: Predictor):
        self._predictor = predictor
        self.input_shape = predictor.input_shape

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Gray frames uint8 (N, H, W, 1) to reconstruction and frame, float32 (N, H, W, 2)."""
        frames = images.astype(np.float32) / np.float32(255)
        return np.concatenate([self._predictor.predict(images), frames], axis=-1, dtype=np.float32)


@dataclass(frozen=True, repr=False)
class PlaneMeasurement:
    """How well a frame was reconstructed, and how far it is from images of the plane.

    Attributes:
        plane: name of the plane, such as "four_chamber".
        reconstruction_error: mean squared difference of gray values 0..1 without padding. Alone it
            does not tell planes apart.
        ssim: structural similarity of frame and reconstruction, 1 = identical.
        features: input of the score, by the names of `plane_features.FEATURES`.
        plane_z: robust z-scores of the features; empty without a reference.
        plane_score: distance from images of the plane, flagged from 1 on; None without a
            reference.
        flags: one with the code not_PLANE, or none.
        notes: remarks that are no reason to doubt the frame.
        refused: always None: every frame can be reconstructed.
        output: reconstruction and frame [h, w, 2], for drawing.
        letterbox: the geometry of both.
    """

    plane: str
    reconstruction_error: float
    ssim: float
    features: Mapping[str, float]
    plane_z: Mapping[str, float] = field(default_factory=dict)
    plane_score: float | None = None
    flags: tuple[Flag, ...] = ()
    notes: tuple[Flag, ...] = ()
    refused: Flag | None = None
    output: np.ndarray | None = field(default=None, repr=False, compare=False)
    letterbox: Letterbox | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return in_words(self, self.headline())

    def headline(self) -> str:
        """Score and reconstruction error in one line."""
        error = f"reconstruction error {self.reconstruction_error:.4f}"
        if self.plane_score is None:
            return f"{error}, not calibrated"
        return f"plane score {self.plane_score:.2f} (flagged from 1), {error}"

    def as_record(self) -> dict[str, float | str | None]:
        """Flat row for CSV and JSON; None = unknown."""
        return {
            "plane_score": self.plane_score,
            "reconstruction_error": self.reconstruction_error,
            "ssim": self.ssim,
            **{f"plane_{name}": self.features[name] for name in FEATURES},
            "flags": "; ".join(self.flags),
            "notes": "; ".join(self.notes),
            "refused": self.refused or "",
        }


def measure_plane(
    output: np.ndarray, plane: str, letterbox: Letterbox, reference: PlaneReference | None = None
) -> PlaneMeasurement:
    """Judge one frame by its reconstruction.

    Args:
        output: of `WithInput`, float32 [h, w, 2].
        plane: name of the plane that the network was trained on.
        letterbox: of the frame; its padding is ignored.
        reference: fitted to images of the plane; without it there is no score.

    Raises:
        ValueError: an output without the frame's channel.
    """
    if output.shape[-1] != 2:
        raise ValueError(
            f"reconstruction and frame are expected, found {output.shape[-1]} channels"
        )
    reconstruction, frame = np.moveaxis(output[letterbox.content].astype(np.float64), -1, 0)
    features = plane_features(frame, reconstruction)
    z: dict[str, float] = {}
    score: float | None = None
    flags: tuple[Flag, ...] = ()
    if reference is not None:
        z, score = reference.z_scores(features), reference.score(features)
        if score >= 1:
            flags = (_flag(plane, score, z),)
    return PlaneMeasurement(
        plane=plane,
        reconstruction_error=float(np.mean((frame - reconstruction) ** 2)),
        ssim=structural_similarity(frame, reconstruction),
        features=features,
        plane_z=z,
        plane_score=score,
        flags=flags,
        output=output,
        letterbox=letterbox,
    )


def check_plane(classes: tuple[str, ...]) -> str:
    """Returns the only class, the name of the plane; ValueError unless there is exactly one."""
    if len(classes) != 1:
        raise ValueError(f"one class, the name of the plane, is expected, found {list(classes)}")
    return classes[0]


def _flag(plane: str, score: float, z: Mapping[str, float]) -> Flag:
    furthest = max(z, key=lambda name: abs(z[name]))
    return Flag(
        f"not_{plane}",
        f"the frame does not look like the {plane.replace('_', '-')} views of the training (plane "
        f"score {score:.2f}, flagged from 1, furthest: {FEATURES[furthest]}, {z[furthest]:+.1f} "
        "standard deviations)",
    )
