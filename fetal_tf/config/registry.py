"""Registries: models, losses, datasets, optimizers and schedules by the name in a config."""

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


def keywords(builder: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a function or a class by name, without `name` itself.

    A class that takes `**kwargs` hands them on to its bases, so their keywords are added.
    """
    steps = [builder]
    if isinstance(builder, type):
        steps = [vars(base)["__init__"] for base in builder.__mro__ if "__init__" in vars(base)]
    found: dict[str, inspect.Parameter] = {}
    for step in steps:
        parameters = inspect.signature(step, eval_str=True).parameters.values()
        own = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "name"}
        found |= {key: p for key, p in own.items() if key not in found}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


class Registry(Generic[T]):
    """Functions and classes by name; their keyword-only parameters are the keys of a config.

    What the program hands over is positional, what the config chooses follows the `*`::

        @MODELS.register("unet")
        def unet(input_shape, classes, *, base: int = 16, depth: int = 4) -> keras.Model: ...

        MODELS.build("model", {"name": "unet", "base": 8}, (192, 288, 1), 1)
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, Callable[..., T]] = {}
        self._parts: dict[str, tuple[Callable[..., Any], ...]] = {}

    def register(
        self, name: str, *parts: Callable[..., Any]
    ) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Decorator that files a builder under `name`.

        Args:
            name: what a config calls it; ValueError where it is taken.
            parts: what the builder makes of its `**rest`; their keywords are keys too.
        """

        def file(builder: Callable[..., T]) -> Callable[..., T]:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            for p in inspect.signature(builder).parameters.values():
                if p.kind is p.KEYWORD_ONLY and p.annotation is p.empty:
                    raise TypeError(
                        f"{self.kind} {name!r}: its keyword {p.name} has no type; a config's value "
                        "is checked by it"
                    )
            self._entries[name], self._parts[name] = builder, parts
            return builder

        return file

    def parameters(self, key: str, name: str) -> dict[str, inspect.Parameter]:
        """The keys beside `name` that a config may hold, see `keywords`."""
        found = keywords(self.get(key, name))
        for part in self._parts[name]:
            found |= keywords(part)
        return found

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
        given = {k: v for k, v in spec.items() if k != "name"}
        allowed = self.parameters(key, spec["name"])
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
