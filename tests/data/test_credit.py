"""Credits: datasets are recognised by their content, and inherited from parent nets."""

import json
from dataclasses import replace

import pytest

from fetal_tf.data.credit import (
    FOCUS_ROWS,
    HC18,
    HC18_ROWS,
    PHANTOM,
    PLANES_ROWS,
    UNKNOWN_START,
    credit,
    credits_of,
    joined,
    read_credits,
    write_credits,
)
from fetal_tf.data.mixture import named_source
from fetal_tf.data.negatives import as_negatives
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers.focus import read_focus
from fetal_tf.data.readers.hc18 import read_hc18
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.geometry.ellipse import Ellipse


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


@pytest.fixture
def focus_samples(tmp_path):
    return [
        Sample(id, tmp_path / f"{id}.png", id, ellipses={"thorax": Ellipse(*row, 12.0)})
        for id, row in FOCUS_ROWS.items()
    ]


def test_focus_is_recognised_by_its_ellipses(focus_samples):
    found = credit(focus_samples, "focus")
    (line,) = found.attribution
    assert "14597550" in line
    assert "CC BY 4.0" in line
    moved = [
        replace(s, ellipses={"thorax": Ellipse(10.0, *list(FOCUS_ROWS[s.id])[1:], 12.0)})
        for s in focus_samples
    ]
    assert credit(moved, "focus").attribution == ()


def test_focus_is_recognised_without_its_ellipse_files(focus_samples):
    """From masks the ellipses come back within 1.4 px."""
    fitted = [
        replace(s, ellipses={"thorax": replace(s.ellipses["thorax"], center_x=row[0] + 1.4)})
        for s, row in zip(focus_samples, FOCUS_ROWS.values(), strict=True)
    ]
    assert credit(fitted, "focus").attribution


def test_weights_carry_the_credit_of_what_they_have_seen(hc18_samples, focus_samples, tmp_path):
    heads = tmp_path / "heads"
    heads.mkdir()
    write_credits(heads, credits_of(hc18_samples, {"": "hc18"}, []))
    found = credits_of(focus_samples, {"": "focus"}, [heads])
    both = joined(found)
    assert both.trained_on.startswith("FOCUS")
    assert "descends from, on HC18" in both.trained_on
    assert [line[:5] for line in both.attribution] == ["FOCUS", "HC18:"]
    assert "217 patients" in both.grouping
    # And on to a third run.
    hearts = tmp_path / "hearts"
    hearts.mkdir()
    write_credits(hearts, found)
    again = joined(credits_of(focus_samples, {"": "focus"}, [hearts]))
    assert again.attribution == both.attribution


def test_the_same_data_are_thanked_once(hc18_samples, tmp_path):
    """A net that descends from one of the same data, by way of a run or of a bundle."""
    write_credits(tmp_path, credits_of(hc18_samples, {"": "hc18"}, []))
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    manifest = {
        "trained_on": f"{HC18.trained_on}, and before that on {HC18.trained_on}",
        "phantom": False,
        "attribution": list(HC18.attribution),
    }
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    assert credits_of(hc18_samples, {"": "hc18"}, [tmp_path, bundle]) == [HC18]
    write_credits(tmp_path, [PHANTOM])
    assert credits_of(hc18_samples, {"": "hc18"}, [tmp_path, tmp_path]) == [HC18, PHANTOM]


@pytest.mark.parametrize("other", [PHANTOM, UNKNOWN_START], ids=["phantom", "unknown"])
@pytest.mark.parametrize("in_bundle", [False, True])
def test_what_thanks_nobody_is_not_covered_by_what_stood_beside_it(
    hc18_samples, tmp_path, other, in_bundle
):
    both = joined([HC18, other])
    if in_bundle:
        record = {"trained_on": both.trained_on, "phantom": both.phantom}
        manifest = {**record, "attribution": list(both.attribution)}
        (tmp_path / "bundle.json").write_text(json.dumps(manifest))
    else:
        write_credits(tmp_path, [both])
    found = joined(credits_of(hc18_samples, {"": "hc18"}, [tmp_path]))
    assert found.phantom == other.phantom and other.trained_on in found.trained_on


def test_weights_that_have_seen_a_phantom_say_so(focus_samples, tmp_path):
    write_credits(tmp_path, [PHANTOM])
    assert joined(credits_of(focus_samples, {"": "focus"}, [tmp_path])).phantom


def test_weights_of_unknown_origin_are_called_so(focus_samples, tmp_path):
    found = joined(credits_of(focus_samples, {"": "focus"}, [tmp_path / "somewhere"]))
    assert "unknown origin" in found.trained_on


def test_weights_out_of_a_bundle_carry_its_credit(focus_samples, tmp_path):
    """As those in the zoo do, whose float model training may start from."""
    manifest = {"trained_on": "HC18", "phantom": False, "attribution": ["HC18: CC BY 4.0"]}
    (tmp_path / "bundle.json").write_text(json.dumps(manifest))
    found = joined(credits_of(focus_samples, {"": "focus"}, [tmp_path]))
    assert found.trained_on.endswith("descends from, on HC18")
    assert found.attribution[-1] == "HC18: CC BY 4.0"
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(FetalTFError, match=r"bundle\.json: damaged"):
        credits_of(focus_samples, {"": "focus"}, [tmp_path])


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "credits.json").write_text('[{"trained_on": "x"}]')
    with pytest.raises(FetalTFError, match=r"credits\.json: damaged"):
        read_credits(tmp_path)


def test_the_real_focus_is_recognised(real_data):
    from fetal_tf.data.readers.focus import read_focus

    assert "FOCUS" in credit(read_focus(real_data / "focus"), "focus").trained_on


@pytest.fixture
def planes_samples(tmp_path):
    return [
        Sample(id, tmp_path / f"{id}.png", id, 0.1, reference={"ofd_mm": ofd, "bpd_mm": bpd})
        for id, (ofd, bpd) in PLANES_ROWS.items()
    ]


def test_the_second_centre_is_recognised_by_its_diameters(planes_samples):
    found = credit(planes_samples, "planes")
    assert "FETAL_PLANES_DB" in found.trained_on
    images, landmarks = found.attribution
    for part in ("Burgos-Artizzu", "10:10200", "3904280", "CC BY 4.0"):
        assert part in images
    for part in ("Di Vece", "2512.16710", "CC BY 4.0"):
        assert part in landmarks
    own = [replace(s, reference={"ofd_mm": 70.0, "bpd_mm": 50.0}) for s in planes_samples]
    assert credit(own, "planes").attribution == ()
    # The images alone, annotated otherwise, are not that dataset's rows.
    assert credit([replace(s, reference={}) for s in planes_samples], "x").attribution == ()


def test_a_dataset_is_recognised_as_a_further_source_too(hc18_samples, planes_samples):
    for samples, word in ((hc18_samples, "HC18"), (planes_samples, "FETAL_PLANES_DB")):
        assert word in credit(named_source(samples, "other", ["other"]), "other").trained_on


@pytest.mark.filterwarnings("ignore:.*cannot be the axes")
def test_the_real_second_centre_is_recognised(real_data):
    from fetal_tf.data.readers.planes import read_planes

    assert "FETAL_PLANES_DB" in credit(read_planes(real_data / "planes"), "planes").trained_on


@pytest.mark.filterwarnings("ignore:.*cannot be the axes")
@pytest.mark.parametrize("labels", ["noisy", "repaired", "clean"])
def test_hc18_is_credited_under_the_landmark_table_too(real_data, labels):
    from fetal_tf.data.readers.landmarks import read_landmarks

    found = credit(read_landmarks(real_data, labels=labels), "landmarks")
    assert "HC18" in found.trained_on


def test_the_dataset_of_negatives_is_credited(real_data):
    frames = named_source(as_negatives(read_focus(real_data / "focus")), "focus", ["focus"])
    assert any(
        "FOCUS" in line for line in credits_of(frames, {"focus": "focus"}, [])[0].attribution
    )
