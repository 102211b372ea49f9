"""Prepare a model for conversion: every layer computes in float32, the batch is one image."""

from typing import Any

import keras


def float32_model(model: keras.Model) -> keras.Model:
    """Return `model` with every layer computing in float32; the same weights, the same function.

    A model trained under mixed precision carries the policy in each layer's config, so it is built
    anew from a config in which every policy says float32. A model that is float32 already is
    returned as it is.
    """
    if all(layer.compute_dtype == "float32" for layer in _all_layers(model)):
        return model
    twin = model.__class__.from_config(_with_float32_policies(model.get_config()))
    twin.set_weights(model.get_weights())
    return twin


def static_batch_model(model: keras.Model) -> keras.Model:
    """Wrap `model` for input (1, height, width, channels): newer runtimes refuse an open batch."""
    image = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="image")
    return keras.Model(image, model(image, training=False), name=model.name)


def _all_layers(model: keras.Model) -> list[Any]:
    layers = []
    for layer in model.layers:
        layers.append(layer)
        if isinstance(layer, keras.Model):
            layers.extend(_all_layers(layer))
    return layers


def _with_float32_policies(config: Any) -> Any:
    """Copy a serialised config; layers hold their policy as an object or as its bare name."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {**config["config"], "name": "float32"}}
        return {
            key: "float32"
            if key == "dtype" and isinstance(value, str) and "float" in value
            else _with_float32_policies(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_with_float32_policies(item) for item in config)
    return config
