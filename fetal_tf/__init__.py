"""fetal_tf: fetal ultrasound models that measure, from training to the tablet.

Example:
    import fetal_tf

    net = fetal_tf.load("zoo:hc18")
    head = net("frame.png", mm_per_pixel=0.13)
    head.hc_mm, head.flags
"""

from typing import TYPE_CHECKING, Any, Literal, overload

from fetal_tf.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from fetal_tf.edge.bundle.net import Net
    from fetal_tf.edge.measure.four_chamber_measurement import FourChamberMeasurement
    from fetal_tf.edge.measure.head import HeadMeasurement

__all__ = ["__version__", "load"]


@overload
def load(
    reference: Literal["zoo:hc18", "zoo:landmarks"],
    *,
    format: str | None = None,
    convention: str | None = None,
    threads: int = 1,
) -> "Net[HeadMeasurement]": ...
@overload
def load(
    reference: Literal["zoo:focus"],
    *,
    format: str | None = None,
    convention: str | None = None,
    threads: int = 1,
) -> "Net[FourChamberMeasurement]": ...
@overload
def load(
    reference: "str | Path",
    *,
    format: str | None = None,
    convention: str | None = None,
    threads: int = 1,
) -> "Net[Any]": ...
def load(
    reference: "str | Path",
    *,
    format: str | None = None,
    convention: str | None = None,
    threads: int = 1,
) -> "Net[Any]":
    """Open a net that measures: one that ships, a bundle, or a run that holds one.

    Importing the package is quick; what runs the net is imported here. TensorFlow is not needed.

    Args:
        reference: `zoo:NAME`, or a folder.
        format: int8, float32, onnx …; None takes the bundle's choice.
        convention: measure as this site's experts put their calipers, where the bundle states how;
            None: on the skull's outline.
        threads: CPU threads.

    Raises:
        FetalTFError: nothing there, altered, no such format or convention, or its runtime is not
            installed.
    """
    import warnings

    from fetal_tf.edge.bundle.net import open_net

    net = open_net(str(reference), format=format, convention=convention, threads=threads)
    for warning in net.bundle.warnings(net.format):
        warnings.warn(warning, stacklevel=2)
    return net
