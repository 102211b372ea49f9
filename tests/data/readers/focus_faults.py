"""Ways in which frame training_002 of `tests.data.readers.focus_folder` can be broken."""

import shutil

import numpy as np
from PIL import Image

from fetal_tf.data.readers.focus_annotations import ellipse_lines, turned
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.io.images import write_png
from tests.data.readers.focus_folder import KINDS, OUTLINES, SHAPE, filled, write_frame, write_text


def lines(heart=None, thorax=None):
    outlines = {"heart": heart or OUTLINES["heart"], "thorax": thorax or OUTLINES["thorax"]}
    return ellipse_lines(outlines)


def swap(root):
    """The heart's semi-axes in the other order, the direction left as it was."""
    write_text(root, "training/annfiles_ellipse/002.txt", lines(heart=turned(OUTLINES["heart"])))


def shift(root):
    shifted = OUTLINES["heart"].stretched(1, 1, 4, 0)
    write_text(root, "training/annfiles_ellipse/002.txt", lines(heart=shifted))


def heart_outside(root):
    outlines = {**OUTLINES, "heart": Ellipse(120.0, 60.0, 30.0, 20.0, 0.0)}
    write_frame(root / "training", "002", 77, outlines)


def heart_beyond_frame(root):
    write_frame(root / "training", "002", 77, {**OUTLINES, "heart": Ellipse(10, 130, 30, 20, 0)})


def no_annotation(root):
    for kind in KINDS:
        for path in (root / "training" / kind).glob("002*"):
            path.unlink()


def only_one_mask(root):
    no_annotation(root)
    write_png(root / "training/annfiles_mask/002-thorax.png", np.full(SHAPE, 255, np.uint8))


def only_odd_masks(root):
    no_annotation(root)
    square = np.zeros(SHAPE, np.uint8)
    square[20:24, 20:140] = square[20:100, 20:24] = 255
    for word in ("cardiac", "thorax"):
        write_png(root / f"training/annfiles_mask/002-{word}.png", square)


def only_empty_masks(root):
    no_annotation(root)
    for word in ("cardiac", "thorax"):
        write_png(root / f"training/annfiles_mask/002-{word}.png", np.zeros(SHAPE, np.uint8))


def no_image(root):
    (root / "training/images/002.png").unlink()


def two_images(root):
    Image.new("L", SHAPE[::-1]).save(root / "training/images/002.bmp")


def small_mask(root):
    write_png(root / "training/annfiles_mask/002-thorax.png", np.full((120, 150), 255, np.uint8))


def unknown_mask(root):
    write_png(root / "training/annfiles_mask/002-lung.png", np.full(SHAPE, 255, np.uint8))


def nameless_mask(root):
    write_png(root / "training/annfiles_mask/002.png", np.full(SHAPE, 255, np.uint8))


def two_spellings(root):
    folder = root / "training/annfiles_mask"
    shutil.copy(folder / "002-thorax.png", folder / "002-thoracic.png")


def no_image_file(root):
    (root / "training/images/002.png").write_text("not an image")


def one_label(root):
    write_text(root, "training/annfiles_ellipse/002.txt", lines().splitlines()[0])


def broken_rectangle(root):
    write_text(root, "training/annfiles_rectangle/002.txt", "1 2 3 4 cardiac 0")


def shifted_mask(root):
    """Found only where masks are decoded."""
    shifted = filled(OUTLINES["heart"].stretched(1, 1, 9, 0))
    write_png(root / "training/annfiles_mask/002-cardiac.png", shifted * np.uint8(255))


def empty_mask(root):
    """Found only where masks are decoded."""
    write_png(root / "training/annfiles_mask/002-thorax.png", np.zeros(SHAPE, np.uint8))


def normalised(root):
    """Shares of the image instead of pixels, and nothing else to hold them against."""
    no_annotation(root)
    height, width = SHAPE
    shares = {
        name: Ellipse(e.center_x / width, e.center_y / height, 0.3, 0.2, 10.0)
        for name, e in OUTLINES.items()
    }
    write_text(root, "training/annfiles_ellipse/002.txt", ellipse_lines(shares))


def endless(root):
    no_annotation(root)
    around = OUTLINES["thorax"]
    endless = Ellipse(around.center_x, around.center_y, 5000.0, 4000.0, 10.0)
    write_text(root, "training/annfiles_ellipse/002.txt", lines(thorax=endless))


def overflowing(root):
    write_text(
        root,
        "training/annfiles_ellipse/002.txt",
        "100 90 1e300 40 10 cardiac\n110 95 90 80 10 thorax",
    )


def full_masks(root):
    no_annotation(root)
    for word in ("cardiac", "thorax"):
        write_png(root / f"training/annfiles_mask/002-{word}.png", np.full(SHAPE, 255, np.uint8))
