"""Config files: read YAML with `extends:` and command-line overrides, and write YAML."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fetal_tf.config.recipes import find_recipe
from fetal_tf.config.registry import nearest
from fetal_tf.config.tree import CONFIG_VERSION, Config, Section
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.io.files import is_stream, write_text_atomic

_LARGEST_BYTES = 1_000_000  # of a config; the longest that ships has 3,000
INHERITED = "inherited"  # an item of a list: all items that the parent has under this key


class _Loader(yaml.SafeLoader):
    """Reads `2e-3` as a number, which YAML 1.1 reads as text, and no aliases.

    An alias may repeat what it stands for a billion times, or hold itself.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, f"*{alias.anchor}: aliases are not read; write it out", alias.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value}: stands there twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*)(?:\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def load_config(path: Path, overrides: Iterable[str] = ()) -> Config:
    """Read a config file or a shipped recipe with its parents, apply overrides, check the tree.

    Args:
        path: of the file, or the name of a recipe that ships.
        overrides: each `key.path=value`.

    Raises:
        ConfigError: one line naming the key, what was found and what is allowed.
    """
    path = find_recipe(Path(path))
    tree = _with_parents(path, seen=())
    for override in overrides:
        tree = merge(tree, _with_one_data_section(_override_tree(override), f"--set {override}"))
    for key, value in flattened(tree).items():
        if _names_inherited(value):
            raise ConfigError(
                f"{path}: {key}: `{INHERITED}` stands for a parent's list; there is none"
            )
    return parse_config(tree, source=str(path))


def _names_inherited(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_names_inherited(inner) for inner in value.values())
    return isinstance(value, list) and any(
        item == INHERITED or _names_inherited(item) for item in value
    )


def parse_config(tree: Mapping[str, Any], source: str) -> Config:
    """Check a merged tree; errors name `source` as the file."""
    version = tree.get("version", CONFIG_VERSION)
    if isinstance(version, int) and version > CONFIG_VERSION:
        raise ConfigError(
            f"{source}: version: {version} was written by a newer fetal_tf; "
            f"this one reads up to {CONFIG_VERSION}. Upgrade with `pip install -U fetal-tf`."
        )
    try:
        return Config.model_validate(dict(tree))
    except ValidationError as error:
        raise ConfigError(f"{source}: {_first_fault(error)}") from error
    except ConfigError as error:  # `refuse_user_info`; pydantic's error would quote the password
        raise ConfigError(f"{source}: {error}") from None


def dump_config(config: Config) -> str:
    """The resolved tree as YAML; `load_config` reads it back to an equal config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def save_config(config: Config, path: Path) -> None:
    """Write the resolved tree, atomically."""
    write_text_atomic(path, dump_config(config))


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of mappings as `{"a.b": value}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def differences(old: Config, new: Config) -> Iterator[tuple[str, Any, Any]]:
    """(`key.path`, old value, new value) of every difference, in order of the keys."""
    before, after = (flattened(config.model_dump(mode="json")) for config in (old, new))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield key, before.get(key), after.get(key)


def merge(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """`parent` with the values of `child` over it: mappings merge, everything else is replaced.

    A mapping with another `name` than its parent replaces it, since the parameters of one model
    mean nothing to another. An empty mapping empties the parent's (a child that oversamples
    nothing). In a list, the item `inherited` stands for the items of the parent's list.
    """
    merged = dict(parent)
    for key, value in child.items():
        merged[key] = _laid_over(merged.get(key), value)
    return merged


def _laid_over(old: Any, new: Any) -> Any:
    if isinstance(old, list) and isinstance(new, list):
        return [item for own in new for item in (old if own == INHERITED else [own])]
    if not (isinstance(old, Mapping) and isinstance(new, Mapping) and new):
        return new
    same_component = new.get("name", old.get("name")) == old.get("name")
    return merge(old, new) if same_component else new


def _with_parents(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    resolved = path.resolve()
    if resolved in seen:
        chain = " → ".join(p.name for p in (*seen, resolved))
        raise ConfigError(f"{path}: extends: goes in a circle ({chain})")
    tree = _read_yaml(path)
    parent = tree.pop("extends", None)
    if parent is None:
        return tree
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: extends: found {parent!r}; name one YAML file")
    parent_path = path.parent / parent
    if not parent_path.is_file():
        try:
            parent_path = find_recipe(Path(parent))
        except ConfigError as error:
            raise ConfigError(f"{path}: extends: {error}") from error
    return merge(_with_parents(parent_path, (*seen, resolved)), tree)


def _read_yaml(path: Path) -> dict[str, Any]:
    if is_stream(path):
        raise ConfigError(f"{path}: a pipe or a device; a config is a file")
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ConfigError(f"{path}: {path.stat().st_size} bytes; no config has so many")
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply to be a config") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: found {type(tree).__name__}; a config is a mapping of keys")
    return _with_one_data_section(tree, str(path))


def _with_one_data_section(tree: dict[str, Any], source: str) -> dict[str, Any]:
    """Expand a list of datasets into the section `data`, see `DataConfig`."""
    data = tree.get("data")
    if not isinstance(data, list):
        return tree
    if not data or not all(isinstance(part, dict) and "dataset" in part for part in data):
        raise ConfigError(f"{source}: data: a list holds mappings, each with its dataset")
    first, *others = data
    mixed: dict[str, Any] = {}
    for part in others:
        name = part["dataset"]
        if name in mixed or name == first["dataset"]:
            raise ConfigError(
                f"{source}: data: {name} is there twice; name the second one yourself, "
                f"data.mixed_with.NAME: {{dataset: {name}, root: …}}"
            )
        mixed[name] = part
    return {**tree, "data": {**first, "mixed_with": mixed}}


def _override_tree(override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(f"--set {override}: write it as key.path=value")
    try:
        value = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"--set {override}: the value is not valid YAML") from error
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _first_fault(error: ValidationError) -> str:
    # A misspelt key is reported as a missing one as well: the misspelling goes first.
    faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    fault = faults[0]
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = _keys_at(fault["loc"][:-1])
        return (
            f"{place}: unknown key{nearest(str(fault['loc'][-1]), known)}; "
            f"allowed: {', '.join(known)}"
        )
    if fault["type"] == "missing":
        return f"{place}: missing; every config needs it"
    if fault["type"] in ("model_type", "dict_type"):
        return f"{place}: a section of keys is needed here, found {fault['input']!r}"
    message = fault["msg"].removeprefix("Value error, ")
    found = "" if isinstance(fault["input"], Mapping) else f", found {fault['input']!r}"
    return f"{place}: {message}{found}" if place else message


def _keys_at(location: Iterable[int | str]) -> list[str]:
    section: Any = Config
    for part in location:
        if str(part) not in section.model_fields:  # a key that the user has named
            continue
        annotation = section.model_fields[str(part)].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        section = next(o for o in options if isinstance(o, type) and issubclass(o, Section))
    return list(section.model_fields)
