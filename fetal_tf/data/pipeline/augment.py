"""Augmentation recipes: a config's list of albumentations transforms, seeded per sample."""

import copy
import inspect
import os
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
import pydantic

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for its own version
import albumentations as A

from fetal_tf.config.registry import nearest
from fetal_tf.data.pipeline.lending import Lending
from fetal_tf.data.pipeline.moved_points import coordinate_map, moved_points
from fetal_tf.data.pipeline.targets import Target
from fetal_tf.edge.errors import ConfigError


class Augmenter:
    """Applies a recipe to a frame and its target; the same seed gives the same result.

    albumentations keeps its random state inside the pipeline object. So each call borrows one and
    seeds it for its sample, and a batch depends on neither the number of threads nor their order.
    """

    def __init__(
        self,
        recipe: Sequence[dict[str, Any]],
        image_size: tuple[int, int] = (64, 96),
        target_interpolation: Literal["linear", "nearest"] = "linear",
    ):
        """Check the recipe.

        Args:
            recipe: `{"name": transform, parameter: value}` in order of application.
            image_size: (height, width) of the frames, which the recipe must leave as they are.
            target_interpolation: of maps, linear for coverage, nearest for class indices.

        Raises:
            ConfigError: an unknown transform or parameter, named with its place in the list.
        """
        flag = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}[target_interpolation]
        transforms = [_transform(index, spec, flag) for index, spec in enumerate(recipe)]
        self._composes: Lending[A.Compose] | None = None
        if transforms:
            compose = A.Compose(transforms, additional_targets={"coordinates": "mask"})
            self._composes = Lending(lambda: copy.deepcopy(compose))
        blank = np.zeros((*image_size, 1), np.uint8)
        target = Target(blank)
        for seed in range(8):  # several draws, so that transforms with p < 1 are tried as well
            self(blank, target, seed)

    def __call__(self, image: np.ndarray, target: Target, seed: int) -> tuple[np.ndarray, Target]:
        """Return the augmented pair.

        Args:
            image: uint8 [h, w, C].
            target: moves with the image; its values do not change otherwise. Maps are 0 where the
                result shows what was outside of the frame; a point that leaves it becomes NaN.
            seed: of this sample in this epoch.
        """
        if self._composes is None:
            return image, target
        moving = {"image": image}
        if target.maps.size:
            moving["mask"] = target.maps
        if len(target.points):
            moving["coordinates"] = coordinate_map(*image.shape[:2])
        with self._composes.lent() as compose:
            compose.set_random_seed(seed % 2**32)
            result = compose(**moving)
        for name, before in moving.items():
            after = result[name]
            if after.size != before.size or after.dtype != before.dtype:
                raise ConfigError(
                    f"augment: the recipe makes a {name} {after.dtype} {after.shape} of "
                    f"{before.dtype} {before.shape}; leave out what changes size or type"
                )
        maps = result["mask"].reshape(target.maps.shape) if target.maps.size else target.maps
        points = target.points
        if len(points):
            points = moved_points(points, result["coordinates"])
        return result["image"].reshape(image.shape), Target(maps, points)


def _transform(index: int, spec: dict[str, Any], mask_interpolation: int) -> A.BasicTransform:
    key, name = f"augment.{index}", spec["name"]
    known = _transform_names()
    if name not in known:
        raise ConfigError(f"{key}.name: unknown transform {name!r}{nearest(name, known)}")
    transform_class = getattr(A, name)
    allowed = inspect.signature(transform_class.__init__).parameters
    parameters = {k: _tuples(v) for k, v in spec.items() if k != "name"}
    for parameter in parameters:
        if parameter not in allowed or parameter == "self":
            raise ConfigError(
                f"{key}.{parameter}: unknown parameter of {name}{nearest(parameter, allowed)}; "
                f"allowed: {', '.join(p for p in allowed if p != 'self')}"
            )
    if "mask_interpolation" in allowed:
        parameters.setdefault("mask_interpolation", mask_interpolation)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # it warns about values and ignores them
        try:
            return transform_class(**parameters)
        except (ValueError, TypeError, UserWarning) as error:
            raise ConfigError(_transform_fault(key, name, error)) from error


def _transform_fault(key: str, name: str, error: Exception) -> str:
    """One line from an albumentations error, which may hold one of pydantic's."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, pydantic.ValidationError):
        fault = cause.errors()[0]
        return f"{key}.{fault['loc'][0]}: {fault['msg']}, found {fault['input']!r}"
    return f"{key}: {name}: {' '.join(str(error).split())}"


def _transform_names() -> list[str]:
    return [
        name
        for name, value in vars(A).items()
        if isinstance(value, type) and issubclass(value, A.BasicTransform)
    ]


def _tuples(value: Any) -> Any:
    """YAML lists become the tuples that albumentations asks for."""
    if isinstance(value, list):
        return tuple(_tuples(v) for v in value)
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    return value
