"""Nested probabilities of thorax and heart from each set of classes that a network may have."""

import numpy as np

# Two nested sigmoids; exclusive classes, whose thorax is the ring around the heart; one sigmoid.
SPELLINGS = (("thorax", "heart"), ("background", "thorax", "heart"), ("heart",))


def check_classes(classes: tuple[str, ...]) -> None:
    """Check that the classes are one of SPELLINGS.

    Raises:
        ValueError: they are not.
    """
    if tuple(classes) not in SPELLINGS:
        known = "; ".join(", ".join(spelling) for spelling in SPELLINGS)
        raise ValueError(
            f"classes of a four-chamber view are one of: {known}; found {', '.join(classes)}"
        )


def nested(probabilities: np.ndarray, classes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Probability of each structure; the thorax includes the heart.

    Args:
        probabilities: float32 [h, w, K], the network's output.
        classes: K names, one of SPELLINGS.

    Returns:
        `thorax` and `heart`, float32 [h, w] each, heart <= thorax everywhere; only `heart` where
        the classes have no thorax.

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
        # Quantised outputs may sum to more than 1.
        thorax = np.minimum(thorax + heart, np.float32(1))
    return {"thorax": thorax, "heart": np.minimum(heart, thorax)}
