"""Whether drawings lie on what they belong to, as a net that ships sees it.

A mask that was turned or mirrored on its way still has the right size and shape: no table tells.
A net that has learnt other frames of this kind does: its answer then overlaps with the mirrored
drawing, and not with the drawing itself. It only tells where drawings are turned, not how exact
they are.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np

from fetal_tf.data.audit.frame import AuditedFrame, Finding
from fetal_tf.edge.bundle.bundle import Bundle, resolve_bundle
from fetal_tf.edge.errors import ImageError
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import letterboxed
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.io.images import read_gray

PROBES = 24  # frames that the net looks at, from all over the dataset
# A net and an expert agree by Dice 0.9 and more on most frames. What is mirrored must fit as well,
# and better than the drawing by more than two readings of one frame differ.
_SEEN_DICE = 0.85
_CLEAR_DICE = 0.05
_FEW = 3  # frames; fewer may be the net's own mistakes
_FEW_SHARE = 0.2  # of the frames that the net sees well

Turn = Callable[[np.ndarray], np.ndarray]
_TURNS: Mapping[str, Turn] = {
    "upside down": np.flipud,
    "mirrored left to right": np.fliplr,
    "turned by 180 degrees": lambda mask: mask[::-1, ::-1],
}
# These keep the size of square frames only; the size of others tells without a net.
_SQUARE_TURNS: Mapping[str, Turn] = {
    "transposed": np.transpose,
    "turned by 90 degrees to the left": lambda mask: np.rot90(mask, 1),
    "turned by 90 degrees to the right": lambda mask: np.rot90(mask, 3),
    "transposed across the other diagonal": lambda mask: np.rot90(mask, 2).T,
}


def check_turned(frames: Sequence[AuditedFrame], net: str, structures: Mapping[str, str]) -> None:
    """Add a finding to each frame looked at whose drawing is turned, where several are.

    It is wrong where most drawings that can be told are turned alike, else suspect.

    Args:
        frames: of a dataset; those with an image and ellipses take part, at most `PROBES`.
        net: name on the shelf.
        structures: the net's class of each of the frames' ellipses.
    """
    able = [f for f in frames if f.image and structures.keys() <= f.ellipses.keys()]
    if not able:
        return
    places = np.unique(np.linspace(0, len(able) - 1, min(PROBES, len(able))).round().astype(int))
    bundle, predictor = _opened(net)
    seen: list[tuple[AuditedFrame, str | None]] = []
    for frame in (able[place] for place in places):
        dice = _dice_by_turn(frame, bundle, predictor, structures)
        if dice and max(dice.values()) >= _SEEN_DICE:
            seen.append((frame, _clear_turn(dice)))
    counts = {turn: sum(found == turn for _, found in seen) for turn in (*_TURNS, *_SQUARE_TURNS)}
    turn, count = max(counts.items(), key=lambda item: item[1])
    if count < max(_FEW, _FEW_SHARE * len(seen)):
        return
    upright = sum(found == "" for _, found in seen)
    sentence = (
        f"the drawing lies {turn}: so turned, it covers what zoo:{net} sees, and as it is not "
        f"({count} of the {len(seen)} frames that were compared, {upright} lie right). Turn the "
        "drawings, or the images; an orientation in the file (EXIF) is applied to each by itself"
    )
    for frame, found in seen:
        if found == turn:
            frame.findings += (Finding("turned", sentence, wrong=count > upright),)


@lru_cache(maxsize=2)
def _opened(net: str) -> tuple[Bundle, Predictor]:
    bundle = Bundle.open(resolve_bundle(f"zoo:{net}"))
    return bundle, bundle.predictor()


def _clear_turn(dice: Mapping[str, float]) -> str | None:
    """The turn that fits clearly best, "" for none; None where it cannot be told."""
    turned = max((turn for turn in dice if turn), key=lambda turn: dice[turn])
    ahead = dice[turned] - dice[""]
    return None if abs(ahead) < _CLEAR_DICE else turned if ahead > 0 else ""


def _dice_by_turn(
    frame: AuditedFrame, bundle: Bundle, predictor: Predictor, structures: Mapping[str, str]
) -> dict[str, float]:
    """Mean Dice of the net's structures and the drawn ones by turn, "" as they are."""
    try:
        image = read_gray(frame.image) if frame.image else None
    except ImageError:
        image = None
    if image is None:
        return {}
    pixels, letterbox = letterboxed(image, bundle.input_shape)
    answer = predictor.predict(pixels[None])[0][letterbox.content]
    pairs = []
    for structure, name in structures.items():
        drawn = _drawn(frame.ellipses[structure], image.shape[:2], answer.shape[:2])
        pairs.append((answer[..., bundle.classes.index(name)] >= 0.5, drawn))
    square = image.shape[0] == image.shape[1] and answer.shape[0] == answer.shape[1]
    turns: dict[str, Turn] = {"": np.asarray, **_TURNS, **(_SQUARE_TURNS if square else {})}
    return {
        name: float(np.mean([_dice(seen, turn(drawn)) for seen, drawn in pairs]))
        for name, turn in turns.items()
    }


def _drawn(ellipse: Ellipse, shape: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    inside = rasterise(ellipse, shape).astype(np.uint8) * np.uint8(255)
    return cv2.resize(inside, size[::-1], interpolation=cv2.INTER_AREA) > 127


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))
