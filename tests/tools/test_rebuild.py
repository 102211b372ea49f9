"""`python -m tools.rebuild NAME`: which runs it makes, in what order, from which data."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import fetal_tf.edge.bundle.bundle
import fetal_tf.training.folds
import tools.rebuild
from fetal_tf.config.loading import load_config
from fetal_tf.config.portable import portable
from fetal_tf.edge.bundle.bundle import ZOO, Bundle
from fetal_tf.edge.errors import ConfigError, FetalTFError

ROOT = Path(__file__).parents[2]
SHELF = sorted(path.parent for path in ZOO.glob("*/bundle.json"))

RECIPE = """
data: {dataset: hc18, root: data/hc18, image_size: [64, 96]}
task: {name: segmentation, classes: [head], measurement: head}
loss: {name: bce_dice}
optimizer: {name: adamw, learning_rate: 2e-3}
train: {epochs: 3, batch_size: 4}
"""


@pytest.fixture
def commands(monkeypatch):
    """What is run: at first everything succeeds; `broken` names a module that does not."""

    class Commands(list):
        broken = ""

    commands = Commands()

    def run_module(module, *arguments):
        commands.append([module, *arguments])
        return 2 if module == commands.broken else 0

    monkeypatch.setattr(fetal_tf.training.folds, "run_module", run_module)
    return commands


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    """Writes configs into a project of their own: name → what it starts from."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()

    def write(**inits):
        for name, init in inits.items():
            model = "{name: small_unet" + (f", init: {init}}}" if init else "}")
            text = f"name: {name}\nmodel: {model}\n{RECIPE}"
            Path(f"configs/{name}.yaml").write_text(text)

    return write


@pytest.mark.parametrize("shelf", SHELF, ids=lambda path: path.name)
def test_a_net_on_the_shelf_has_the_recipe_that_rebuilds_it(shelf, monkeypatch):
    monkeypatch.chdir(ROOT)
    recipe = Path("configs") / f"{Bundle.open(shelf).name}.yaml"
    steps = tools.rebuild.lineage(recipe)
    assert list(steps)[-1] == recipe
    shipped = load_config(shelf / "config.yaml")
    roots = {dataset: Path(dataset) for dataset in shipped.data.readers.values()}
    here = load_config(recipe, tools.rebuild.root_overrides(steps[recipe], roots))
    # Which files an export makes unless told otherwise is no part of the net: the shelf holds int8.
    export = here.export.model_copy(update={"formats": shipped.export.formats})
    assert portable(here.model_copy(update={"export": export})) == shipped


def test_every_ancestor_is_trained_first_each_from_the_data_that_it_needs(commands, monkeypatch):
    monkeypatch.chdir(ROOT)
    data = ["--data", "hc18=H", "--data", "planes=P", "--data", "focus=F"]
    assert tools.rebuild.main(["landmarks", *data]) == 0
    *trained, shelved = commands
    assert shelved == ["tools.shelve", "runs/head_refusing", "hc18"]
    made = set()
    for module, _, recipe, *options in trained:
        config = load_config(Path(recipe), options[1::2])
        init = config.model.init
        assert module == "fetal_tf.train"
        assert init is None or init in made or init.is_file()
        for source in config.data.sources.values():
            assert source.root == Path(str(source.dataset)[0].upper())
        made.add(Path("runs") / config.name)


def test_a_dry_run_only_says_what_it_would_do(commands, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert tools.rebuild.main(["hc18", "--dry-run"]) == 0
    assert not commands
    assert capsys.readouterr().out.count("python -m fetal_tf.train --config configs/") >= 1


def test_what_is_trained_is_not_trained_again_and_what_broke_off_goes_on(
    recipes, commands, monkeypatch
):
    recipes(first=None, second="runs/first", third="runs/second")
    for run in ("first", "second"):
        (Path("runs") / run).mkdir(parents=True)
    monkeypatch.setattr(
        fetal_tf.training.folds, "is_finished", lambda run, config: run.name == "first"
    )
    for recipe in tools.rebuild.lineage(Path("configs/third.yaml")):
        tools.rebuild._train(recipe, [], dry_run=False)
    assert [command[2:] for command in commands] == [
        ["configs/second.yaml", "--resume"],
        ["configs/third.yaml"],
    ]


def test_after_a_training_that_broke_off_nothing_follows(commands, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    commands.broken = "fetal_tf.train"
    assert tools.rebuild.main(["hc18"]) == 2
    assert len(commands) == 1 and "broke off" in capsys.readouterr().err


def test_the_run_that_measures_a_refit_is_trained_and_exported_before_it(
    recipes, commands, monkeypatch
):
    recipes(first=None, measured="runs/first", final="runs/first")
    final = Path("configs/final.yaml")
    final.write_text(
        final.read_text().replace(
            "batch_size: 4", "batch_size: 4, monitor: loss, refit: runs/measured"
        )
    )
    shelf = SimpleNamespace(open=lambda path: SimpleNamespace(name="final"))
    monkeypatch.setattr(fetal_tf.edge.bundle.bundle, "Bundle", shelf)
    assert tools.rebuild.main(["hc18"]) == 0
    assert [[module, *options[-2:]] for module, *options in commands] == [
        ["fetal_tf.train", "--config", "configs/first.yaml"],
        ["fetal_tf.train", "--config", "configs/measured.yaml"],
        ["export", "--parity-split", "val"],
        ["fetal_tf.train", "--config", "configs/final.yaml"],
        ["tools.shelve", "runs/final", "hc18"],
    ]
    assert commands[2][1] == "runs/measured"


def test_a_teacher_is_trained_and_exported_before_the_net_that_it_teaches(
    recipes, commands, monkeypatch
):
    recipes(first=None, taught=None)
    taught = Path("configs/taught.yaml")
    taught.write_text(taught.read_text() + "teacher: {bundles: [runs/first, zoo:hc18]}\n")
    shelf = SimpleNamespace(open=lambda path: SimpleNamespace(name="taught"))
    monkeypatch.setattr(fetal_tf.edge.bundle.bundle, "Bundle", shelf)
    assert tools.rebuild.main(["hc18"]) == 0
    assert commands == [
        ["fetal_tf.train", "--config", "configs/first.yaml"],
        ["export", "runs/first", "--formats", "int8"],
        ["fetal_tf.train", "--config", "configs/taught.yaml"],
        ["tools.shelve", "runs/taught", "hc18"],
    ]


@pytest.mark.parametrize(("formats", "exported"), [(["int8"], 0), (["float32"], 1)])
def test_what_is_exported_already_is_not_exported_again(
    recipes, commands, monkeypatch, formats, exported
):
    bundle = SimpleNamespace(formats=formats, failed_parity=lambda name: False)
    monkeypatch.setattr(
        fetal_tf.edge.bundle.bundle, "Bundle", SimpleNamespace(open=lambda path: bundle)
    )
    parity = Path("runs/first/bundle/parity.json")
    parity.parent.mkdir(parents=True)
    parity.touch()
    tools.rebuild._export(Path("runs/first"), dry_run=False)
    assert len(commands) == exported
    bundle.formats, bundle.failed_parity = ["int8"], lambda name: True
    with pytest.raises(FetalTFError, match="runs/first/bundle: int8 does not measure as well"):
        tools.rebuild._export(Path("runs/first"), dry_run=False)


def test_weights_that_are_there_need_no_recipe(recipes):
    recipes(alone="weights.keras", elsewhere="other/first", first=None)
    Path("weights.keras").touch()
    Path("other/first").mkdir(parents=True)
    for name in ("alone", "elsewhere"):
        recipe = Path(f"configs/{name}.yaml")
        assert list(tools.rebuild.lineage(recipe)) == [recipe]


@pytest.mark.parametrize(
    ("inits", "message"),
    [
        ({"net": "runs/gone"}, "runs/gone is not there, and no config"),
        ({"net": "gone.keras"}, r"gone\.keras is not there"),
        ({"net": "zoo:hc18"}, "zoo:hc18 is not there"),
        ({"net": "runs/other", "other": "runs/net"}, r"rests on itself by way of other\.yaml"),
    ],
)
def test_a_start_that_nothing_makes_is_refused(recipes, inits, message):
    recipes(**inits)
    with pytest.raises(ConfigError, match=message):
        tools.rebuild.lineage(Path("configs/net.yaml"))


def test_a_recipe_under_another_name_is_refused(recipes):
    recipes(net=None)
    Path("configs/net.yaml").rename("configs/renamed.yaml")
    with pytest.raises(ConfigError, match=r"renamed\.yaml: name: 'net'"):
        tools.rebuild.lineage(Path("configs/renamed.yaml"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["heads"], "the zoo holds no 'heads'"),
        (["hc18", "--data", "hc81=DIR"], "needs no such dataset; it needs focus, hc18, planes"),
    ],
)
def test_what_cannot_be_rebuilt_says_why(commands, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(ROOT)
    assert tools.rebuild.main(arguments) == 2
    assert message in capsys.readouterr().err and not commands


@pytest.mark.parametrize("text", ["hc18", "=DIR", "hc18="])
def test_data_without_a_place_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        tools.rebuild.main(["hc18", "--data", text])
    assert "DATASET=DIR" in capsys.readouterr().err
