import json
import resource
import signal
import zipfile

import keras
import numpy as np
import pytest

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.models.saving import load_model
from fetal_tf.training.checkpoint import TrainingState, load_state, restore, save_checkpoint


def small_model(units=3, seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(units),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.AdamW(0.01), "mse")
    return model


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(32, 4)).astype("float32"), rng.normal(size=(32, 1)).astype("float32")


def test_a_restored_model_goes_on_as_if_nothing_had_happened(tmp_path, data):
    """Weights, moments, step count and the dropout's random state: all come back."""
    whole = small_model()
    whole.fit(*data, epochs=2, shuffle=False, verbose=0)
    save_checkpoint(whole, TrainingState([{"loss": 1.0}]), tmp_path / "last.keras")
    whole.fit(*data, epochs=2, shuffle=False, verbose=0)

    resumed = small_model(seed=99)
    restore(resumed, tmp_path / "last.keras")
    resumed.fit(*data, epochs=2, shuffle=False, verbose=0)
    for mine, theirs in zip(resumed.weights, whole.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-6)


def test_the_state_comes_back(tmp_path):
    state = TrainingState(
        [{"loss": 0.5, "val_dice": 0.9}], {"a/kernel": np.arange(6.0).reshape(2, 3)}
    )
    save_checkpoint(small_model(), state, tmp_path / "last.keras")
    found = load_state(tmp_path / "last.keras")
    assert found.history == state.history
    np.testing.assert_array_equal(found.average["a/kernel"], state.average["a/kernel"])
    assert [p.name for p in tmp_path.iterdir()] == ["last.keras"]


def test_keras_itself_reads_the_file(tmp_path, data):
    model = small_model()
    save_checkpoint(model, TrainingState([{"loss": 1.0}]), tmp_path / "last.keras")
    loaded = keras.models.load_model(tmp_path / "last.keras", safe_mode=True)
    np.testing.assert_allclose(
        loaded.predict(data[0], verbose=0), model.predict(data[0], verbose=0)
    )


def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path):
    path = tmp_path / "last.keras"
    save_checkpoint(small_model(), TrainingState([{"loss": 1.0}]), path)
    before = path.read_bytes()
    # A limit on file size fails a write in the middle, as a full disk does.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(
            FetalTFError, match=r"last\.keras: cannot be written: File too large"
        ) as error:
            save_checkpoint(small_model(), TrainingState([{"loss": 2.0}]), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "File too large. Nothing was changed there" in str(error.value)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.keras"]


@pytest.mark.parametrize("kept", [0, 10, 1000])
def test_a_truncated_checkpoint_is_named(tmp_path, kept):
    path = tmp_path / "last.keras"
    save_checkpoint(small_model(), TrainingState([{"loss": 1.0}]), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FetalTFError, match=r"last\.keras"):
        load_state(path)
    with pytest.raises(FetalTFError, match=r"last\.keras"):
        load_model(path)


def test_a_keras_file_without_state_is_no_checkpoint(tmp_path):
    small_model().save(tmp_path / "plain.keras")
    with pytest.raises(FetalTFError, match="not a readable training checkpoint"):
        load_state(tmp_path / "plain.keras")


def test_code_in_a_model_file_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)])
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(FetalTFError, match=r"lambda\.keras: not a loadable Keras model"):
        load_model(tmp_path / "lambda.keras")


@pytest.mark.parametrize(
    "spoil, said",
    [
        (
            lambda layers: layers[1].update(
                class_name="W", module="evil", registered_name="evil>W"
            ),
            "Could not locate class 'W'",
        ),
        (
            lambda layers: layers[1]["config"]["layer"].update(
                class_name="system", module="os", registered_name=None
            ),
            "Could not locate class 'system'",
        ),
        (lambda layers: layers[1]["config"].update(layer=None), "TimeDistributed"),
        (lambda layers: layers[1]["config"]["layer"]["config"].update(units=10**400), "too large"),
        (lambda layers: layers[1]["config"].update(dtype={"module": "x", "class_name": "P"}), ""),
        (lambda layers: layers.clear(), "input_layer"),
    ],
)
def test_a_foreign_model_file_is_one_line(tmp_path, spoil, said):
    inputs = keras.Input((4, 3))
    outputs = keras.layers.TimeDistributed(keras.layers.Dense(2))(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "own.keras")
    with zipfile.ZipFile(tmp_path / "own.keras") as own:
        parts = {name: own.read(name) for name in own.namelist()}
    config = json.loads(parts["config.json"])
    spoil(config["config"]["layers"])
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "foreign.keras", "w") as foreign:
        for name, content in parts.items():
            foreign.writestr(name, content)
    with pytest.raises(FetalTFError, match=r"foreign\.keras: not a loadable Keras model") as error:
        load_model(tmp_path / "foreign.keras")
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_model_file_nested_without_end_is_one_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "deep.keras", "w") as deep:
        deep.writestr("metadata.json", "{}")
        deep.writestr("config.json", '{"a":' * 200_000 + "1" + "}" * 200_000)
        deep.writestr("model.weights.h5", b"")
    with pytest.raises(FetalTFError, match=r"deep\.keras: not a loadable Keras model"):
        load_model(tmp_path / "deep.keras")


def test_another_architecture_is_refused(tmp_path):
    save_checkpoint(small_model(3), TrainingState([{"loss": 1.0}]), tmp_path / "last.keras")
    with pytest.raises(FetalTFError, match="another model or optimizer"):
        restore(small_model(5), tmp_path / "last.keras")


def test_a_flipped_byte_does_not_pass_silently(tmp_path, data):
    path = tmp_path / "last.keras"
    save_checkpoint(small_model(), TrainingState([{"loss": 1.0}]), path)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("model.weights.h5")
        offset = info.header_offset + 200
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(FetalTFError, match=r"last\.keras"):
        load_model(path)
