"""Probabilities of thorax and heart, the one inside the other, from every spelling of classes."""

import numpy as np

# What a network of the four-chamber view may give: two nested sigmoids, three exclusive classes
# (its thorax is the ring around the heart), or the heart alone.
SPELLINGS = (("thorax", "heart"), ("background", "thorax", "heart"), ("heart",))


def check_classes(classes: tuple[str, ...]) -> None:
    """Make sure that the classes are one of the three spellings of a four-chamber view.

    Raises:
        ValueError: they are not.
    """
    if tuple(classes) not in SPELLINGS:
        known = "; ".join(", ".join(spelling) for spelling in SPELLINGS)
        raise ValueError(
            f"classes of a four-chamber view are one of: {known}; found {', '.join(classes)}"
        )


def nested(probabilities: np.ndarray, classes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Probability of each structure, that of the thorax with the heart in it.

    Args:
        probabilities: float32 [h, w, K], the network's output.
        classes: K names, see `check_classes`.

    Returns:
        `thorax` and `heart`, float32 [h, w] each, heart <= thorax everywhere; of the heart alone
        only `heart`.

    Raises:
        ValueError: other classes, or another number of channels.
    """
    check_classes(classes)
    if probabilities.ndim != 3 or probabilities.shape[2] != len(classes):
        raise ValueError(
            f"probabilities (height, width, {len(classes)}) are expected for {', '.join(classes)}, "
            f"found {probabilities.shape}"
        )
    heart = probabilities[..., classes.index("heart")]
    if "thorax" not in classes:
        return {"heart": heart}
    thorax = probabilities[..., classes.index("thorax")]
    if "background" in classes:
        # Quantised outputs need not sum to 1 exactly.
        thorax = np.minimum(thorax + heart, np.float32(1))
    return {"thorax": thorax, "heart": np.minimum(heart, thorax)}
