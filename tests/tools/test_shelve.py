"""`python -m tools.shelve` on a net with weights set by hand; and what the package ships."""

import json
import re
import shlex
import subprocess

import keras
import numpy as np
import pytest

import tools.rebuild
import tools.shelve
from fetal_tf.edge.bundle.bundle import ALIASES, ZOO, Bundle, resolve_bundle
from fetal_tf.edge.io.files import sha256_of
from fetal_tf.edge.io.images import read_gray
from fetal_tf.exporting.model_card import CardFacts, model_card
from tests.exporting.test_export_command import make_run

SHELF = sorted(path.parent for path in ZOO.glob("*/bundle.json"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = make_run(tmp_path_factory.mktemp("shelve"))
    (path / "metrics.csv").write_text("epoch,loss\n1,0.5\n")
    return path


def shelve(run, zoo, *options):
    return tools.shelve.main([str(run), "bright", "--zoo", str(zoo), *options])


def test_a_run_on_the_shelf_is_a_sealed_bundle_with_its_log_and_float_model(run, tmp_path, capsys):
    assert shelve(run, tmp_path) == 0
    assert "zoo:bright" in capsys.readouterr().out
    shelf = tmp_path / "bright"
    bundle = Bundle.open(shelf)
    assert bundle.formats == ("int8",) and bundle.default_format == "int8"
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=shelf, check=True)
    assert (shelf / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()
    frame = np.random.default_rng(0).integers(0, 256, (1, 48, 72, 1)).astype(np.uint8)
    as_float = keras.saving.load_model(shelf / "model.keras").predict(frame, verbose=0)
    assert np.abs(as_float - bundle.predictor("int8").predict(frame)).max() < 0.05


def test_a_second_time_replaces_the_first_and_nothing_else_is_replaced(run, tmp_path, capsys):
    assert shelve(run, tmp_path) == 0
    (tmp_path / "bright" / "stale").write_text("old")
    assert shelve(run, tmp_path) == 0
    assert not (tmp_path / "bright" / "stale").exists()
    other = tmp_path / "second"
    (other / "bright").mkdir(parents=True)
    (other / "bright" / "thesis.txt").write_text("mine")
    assert shelve(run, other) == 2
    assert "not a bundle" in capsys.readouterr().err
    assert (other / "bright" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("LARGEST_INT8_BYTES", 100, "the zoo takes 100"), ("LARGEST_KERAS_BYTES", 100, None)],
)
def test_what_is_too_large_is_not_shipped(run, tmp_path, monkeypatch, capsys, name, value, message):
    monkeypatch.setattr(tools.shelve, name, value)
    assert shelve(run, tmp_path) == (2 if message else 0)
    if message:
        assert message in capsys.readouterr().err
        assert not (tmp_path / "bright").exists()
    else:
        assert not (tmp_path / "bright" / "model.keras").exists()
        Bundle.open(tmp_path / "bright")


@pytest.mark.parametrize("shelf", SHELF, ids=lambda path: path.name)
def test_config_card_and_weights_of_the_zoo_belong_together(shelf):
    bundle = Bundle.open(shelf)  # the seal holds, and the manifest names the model's checksum
    card = (shelf / "MODEL_CARD.md").read_text()
    config = (shelf / "config.yaml").read_text()
    weights = shelf / bundle.manifest["files"]["int8"]["path"]
    assert sha256_of(weights) in card and card.startswith(f"# zoo:{shelf.name}:")
    assert f"name: {bundle.name}\n" in config
    assert weights.stat().st_size <= tools.shelve.LARGEST_INT8_BYTES
    for name, factors in bundle.measurement_settings.get("conventions", {}).items():
        assert f"| `{name}` | {factors['ofd']:g} | {factors['bpd']:g} |" in " ".join(card.split())
    assert not bundle.phantom and all(
        "CC BY 4.0" in line for line in bundle.manifest["attribution"]
    )
    assert card == model_card(CardFacts.read(bundle, shelf.name)), "python -m tools.cards"
    parity = json.loads((shelf / "parity.json").read_text())
    assert parity and bundle.manifest["parity"]["passed"]
    height, width, channels = bundle.input_shape
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, channels)).astype(np.uint8)
    from_int8 = bundle.predictor("int8").predict(frame)
    assert from_int8.shape[-1] == len(bundle.classes)
    if (shelf / "model.keras").is_file():
        as_float = keras.saving.load_model(shelf / "model.keras").predict(frame, verbose=0)
        assert np.abs(as_float - from_int8).mean() < 0.02


def test_one_net_measures_heads_and_their_ends(capsys):
    """As the README says: a second name, no second copy."""
    assert resolve_bundle("zoo:landmarks") == resolve_bundle("zoo:hc18") == ZOO / "hc18"
    assert not set(ALIASES) & {path.name for path in SHELF}
    assert tools.shelve.main(["runs/any", "landmarks"]) == 2
    assert "another name of zoo:hc18" in capsys.readouterr().err


@pytest.mark.parametrize("shelf", SHELF, ids=lambda path: path.name)
def test_a_frame_of_nothing_is_refused(shelf):
    """A blank screen, a probe in the air: nets that never saw one found a head or a chest there."""
    bundle, rng = Bundle.open(shelf), np.random.default_rng(0)
    predictor = bundle.predictor("int8")
    for gray in (0, 90, 255):
        for noise in (0, 25):
            frame = np.clip(rng.normal(gray, noise, (540, 800)), 0, 255).astype(np.uint8)
            assert bundle.measure(predictor, frame, 0.15).refused


def test_a_chest_is_no_head(real_data):
    """Frames that the net has not learnt; its card states all 50 of them."""
    bundle = Bundle.open(ZOO / "hc18")
    predictor = bundle.predictor("int8")
    paths = sorted((real_data / "focus" / "validation" / "images").glob("*.png"))[::5]
    answers = [bundle.measure(predictor, read_gray(path), None) for path in paths]
    assert len(answers) == 10 and sum(a.refused is not None for a in answers) >= 9


@pytest.mark.parametrize("shelf", SHELF, ids=lambda path: path.name)
def test_the_command_of_a_card_rebuilds_the_net_from_all_its_data(shelf, monkeypatch, capsys):
    monkeypatch.chdir(ZOO.parents[1])
    card = (shelf / "MODEL_CARD.md").read_text()
    (command,) = re.findall(r"^    python -m tools\.rebuild (.+)$", card, re.MULTILINE)
    assert tools.rebuild.main([*shlex.split(command), "--dry-run"]) == 0
    steps = capsys.readouterr().out
    assert f"tools.shelve runs/{Bundle.open(shelf).name} {shelf.name}" in steps
    assert "root=data/" not in steps, "each step is told where its data are"
