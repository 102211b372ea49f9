"""What every dataset must keep. Add a reader and its phantom, and this file checks both.

A reader is `read_NAME(root, *, exclude=(), …)` under `@DATASETS.register("NAME")`: a sample list;
its phantom is registered under the same name in `fetal_tf/data/phantom/` and writes that layout.
What this file cannot tell is whether the truth lies on the head in the picture: the tests of each
reader compare one frame with numbers by hand.
"""

import inspect
import math
import pickle

import numpy as np
import pytest

from fetal_tf.data.phantom import PHANTOMS
from fetal_tf.data.phantom.writing import is_phantom, write_phantom
from fetal_tf.data.readers import DATASETS
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import rasterise
from fetal_tf.edge.geometry.landmarks import canonical, landmark_ellipse
from fetal_tf.edge.io.images import read_gray

COUNT = 12


@pytest.fixture(scope="module", params=DATASETS.names())
def dataset(request, tmp_path_factory):
    """(name, root of its phantom)"""
    name = request.param
    assert name in PHANTOMS.names(), (
        f"dataset {name} has no phantom: without one nobody can try or test it without a download; "
        f"add fetal_tf/data/phantom/{name}.py and its line, see fetal_tf/data/phantom/__init__.py"
    )
    root = tmp_path_factory.mktemp("data") / name
    write_phantom(name, root, count=COUNT, seed=5)
    return name, root


@pytest.fixture(scope="module")
def samples(dataset):
    name, root = dataset
    return DATASETS.build("data", {"name": name}, root)


def test_every_frame_of_the_phantom_is_read(samples):
    assert len(samples) == COUNT


def test_ids_are_unique_and_sorted_so_that_runs_repeat(samples):
    ids = [sample.id for sample in samples]
    assert len(set(ids)) == len(ids), "an id that comes twice makes splits.csv ambiguous"
    assert ids == sorted(ids), "the order must not depend on the file system"


def test_groups_hold_frames_together(samples):
    assert all(sample.group for sample in samples), "a sample without group can leak into a split"
    assert len({sample.group for sample in samples}) < COUNT, (
        "every frame has a group of its own: group by patient or examination, not by frame; if the "
        "reader does so, its phantom must draw several frames of one"
    )


def test_image_and_mask_fit_each_other(samples):
    for sample in samples:
        image = read_gray(sample.image_path)
        assert image.dtype == np.uint8
        if sample.load_mask is None:
            continue
        mask = sample.load_mask()
        assert mask.dtype == np.uint8, "masks are class indices, uint8"
        assert mask.shape == image.shape, f"{sample.id}: the mask lies in another frame"
        assert mask.any(), f"{sample.id}: the phantom's truth is empty"
        assert mask.max() <= len(sample.labels or "1"), (
            f"{sample.id}: the mask holds {mask.max()}; class indices (1 = head) are "
            "expected, not gray values"
        )


def test_landmarks_are_four_ends_of_the_very_head_in_the_mask(dataset):
    """Of the noisy table its clean track; `noisy` may hold anything."""
    name, root = dataset
    options = {"labels": "clean"} if name == "landmarks" else {}
    for sample in DATASETS.build("data", {"name": name, **options}, root):
        if sample.load_landmarks is None:
            continue
        points = sample.load_landmarks()
        assert points.dtype == np.float64 and points.shape == (4, 2)
        np.testing.assert_array_equal(points, canonical(points))
        mask = sample.load_mask() > 0
        assert (rasterise(landmark_ellipse(points), mask.shape) != mask).mean() < 0.005


def test_pixel_sizes_and_measurements_are_positive_numbers(samples):
    for sample in samples:
        assert sample.mm_per_pixel is None or 0 < sample.mm_per_pixel < 10, (
            f"{sample.id}: {sample.mm_per_pixel} mm per pixel; 0 to 10 are plausible"
        )
        for name, value in sample.reference.items():
            assert name.endswith(("_mm", "_px", "_deg", "_weeks", "_ratio")), (
                f"{name}: a measurement's unit is part of its name"
            )
            assert math.isfinite(value) and value > 0, f"{sample.id}: {name} is {value}"


def test_samples_can_be_sent_to_another_process(samples):
    """No lambda in `load_mask`: it cannot be pickled; `functools.partial` can."""
    copies = pickle.loads(pickle.dumps(samples))
    np.testing.assert_array_equal(copies[0].load_mask(), samples[0].load_mask())


def test_excluded_frames_are_left_out(dataset, samples):
    name, root = dataset
    left = DATASETS.build("data", {"name": name, "exclude": [samples[0].id]}, root)
    assert [s.id for s in left] == [s.id for s in samples[1:]]


def test_every_parameter_has_a_default(dataset):
    name, _ = dataset
    parameters = inspect.signature(DATASETS.get("data", name)).parameters.values()
    required = [p.name for p in parameters if p.default is p.empty]
    assert required == ["root"], "a config needs `dataset` and `root`, and nothing more"


def test_an_empty_folder_is_an_error_that_names_it(dataset, tmp_path):
    name, _ = dataset
    with pytest.raises(DataError, match=str(tmp_path.name)):
        DATASETS.build("data", {"name": name}, tmp_path)


def test_a_phantom_is_known_as_one(samples):
    assert all(is_phantom(sample.image_path) for sample in samples)
