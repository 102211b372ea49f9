import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fetal_tf.edge.geometry.masks import true_pixels


@given(
    hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans())
)
def test_true_pixels_are_those_of_numpy_in_its_order(mask):
    for view in (mask, mask[:, ::-1], mask.T):
        rows, columns = true_pixels(view)
        expected = np.nonzero(view)
        assert np.array_equal(rows, expected[0]) and np.array_equal(columns, expected[1])
