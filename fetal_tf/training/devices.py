"""What the device below can do: which precision trains well on it, and whether XLA compiles."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from fetal_tf.config.tree import Config
from fetal_tf.edge.errors import ConfigError

_CPU_LIST = Path("/proc/cpuinfo")  # on Linux; elsewhere nothing is known of the processor
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}  # x86: the first two; 64-bit Arm: the last


def on_this_device(config: Config) -> Config:
    """The config with `train.precision: auto` replaced by the precision for this device.

    A run states what it was trained in, so that it is resumed in the same.
    """
    if config.train.precision != "auto":
        return config
    update = {"precision": device_precision(_accelerated(), _cpu_flags())}
    return config.model_copy(update={"train": config.train.model_copy(update=update)})


def device_precision(accelerated: bool, cpu_flags: set[str]) -> str:
    """float16 on a GPU, bfloat16 where the processor computes with it, else float32.

    Args:
        accelerated: whether there is a GPU that the backend sees.
        cpu_flags: what the processor can do, by Linux' names.

    Returns:
        The name of a Keras dtype policy.
    """
    if accelerated:
        return "mixed_float16"
    return "mixed_bfloat16" if cpu_flags & _BFLOAT16 else "float32"


@contextmanager
def compiling(config: Config) -> Iterator[None]:
    """Name the key where XLA refuses a net, inside a `with` block that trains it.

    Raises:
        ConfigError: TensorFlow's XLA cannot compile the net, in this precision or at all.
    """
    try:
        yield
    except Exception as error:
        if not config.train.jit_compile or not type(error).__module__.startswith("tensorflow"):
            raise
        words = " ".join(str(error).split())
        cause = words.rpartition("during context")[2] or words
        raise ConfigError(
            f"train.jit_compile: XLA does not compile {config.model.name} in "
            f"{config.train.precision}; set it to false, or train.precision to float32 "
            f"({cause[:160].strip()})"
        ) from error


def _accelerated() -> bool:
    return any(not device.startswith("cpu") for device in keras.distribution.list_devices())


def _cpu_flags() -> set[str]:
    if not _CPU_LIST.is_file():
        return set()
    lines = _CPU_LIST.read_text().splitlines()
    named = [line.partition(":") for line in lines]
    return {
        flag
        for name, _, flags in named
        if name.strip() in ("flags", "Features")
        for flag in flags.split()
    }
