"""The trans-thalamic reader: files laid out as published, and each way they can be broken."""

import multiprocessing
import pickle
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fetal_tf.data.readers import DATASETS
from fetal_tf.data.readers.fetal_head_biometry import read_fetal_head_biometry
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.io.images import write_png

SHAPE = (40, 60)
BLACK, RED, GREEN, BLUE = (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)
IDS = ["Patient00168_Plane3_1_of_2", "Patient00168_Plane3_2_of_2", "Patient00999_Plane3_1_of_1"]
FIRST = IDS[0]
IMAGES = "Trans-thalamic/Trans-thalamic"
MASKS = "Trans-thalamic/Trans-thalamic-PASCAL/SegmentationClass"
TABLE = "Trans-thalamic/Trans-Thalamic-Pixel-Size.csv"
ARCHIVE = "Trans-thalamic/Trans-thalamic-PASCAL/Trans-thalamic-segmentation-mask.zip"

pytestmark = pytest.mark.filterwarnings("error::UserWarning")


def _mask(csp: bool = True, lv: bool = True, shape=SHAPE) -> np.ndarray:
    rgb = np.zeros((*shape, 3), np.uint8)
    rgb[5:35, 10:50] = RED
    if csp:
        rgb[18:22, 15:20] = GREEN
    if lv:
        rgb[25:30, 30:45] = BLUE
    return rgb


MASK_OF = {IDS[0]: _mask(), IDS[1]: _mask(lv=False), IDS[2]: _mask(csp=False, lv=False)}


def _write_table(root: Path, *lines: str, header="Label,Pixel  in mm", encoding="utf-8-sig"):
    (root / TABLE).write_text("\n".join([header, *lines, ""]), encoding=encoding)


@pytest.fixture
def root(tmp_path) -> Path:
    """Three good frames of two patients, masks in the PASCAL folder."""
    root = tmp_path / "data"
    (root / IMAGES).mkdir(parents=True)
    (root / MASKS).mkdir(parents=True)
    for id, mask in MASK_OF.items():
        write_png(root / IMAGES / f"{id}.png", np.full(SHAPE, 90, np.uint8))
        write_png(root / MASKS / f"{id}.png", mask)
    _write_table(root, f"{IDS[0]}.png,0.1", f"{IDS[1]},0.2", f"{IDS[2]}.png,0.069135804")
    return root


def _write_zip(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _members(root: Path) -> dict[str, bytes]:
    return {
        f"Trans-thalamic/SegmentationClass/{path.name}": path.read_bytes()
        for path in sorted((root / MASKS).iterdir())
    }


@pytest.fixture
def zipped(root) -> Path:
    """The same frames, masks in the nested zip."""
    members = _members(root)
    shutil.rmtree(root / MASKS)
    _write_zip(root / ARCHIVE, members)
    return root


def _refused(root: Path, error: type[Exception] = DataError, **options) -> str:
    with pytest.raises(error) as caught:
        read_fetal_head_biometry(root, **options)
    return str(caught.value)


def _ids(samples) -> list[str]:
    return [sample.id for sample in samples]


# What it reads


@pytest.mark.parametrize("layout", ["root", "zipped"])
def test_reads_ids_patients_pixel_sizes_and_structures(layout, request):
    root = request.getfixturevalue(layout)
    samples = read_fetal_head_biometry(root)
    assert _ids(samples) == IDS
    assert [sample.group for sample in samples] == ["Patient00168", "Patient00168", "Patient00999"]
    assert [sample.mm_per_pixel for sample in samples] == [0.1, 0.2, 0.069135804]
    assert [sample.present for sample in samples] == [
        frozenset({"brain", "csp", "lv"}),
        frozenset({"brain", "csp"}),
        frozenset({"brain"}),
    ]
    assert [sample.condition for sample in samples] == [None] * 3
    assert samples[0].image_path == root / IMAGES / f"{FIRST}.png"
    assert DATASETS.get("data", "fetal_head_biometry") is read_fetal_head_biometry


@pytest.mark.parametrize("layout", ["root", "zipped"])
@pytest.mark.parametrize(
    ("structures", "indices"),
    [
        (["csp", "lv"], {RED: 1, GREEN: 2, BLUE: 3}),
        (["lv", "csp"], {RED: 1, GREEN: 3, BLUE: 2}),
        (["csp"], {RED: 1, GREEN: 2, BLUE: 1}),
        (["lv"], {RED: 1, GREEN: 1, BLUE: 2}),
        ([], {RED: 1, GREEN: 1, BLUE: 1}),
    ],
)
def test_masks_are_indices_into_background_brain_and_the_structures(
    layout, structures, indices, request
):
    root = request.getfixturevalue(layout)
    spec = {"name": "fetal_head_biometry", "structures": structures}
    samples = pickle.loads(pickle.dumps(DATASETS.build("data", spec, root)))
    for sample in samples:
        rgb = MASK_OF[sample.id]
        expected = np.zeros(SHAPE, np.uint8)
        for color, index in indices.items():
            expected[(rgb == color).all(axis=-1)] = index
        mask = sample.load_mask()
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, expected)
    assert samples[0].present == {"brain", "csp", "lv"}, "whatever the structures are"


def test_palette_and_transparent_masks_are_read_by_their_colours(root):
    expected = [sample.load_mask() for sample in read_fetal_head_biometry(root)]
    rgb = Image.fromarray(MASK_OF[IDS[0]])
    rgb.convert("P", palette=Image.Palette.ADAPTIVE).save(root / MASKS / f"{IDS[0]}.png")
    Image.fromarray(MASK_OF[IDS[1]]).convert("RGBA").save(root / MASKS / f"{IDS[1]}.png")
    samples = read_fetal_head_biometry(root)
    for sample, mask in zip(samples, expected, strict=True):
        np.testing.assert_array_equal(sample.load_mask(), mask)


def test_the_zip_is_read_in_memory_from_threads_and_processes(zipped, tmp_path):
    before = sorted(path for path in tmp_path.rglob("*"))
    samples = read_fetal_head_biometry(zipped) * 20
    expected = [sample.load_mask() for sample in samples]
    with ThreadPoolExecutor(8) as pool:
        masks = list(pool.map(lambda sample: sample.load_mask(), samples))
    np.testing.assert_array_equal(masks, expected)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(samples[0].load_mask), expected[0])
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_zip_that_is_replaced_after_reading_is_read_anew(zipped):
    sample = read_fetal_head_biometry(zipped)[2]
    sample.load_mask()
    members = {name: b"" for name in _members_of(zipped / ARCHIVE)}
    (zipped / ARCHIVE).unlink()
    _write_zip(zipped / ARCHIVE, members)
    with pytest.raises(DataError, match="not a PNG"):
        sample.load_mask()
    (zipped / ARCHIVE).unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        sample.load_mask()


def _members_of(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as content:
        return content.namelist()


def test_masks_may_be_spread_over_folder_and_zip(root):
    path = root / MASKS / f"{FIRST}.png"
    _write_zip(
        root / "Trans-thalamic/Trans-thalamic-Segmentation-Mask.zip",
        {f"SegmentationClass\\{FIRST}.png": path.read_bytes()},
    )
    path.unlink()
    assert _ids(read_fetal_head_biometry(root)) == IDS


def test_a_mac_s_residue_and_other_files_are_passed_over(zipped):
    for name in (f"._{FIRST}.png", ".DS_Store", "Thumbs.db"):
        (zipped / IMAGES / name).write_bytes(b"x")
    (zipped / ARCHIVE).with_name("._x-segmentation-mask.zip").write_bytes(b"x")
    with zipfile.ZipFile(zipped / ARCHIVE, "a") as archive:
        archive.writestr(f"__MACOSX/SegmentationClass/._{FIRST}.png", b"x")
        archive.writestr(f"Trans-thalamic/SegmentationClass/._{FIRST}.png", b"x")
        archive.writestr(f"Trans-thalamic/SegmentationObject/{FIRST}.png", b"x")
        archive.writestr("Trans-thalamic/labelmap.txt", b"x")
    assert _ids(read_fetal_head_biometry(zipped)) == IDS


def test_the_other_planes_are_not_read(root):
    shutil.copytree(root / "Trans-thalamic", root / "Trans-cerebellum")
    (root / "Trans-cerebellum/x-segmentation-mask.zip").write_bytes(b"x")
    assert _ids(read_fetal_head_biometry(root)) == IDS


# Pixel sizes and conditions


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize(
    "header", ["Label,Pixel in mm", "Label,Pixel  in mm", " label , Pixel in MM "]
)
def test_both_spellings_of_the_table_are_read(root, header, encoding):
    lines = [f" {IDS[0]}.png , 0.1 ", f"{IDS[1]}.PNG,0.2", "", f"{IDS[2]},0.3", "Patient1_x.png,-1"]
    _write_table(root, *lines, header=header, encoding=encoding)
    assert [s.mm_per_pixel for s in read_fetal_head_biometry(root)] == [0.1, 0.2, 0.3]


def test_the_table_may_lie_in_the_root_or_be_there_twice(root):
    shutil.copy(root / TABLE, root / Path(TABLE).name)
    assert read_fetal_head_biometry(root)[0].mm_per_pixel == 0.1
    (root / TABLE).unlink()
    assert read_fetal_head_biometry(root)[0].mm_per_pixel == 0.1


def test_rows_that_repeat_each_other_are_no_trouble(root):
    _write_table(root, f"{IDS[0]}.png,0.1", f"{IDS[0]},0.10", f"{IDS[1]},0.2", f"{IDS[2]},0.3")
    assert [s.mm_per_pixel for s in read_fetal_head_biometry(root)] == [0.1, 0.2, 0.3]


def test_frames_without_a_pixel_size_are_read_and_told_of(root):
    _write_table(root, f"{IDS[0]}.png,0.1", f"{IDS[1]},")
    with pytest.warns(UserWarning) as warned:
        samples = read_fetal_head_biometry(root)
    assert [sample.mm_per_pixel for sample in samples] == [0.1, None, None]
    assert len(warned) == 1
    message = str(warned[0].message)
    assert "2 of 3 images have no pixel size" in message and f"First: {IDS[1]}" in message


def test_a_missing_table_leaves_pixels_and_is_told_of_once(root):
    (root / TABLE).rename(root / "Trans-thalamic/sizes.csv")
    with pytest.warns(UserWarning) as warned:
        samples = read_fetal_head_biometry(root)
    assert [sample.mm_per_pixel for sample in samples] == [None] * 3
    assert len(warned) == 1
    assert f"{root / TABLE} is missing, found: sizes.csv" in str(warned[0].message)


def test_conditions_come_from_the_phantom_s_table(root):
    (root / "anomalies.csv").write_text(
        f"Label,condition\n{IDS[0]}.png,normal\n{IDS[2]}.png,ventriculomegaly\n"
    )
    conditions = [sample.condition for sample in read_fetal_head_biometry(root)]
    assert conditions == ["normal", None, "ventriculomegaly"]


# What is broken


def _drop_image(root):
    (root / IMAGES / f"{FIRST}.png").unlink()


def _drop_mask(root):
    (root / MASKS / f"{FIRST}.png").unlink()


def _break_image(root):
    (root / IMAGES / f"{FIRST}.png").write_bytes(b"no picture")


def _cut_mask(root):
    path = root / MASKS / f"{FIRST}.png"
    path.write_bytes(path.read_bytes()[:-40])


def _second_image(root):
    shutil.copy(root / IMAGES / f"{FIRST}.png", root / IMAGES / f"{FIRST}.bmp")


def _second_mask(root):
    write_png(root / "other.png", _mask()[:, ::-1].copy())
    data = (root / "other.png").read_bytes()
    _write_zip(root / ARCHIVE, {f"SegmentationClass/{FIRST}.png": data})


def _paint(rgb):
    return lambda root: write_png(root / MASKS / f"{FIRST}.png", rgb)


def _smoothed() -> np.ndarray:
    rgb = _mask()
    rgb[5, 10:50] = (128, 0, 0)
    return rgb


def _rows(*lines):
    return lambda root: _write_table(root, *lines, f"{IDS[1]},0.2", f"{IDS[2]},0.3")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_drop_image, "{masks}/{id}.png: no image {images}/{id}.png for this mask"),
        (_drop_mask, "{images}/{id}.png: no mask of this name in any SegmentationClass/ folder"),
        (_break_image, "{images}/{id}.png: not an image (10 bytes)"),
        (_cut_mask, "{masks}/{id}.png: cannot be read as a PNG"),
        (_second_image, "2 files for {id} ({id}.bmp, {id}.png); one expected"),
        (
            _second_mask,
            "2 masks for {id} that differ: {masks}/{id}.png and {archive}:SegmentationClass/{id}",
        ),
        (_paint(_mask(shape=(41, 60))), "mask is 41x60 (height x width), image is 40x60"),
        (_paint(_mask()[..., 0]), "{masks}/{id}.png: a mask in colours is expected"),
        (_paint(np.zeros((*SHAPE, 3), np.uint8)), "{masks}/{id}.png: the mask is empty"),
        (_paint(_smoothed()), "{masks}/{id}.png: 40 of 2400 pixels have a colour outside"),
        (_paint(_smoothed()), "((128, 0, 0): 40 px)"),
        (_rows(f"{FIRST}.png,0"), "Pixel-Size.csv, line 2: 'Pixel in mm' is '0', a positive"),
        (_rows(f"{FIRST}.png,-0.1"), "line 2: 'Pixel in mm' is '-0.1'"),
        (_rows(f"{FIRST}.png,n/a"), "line 2: 'Pixel in mm' is 'n/a'"),
        (_rows(f"{FIRST}.png,nan"), "line 2: 'Pixel in mm' is 'nan'"),
        (_rows(f"{FIRST}.png,inf"), "line 2: 'Pixel in mm' is 'inf'"),
        (_rows(f"{FIRST}.png,0,12"), "line 2: more cells than columns; are there decimal commas?"),
        (
            _rows(f"{FIRST}.png,0.1", f"{FIRST},0.2"),
            "contradict each other in 'Pixel in mm' (Trans-Thalamic-Pixel-Size.csv, line 2: 0.1; "
            "Trans-Thalamic-Pixel-Size.csv, line 3: 0.2)",
        ),
    ],
)
def test_a_broken_frame_is_named_with_its_cause_and_the_way_out(root, damage, expected):
    damage(root)
    message = _refused(root)
    names = {"images": root / IMAGES, "masks": root / MASKS, "archive": root / ARCHIVE}
    assert expected.format(id=FIRST, **names) in message
    assert "1 of 3 images cannot be used" in message
    assert f"`data.exclude: [{FIRST}]`" in message
    assert _ids(read_fetal_head_biometry(root, exclude=[FIRST])) == IDS[1:]


def test_contradicting_conditions_are_refused(root):
    (root / "anomalies.csv").write_text(
        f"Label,condition\n{FIRST}.png,normal\n{FIRST}.png,large_csp\n"
    )
    assert "contradict each other in 'condition' (anomalies.csv, line 2: normal" in _refused(root)


@pytest.mark.parametrize(
    "name", ["00168_Plane3_1_of_2", "Patient_Plane3_1_of_2", "HC010", "Patient7"]
)
def test_a_name_without_a_patient_number_is_refused(root, name):
    for folder in (IMAGES, MASKS):
        (root / folder / f"{FIRST}.png").rename(root / folder / f"{name}.png")
    message = _refused(root)
    assert f"{root / IMAGES / name}.png: no patient number, PatientNNNNN_PlaneK" in message
    assert _ids(read_fetal_head_biometry(root, exclude=[name])) == IDS[1:]


def test_of_many_broken_frames_five_are_shown_and_all_counted(root):
    for number in range(8):
        name = f"Patient1000{number}_Plane3_1_of_1.png"
        write_png(root / IMAGES / name, np.zeros(SHAPE, np.uint8))
    message = _refused(root)
    assert "8 of 11 images cannot be used" in message
    assert "Patient10004" in message.split("Leave")[0]
    assert "Patient10005" not in message.split("Leave")[0]
    assert "… and 3 more." in message


def test_everything_excluded_is_said_so(root):
    assert "no image is left" in _refused(root, exclude=IDS)


def test_tolerant_takes_the_nearest_colour_and_says_for_how_many_pixels(root):
    _paint(_smoothed())(root)
    rgb = _mask(lv=False)
    rgb[18, 15:20] = (10, 250, 5)
    write_png(root / MASKS / f"{IDS[1]}.png", rgb)
    with pytest.warns(UserWarning) as warned:
        samples = read_fetal_head_biometry(root, tolerant=True)
    assert len(warned) == 1
    assert "45 pixels in 2 masks have a colour outside the palette" in str(warned[0].message)
    assert (samples[0].load_mask()[5, 10:50] == 1).all()  # (128, 0, 0) is nearer to red than black
    assert (samples[1].load_mask()[18, 15:20] == 2).all()
    assert _ids(read_fetal_head_biometry(root, exclude=IDS[:2], tolerant=True)) == IDS[2:]


@pytest.mark.parametrize(
    ("structures", "message"),
    [
        (["cps"], r"data\.options\.structures: unknown structure 'cps' \(did you mean csp\?\)"),
        (["brain"], "unknown structure 'brain'; allowed: csp, lv"),
        (["csp", "csp"], "each at most once"),
    ],
)
def test_structures_that_are_no_structures_are_refused(root, structures, message):
    with pytest.raises(ConfigError, match=message):
        read_fetal_head_biometry(root, structures=structures)


# Archives


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_zip_that_is_cut_short_is_refused(zipped, share):
    archive = zipped / ARCHIVE
    data = archive.read_bytes()
    archive.write_bytes(data[: int(share * len(data))])
    assert f"{archive}: damaged or cut short" in _refused(zipped)


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "a/../../SegmentationClass/x.png", "/SegmentationClass/x.png", "C:\\x.png"],
)
def test_a_zip_that_climbs_out_of_its_folder_is_refused(zipped, name, tmp_path):
    with zipfile.ZipFile(zipped / ARCHIVE, "a") as archive:
        archive.writestr(name, b"evil")
    assert f"{zipped / ARCHIVE}: member {name!r} would be written outside" in _refused(zipped)


def test_a_zip_with_two_members_of_one_name_is_refused(zipped):
    name = f"Trans-thalamic/SegmentationClass/{FIRST}.png"
    with zipfile.ZipFile(zipped / ARCHIVE, "a") as archive, pytest.warns(UserWarning):
        archive.writestr(name, b"another")
    assert f"member {name!r} occurs twice" in _refused(zipped)


def test_one_mask_in_two_folders_of_a_zip_is_refused(zipped):
    with zipfile.ZipFile(zipped / ARCHIVE, "a") as archive:
        archive.writestr(f"copy/SegmentationClass/{FIRST}.png", b"another")
    assert f"2 masks for {FIRST}" in _refused(zipped)


def test_a_mask_of_which_a_byte_is_wrong_is_named(zipped):
    archive = zipped / ARCHIVE
    data = bytearray(archive.read_bytes())
    data[data.index(b"\x89PNG") + 12] ^= 0xFF
    archive.write_bytes(data)
    message = _refused(zipped)
    assert f"{archive}:Trans-thalamic/SegmentationClass/{FIRST}.png: damaged: Bad CRC-32" in message
    assert _ids(read_fetal_head_biometry(zipped, exclude=[FIRST])) == IDS[1:]


def test_an_encrypted_member_is_refused(zipped):
    data = bytearray((zipped / ARCHIVE).read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (zipped / ARCHIVE).write_bytes(data)
    assert "is encrypted" in _refused(zipped)


def test_a_mask_of_many_megabytes_is_refused_by_what_it_declares(zipped):
    name = "SegmentationClass/Patient00001_Plane3_1_of_1.png"
    with zipfile.ZipFile(zipped / ARCHIVE, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(65_000_000))
    assert f"{name}: holds 65.0 MB, at most 64 MB are read" in _refused(zipped)


# Wrong folders


def test_a_wrong_root_is_answered_with_the_right_one(root, tmp_path):
    for below in ("Trans-thalamic", IMAGES, "Trans-thalamic/Trans-thalamic-PASCAL"):
        assert f"Name a folder above: `data.root: {root}`" in _refused(root / below)
    assert f"It lies one folder deeper: `data.root: {root}`" in _refused(tmp_path)
    assert "is not a folder" in _refused(tmp_path / "nowhere")
    assert "is not a folder" in _refused(root / TABLE)


def test_an_archive_left_packed_is_mentioned(tmp_path):
    (tmp_path / "Trans-thalamic.zip").write_bytes(b"PK")
    assert "Trans-thalamic.zip is there, but not unpacked" in _refused(tmp_path)


def test_an_empty_folder_is_answered_with_what_is_expected(tmp_path):
    assert f"Expected {tmp_path / IMAGES / 'PatientNNNNN'}" in _refused(tmp_path)


def test_a_folder_without_images_is_refused(root):
    shutil.move(root / IMAGES, root / "inner")
    (root / IMAGES).mkdir()
    assert "no images; expected PatientNNNNN_PlaneK_i_of_n.png" in _refused(root)
    shutil.move(root / "inner", root / IMAGES / "Trans-thalamic")
    assert "move them up" in _refused(root)


def test_no_masks_at_all_is_one_message(root):
    shutil.rmtree(root / MASKS)
    (root / "Trans-thalamic/masks.zip").write_bytes(b"PK")
    message = _refused(root)
    assert "no masks; expected" in message and "found: masks.zip" in message


def test_a_table_without_its_columns_is_refused(root):
    _write_table(root, f"{FIRST}.png,0.1", header="Label,Spacing")
    assert "one column 'Pixel in mm' is expected, found 0 in: Label,Spacing" in _refused(root)


def test_masks_unpacked_beside_their_archive_are_the_same_masks(root):
    data = (root / MASKS / f"{FIRST}.png").read_bytes()
    _write_zip(root / ARCHIVE, {f"SegmentationClass/{FIRST}.png": data})
    assert FIRST in [sample.id for sample in read_fetal_head_biometry(root)]
