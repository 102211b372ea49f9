"""The configuration tree: merging, overrides, and one line for every fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.config.loading import dump_config, load_config, merge, parse_config
from fetal_tf.config.tree import CONFIG_VERSION, refuse_user_info
from fetal_tf.edge.errors import ConfigError

BASE = """
name: trial
data: {dataset: hc18, root: somewhere, image_size: [64, 96]}
task: {name: segmentation, classes: [head], measurement: head}
model: {name: unet, base: 8}
loss: {name: bce_dice}
optimizer: {name: adamw, learning_rate: 2e-3}
train: {epochs: 3, batch_size: 4}
"""


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "trial.yaml"
    path.write_text(BASE)
    return path


def test_reads_numbers_in_exponent_notation(config_file):
    config = load_config(config_file, ["optimizer.weight_decay=1e-5"])
    assert config.optimizer.spec()["learning_rate"] == 0.002
    assert config.optimizer.spec()["weight_decay"] == 1e-5


def test_the_written_config_reads_back_equal(config_file, tmp_path):
    config = load_config(config_file)
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_config(config))
    assert load_config(copy) == config


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trian.epochs=3", "trian: unknown key (did you mean train?)"),
        ("train.epcohs=3", "train.epcohs: unknown key (did you mean epochs?); allowed: epochs"),
        ("train.epochs=three", "train.epochs: Input should be a valid integer, found 'three'"),
        ("train.epochs=0", "train.epochs: "),
        ("train.batch_size=true", "train.batch_size: Input should be a valid integer, found True"),
        ("train.ema_decay=1.5", "train.ema_decay: "),
        ("train.precision=fp16", "train.precision: Input should be 'auto', 'float32'"),
        ("train.early_stopping.patince=3", "train.early_stopping.patince: unknown key (did you"),
        ("split.val=0.9", "val + test = 1.05 leaves nothing to train on"),
        ("seed=-1", "seed: Input should be greater than or equal to 0, found -1"),
        ("split={folds: 3, fold: 3}", "fold 3 needs folds: 4 or more"),
        ("data.image_size=[1, 96]", "data.image_size.0: "),
        ("data.image_size=64", "data.image_size: "),
        (
            "sampler.oversampel={csp: 3}",
            "sampler.oversampel: unknown key (did you mean oversample?)",
        ),
        ("sampler.oversample={csp: 0}", "sampler.oversample.csp: Input should be greater than 0"),
        ("sampler.oversample={csp: -2}", "sampler.oversample.csp: "),
        ("sampler.oversample={csp: .inf}", "sampler.oversample.csp: "),
        ("sampler.oversample={csp: often}", "sampler.oversample.csp: Input should be a valid num"),
        ("sampler.oversample=[csp]", "sampler.oversample: "),
        ("sampler=3", "sampler: a section of keys is needed here, found 3"),
        ("split.stratify=yes please", "split.stratify: Input should be a valid boolean"),
        ("loss=bce", "loss: a section of keys is needed here, found 'bce'"),
        ("name=a/b", "cannot name a folder"),
        (f"version={CONFIG_VERSION + 1}", "was written by a newer fetal_tf"),
    ],
)
def test_a_wrong_key_is_one_line_with_key_and_way_out(config_file, override, expected):
    with pytest.raises(ConfigError) as error:
        load_config(config_file, [override])
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
    assert "trial.yaml" in str(error.value)


def test_a_missing_section_is_named(config_file):
    config_file.write_text(BASE.replace("loss: {name: bce_dice}", ""))
    with pytest.raises(ConfigError, match="loss: missing"):
        load_config(config_file)


@pytest.mark.parametrize("override", ["train.epochs", "=3", "a..b=1", "train.epochs=[1"])
def test_an_override_of_the_wrong_form_is_refused(config_file, override):
    with pytest.raises(ConfigError, match="--set"):
        load_config(config_file, [override])


def test_a_child_extends_its_parent(config_file, tmp_path):
    child = tmp_path / "child.yaml"
    child.write_text("extends: trial.yaml\nname: child\ntrain: {epochs: 9}\n")
    config = load_config(child)
    assert (config.name, config.train.epochs, config.train.batch_size) == ("child", 9, 4)


def test_another_component_drops_the_parents_parameters(config_file):
    config = load_config(config_file, ["model.name=small_unet"])
    assert config.model.spec() == {"name": "small_unet"}
    assert load_config(config_file, ["model.base=16"]).model.spec() == {"name": "unet", "base": 16}


def test_a_child_may_oversample_nothing(config_file, tmp_path):
    assert load_config(config_file).sampler.oversample == {}
    parent = load_config(config_file, ["sampler.oversample={csp: 3, lv: 2}"])
    assert parent.sampler.oversample == {"csp": 3, "lv": 2}
    more = load_config(config_file, ["sampler.oversample={csp: 3}", "sampler.oversample={lv: 2}"])
    assert more.sampler.oversample == {"csp": 3, "lv": 2}
    (tmp_path / "parent.yaml").write_text(BASE + "sampler: {oversample: {csp: 3}}\n")
    child = tmp_path / "child.yaml"
    child.write_text("extends: parent.yaml\nsampler: {oversample: {}}\n")
    assert load_config(child).sampler.oversample == {}


def test_a_list_may_add_to_its_parents(tmp_path):
    (tmp_path / "parent.yaml").write_text(
        BASE + "augment: [{name: Affine}, {name: GaussianBlur}]\n"
    )
    child = tmp_path / "child.yaml"
    child.write_text("extends: parent.yaml\naugment: [{name: PixelDropout}, inherited]\n")

    def names(*overrides):
        return [transform.name for transform in load_config(child, overrides).augment]

    assert names() == ["PixelDropout", "Affine", "GaussianBlur"]
    assert names("augment=[inherited, {name: CLAHE}]") == [*names(), "CLAHE"]
    assert names("augment=[]") == []


@pytest.mark.parametrize(
    "own",
    [
        "augment: [inherited]",
        "export: {formats: [int8, inherited]}",
        "augment: [{name: OneOf, transforms: [inherited]}]",
    ],
)
def test_without_a_parents_list_there_is_nothing_to_add_to(tmp_path, own):
    path = tmp_path / "alone.yaml"
    path.write_text(BASE + own)
    with pytest.raises(ConfigError, match=r"alone\.yaml: (augment|export\.formats): .*inherited"):
        load_config(path)


def test_extends_in_a_circle_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(ConfigError, match="circle"):
        load_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("extends: gone.yaml", "gone.yaml: no such config file"),
        ("extends: [a, b]", "name one YAML file"),
        ("- a list", "a config is a mapping"),
        ("a: [1, ", "not valid YAML"),
        ("", "a config is a mapping"),
    ],
)
def test_a_file_that_is_no_config_says_why(tmp_path, content, expected):
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"broken\.yaml") as error:
        load_config(path)
    assert expected in str(error.value)


def test_a_missing_file_suggests_its_neighbour(config_file):
    with pytest.raises(ConfigError, match=r"did you mean trial\.yaml"):
        load_config(config_file.with_name("trail.yaml"))


def test_yaml_cannot_run_code(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text("name: !!python/object/apply:os.getcwd []")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(path)


trees = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda children: st.dictionaries(st.sampled_from("abc"), children, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)


@given(mappings, mappings)
def test_merge_keeps_what_the_child_says(parent, child):
    before = repr(parent)
    merged = merge(parent, child)
    assert repr(parent) == before
    assert merge(merged, child) == merged
    assert set(merged) == set(parent) | set(child)
    for key, value in child.items():
        if not isinstance(value, dict):
            assert merged[key] == value


def test_every_shipped_config_is_valid():
    from pathlib import Path

    for path in sorted(Path("configs").glob("*.yaml")):
        config = load_config(path)
        assert parse_config(config.model_dump(mode="json"), path.name) == config


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text, said",
    [
        (LAUGHS, "aliases are not read"),
        ("a: &a [*a]\n", "aliases are not read"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a: " + "{b: " * 5000 + "}" * 5000, "nested too deeply"),
        ("#" + "x" * 1_100_000, "bytes; no config has so many"),
    ],
)
def test_a_hostile_config_is_one_line(tmp_path, text, said):
    path = tmp_path / "hostile.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        load_config(path)
    assert "\n" not in str(error.value) and "hostile.yaml" in str(error.value)


@pytest.mark.parametrize("ending", ["?token=s3cret", "#s3cret", "/x?a=b&api_key=s3cret"])
def test_a_token_in_the_servers_address_is_refused_and_not_repeated(ending):
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_TOKEN") as error:
        refuse_user_info(f"https://server{ending}", "mlflow.uri")
    assert "s3cret" not in str(error.value)
