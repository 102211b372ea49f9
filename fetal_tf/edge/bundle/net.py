"""A net that measures images: the library's face of a bundle."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar, cast, overload

import numpy as np

from fetal_tf.edge.bundle.bundle import Bundle, resolve_bundle
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.io.arrays import frame_of_array
from fetal_tf.edge.io.images import Frame, read_frame
from fetal_tf.edge.io.pixel_sizes import check_plausible

M = TypeVar("M")
Image: TypeAlias = np.ndarray | str | Path
Sizes: TypeAlias = float | Sequence[float | None] | None
_COLOURS = (1, 3, 4)  # channels of a gray, an RGB and an RGBA image


class Net(Generic[M]):
    """A net, ready to measure. Not thread-safe: one net for each thread.

    Example:
        net = fetal_tf.load("zoo:hc18")
        head = net(image, mm_per_pixel=0.13)
        picture = net.draw(image, head)

    Attributes:
        bundle: its files and how they are used.
        predictor: the loaded model, behind the bundle's gate.
        format: the file that runs, such as int8.
    """

    def __init__(self, reference: str, bundle: Bundle, predictor: Predictor, format: str):
        self._reference, self.bundle = reference, bundle
        self.predictor, self.format = predictor, format

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, image: Image, mm_per_pixel: float | None = None, ga_weeks: float | None = None
    ) -> M: ...
    @overload
    def __call__(
        self, image: Sequence[Image], mm_per_pixel: Sizes = None, ga_weeks: float | None = None
    ) -> list[M]: ...
    def __call__(
        self,
        image: Image | Sequence[Image],
        mm_per_pixel: Sizes = None,
        ga_weeks: float | None = None,
    ) -> M | list[M]:
        """Measure an image, or several.

        Args:
            image: a path, or an array: gray (H, W), (H, W, 1), RGB (H, W, 3) or RGBA (H, W, 4), of
                uint8, uint16, or floats from 0 to 1. Several: a list of these, or an array with one
                dimension more, (N, H, W) or (N, H, W, C).
            mm_per_pixel: of the image as it is given, or one for each image. Without it lengths
                are in pixels only.
            ga_weeks: gestational age by dates or an early scan, 14 to 40; gives z-scores and
                centiles.

        Returns:
            What the net measures: see `docs/api.md`; a list for several images.

        Raises:
            ValueError: an array of another shape, dtype or range, a pixel size or an age that
                cannot be, or not one pixel size for each image.
            ImageError: a file that cannot be read.
        """
        images = _several(image)
        if images is None:
            return self._measure(cast(Image, image), cast("float | None", mm_per_pixel), ga_weeks)
        several = isinstance(mm_per_pixel, Sequence) or np.ndim(mm_per_pixel or 0) > 0
        sizes = list(cast(Sequence, mm_per_pixel)) if several else None
        if sizes is None:
            sizes = [cast("float | None", mm_per_pixel)] * len(images)
        if len(sizes) != len(images):
            raise ValueError(f"{len(sizes)} pixel sizes for {len(images)} images")
        pairs = zip(images, sizes, strict=True)
        return [self._measure(one, size, ga_weeks) for one, size in pairs]

    def _measure(self, image: Image, mm_per_pixel: float | None, ga_weeks: float | None) -> M:
        check_plausible(mm_per_pixel)
        if ga_weeks is not None and not isinstance(ga_weeks, int | float | np.number):
            raise ValueError(f"a number of weeks is expected, not {ga_weeks!r}")
        frame = _frame(image)
        return cast(
            M,
            self.bundle.measure(self.predictor, frame.gray, mm_per_pixel, ga_weeks, frame.notes),
        )

    def draw(self, image: Image, measurement: M) -> np.ndarray:
        """The measured image as `predict` writes it: RGB uint8 (H', W', 3), with a legend.

        Raises:
            ValueError: an image of another size than the one that was measured.
        """
        gray, letterbox = _frame(image).gray, getattr(measurement, "letterbox", None)
        size = letterbox and (letterbox.source_height, letterbox.source_width)
        if size not in (None, gray.shape):
            raise ValueError(
                f"the image is {gray.shape} (height, width), {size} was measured: give the same"
            )
        return self.bundle.measurer.draw(gray, measurement)

    def __repr__(self) -> str:
        height, width, _ = self.bundle.input_shape
        size_mb = self.bundle.manifest["files"][self.format].get("bytes", 0) / 1e6
        phantom = ", learnt from phantoms" if self.bundle.phantom else ""
        return (
            f"<net {self._reference}: measures {self.bundle.manifest['measurement']}, "
            f"{self.format} {size_mb:.1f} MB, {width}x{height} px{phantom}; not for diagnosis>"
        )


def open_net(
    reference: str, *, format: str | None = None, convention: str | None = None, threads: int = 1
) -> Net[Any]:
    """Open a net; see `fetal_tf.load`. Who opens it shows `bundle.warnings(net.format)`."""
    bundle = Bundle.open(resolve_bundle(reference))
    if convention:
        bundle = bundle.as_measured_at(convention)
    predictor = bundle.predictor(format, threads)
    return Net(reference, bundle, predictor, format or bundle.default_format)


def _several(image: Image | Sequence[Image]) -> list[Image] | None:
    """The images of a batch; None for a single image. ValueError for what is neither."""
    if isinstance(image, str | Path):
        return None
    if isinstance(image, list | tuple):
        for one in image:
            if not isinstance(one, str | Path | np.ndarray):
                raise ValueError(_no_image(one))
        return list(image)
    if not isinstance(image, np.ndarray):
        raise ValueError(_no_image(image))
    single = image.ndim <= 2 or (image.ndim == 3 and image.shape[-1] in _COLOURS)
    return None if single else list(image)


def _no_image(found: object) -> str:
    return f"a path or an array is expected, not {type(found).__name__}; np.asarray may make one"


def _frame(image: Image) -> Frame:
    return frame_of_array(image) if isinstance(image, np.ndarray) else read_frame(Path(image))
