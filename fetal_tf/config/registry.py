"""Names for the things a config can choose: models, losses, datasets, optimizers, schedules."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import pydantic

from fetal_tf.edge.errors import ConfigError

T = TypeVar("T")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean X?)`` for the known name closest to `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


class Registry(Generic[T]):
    """Functions by name; a function's keyword-only parameters are the keys its config may hold.

    A builder separates what the program hands over (positional) from what the config chooses
    (after the `*`)::

        @MODELS.register("unet")
        def unet(input_shape, classes, *, base: int = 16, depth: int = 4) -> keras.Model: ...

        MODELS.build("model", {"name": "unet", "base": 8}, (192, 288, 1), 1)
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Decorator that files a builder under `name`; a name taken twice raises ValueError."""

        def file(builder: Callable[..., T]) -> Callable[..., T]:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = builder
            return builder

        return file

    def names(self) -> list[str]:
        return sorted(self._entries)

    def get(self, key: str, name: str) -> Callable[..., T]:
        """The builder called `name`; `key` is the config key to blame where there is none."""
        if name not in self._entries:
            raise ConfigError(
                f"{key}.name: unknown {self.kind} {name!r}{nearest(name, self._entries)}; "
                f"allowed: {', '.join(self.names())}"
            )
        return self._entries[name]

    def check(self, key: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Validate `spec` (`{"name": …, parameter: value}`); return its parameters with defaults.

        Raises:
            ConfigError: an unknown name or parameter, a wrong type, or a missing parameter.
        """
        builder = self.get(key, spec["name"])
        given = {k: v for k, v in spec.items() if k != "name"}
        allowed = {
            p.name: p
            for p in inspect.signature(builder, eval_str=True).parameters.values()
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        }
        for name in given:
            if name not in allowed:
                raise ConfigError(
                    f"{key}.{name}: unknown parameter of {spec['name']}{nearest(name, allowed)}; "
                    f"allowed: {', '.join(allowed) or 'none'}"
                )
        return _typed_parameters(key, allowed, given)

    def build(self, key: str, spec: Mapping[str, Any], *args: Any) -> T:
        """Check `spec`, then call its builder with `args` and the checked parameters."""
        return self.get(key, spec["name"])(*args, **self.check(key, spec))


def _typed_parameters(
    key: str, allowed: Mapping[str, inspect.Parameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    fields: dict[str, Any] = {
        p.name: (p.annotation, ... if p.default is inspect.Parameter.empty else p.default)
        for p in allowed.values()
    }
    config = pydantic.ConfigDict(strict=True, allow_inf_nan=False)
    model = pydantic.create_model(key.replace(".", "_"), __config__=config, **fields)
    try:
        checked = model.model_validate(dict(given))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in (key, *first["loc"]))
        found = "nothing" if first["type"] == "missing" else repr(first["input"])
        raise ConfigError(f"{place}: {first['msg']}, found {found}") from error
    return {name: getattr(checked, name) for name in fields}
