"""The copies of a config in bundles and trackers say nothing about the machine."""

from pathlib import Path

from fetal_tf.config.loading import load_config
from fetal_tf.config.portable import portable

QUICKSTART = Path("configs/quickstart.yaml")


def test_of_absolute_paths_the_last_name_is_kept():
    config = load_config(
        QUICKSTART, ["data.root=/home/somebody/hc18", "model.init=/home/somebody/runs/heads"]
    )
    assert portable(config).data.root == Path("hc18")
    assert portable(config).model.init == Path("heads")


def test_nor_is_it_said_where_a_folder_lies_from_here():
    config = load_config(QUICKSTART, ["data.root=../elsewhere/hc18"])
    assert portable(config).data.root == Path("hc18")


def test_of_a_file_of_weights_the_last_name_is_kept():
    model = "model={name: keras_cv_unet, weights: /home/somebody/resnet34.weights.h5}"
    config = portable(load_config(QUICKSTART, [model]))
    assert config.model.spec()["weights"] == "resnet34.weights.h5"
    release = load_config(QUICKSTART, ["model={name: efficientnetb3_regressor, weights: imagenet}"])
    assert portable(release).model.spec()["weights"] == "imagenet"


def test_a_tracking_server_is_not_named():
    config = load_config(QUICKSTART, ["mlflow.uri=http://server:5000"])
    assert "server" not in portable(config).mlflow.uri


def test_what_is_relative_stays():
    config = load_config(QUICKSTART, ["model.init=runs/heads"])
    assert portable(config) == config
