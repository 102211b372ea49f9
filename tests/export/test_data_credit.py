"""HC18 is credited for HC18's images, and for nothing else."""

from dataclasses import replace

import pytest

from export.data_credit import HC18_ROWS, credit
from fetal_tf.data.hc18 import read_hc18
from fetal_tf.data.phantom import write_phantom
from fetal_tf.data.sample import Sample


@pytest.fixture
def hc18_samples(tmp_path):
    return [
        Sample(id, tmp_path / f"{id}.png", id, 0.1, reference={"hc_mm": hc})
        for id, hc in HC18_ROWS.items()
    ]


def test_hc18_is_recognised_by_its_rows(hc18_samples):
    found = credit(hc18_samples, "hc18")
    assert "HC18" in found.trained_on
    assert not found.phantom
    (line,) = found.attribution
    for part in ("van den Heuvel", "e0200412", "1327317", "CC BY 4.0"):
        assert part in line
    assert "551 women" in found.grouping


def test_own_frames_under_hc18_names_are_not_hc18(hc18_samples):
    own = [replace(s, reference={"hc_mm": s.reference["hc_mm"] + 1}) for s in hc18_samples]
    found = credit(own, "hc18")
    assert found.attribution == ()
    assert "unknown origin" in found.trained_on


def test_phantom_says_phantom(tmp_path):
    write_phantom("hc18", tmp_path / "any_name", count=2, seed=0)
    found = credit(read_hc18(tmp_path / "any_name"), "hc18")
    assert found.phantom
    assert "PHANTOM" in found.trained_on
    assert found.attribution == ()


def test_the_real_copy_is_recognised(real_data):
    assert "HC18" in credit(read_hc18(real_data / "hc18"), "hc18").trained_on
