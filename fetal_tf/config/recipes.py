"""The recipes that ship: found by name, and what their heads say.

A recipe is a YAML file. Comments at its head say what it is, and, after the words `Expect:`,
`Time:` and `Run:`, what it reaches, how long it takes and how it is run.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.config.registry import nearest
from fetal_tf.edge.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]
_PARTS = re.compile(r"^# ?(Expect|Time|Run):\s*", re.MULTILINE)


def recipe_folder() -> Path:
    """Where the recipes lie: inside an installed package, or at the root of a checkout."""
    packaged = _PACKAGE / "recipes"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "configs"


def recipe_names() -> list[str]:
    """Names of the recipes that ship, sorted."""
    return sorted(path.stem for path in recipe_folder().glob("*.yaml"))


def find_recipe(reference: Path) -> Path:
    """The file that `--config` names: one that is there, or a recipe that ships, by its name.

    `configs/hc18_unet.yaml` and `hc18_unet.yaml` find the shipped `hc18_unet` too, where there is
    no such file.

    Raises:
        ConfigError: neither; names the nearest.
    """
    if reference.exists() and not reference.is_dir():
        return reference
    plain = reference.parent in (Path(), Path("configs")) and reference.suffix in ("", ".yaml")
    shipped = recipe_folder() / f"{reference.stem}.yaml"
    if plain and shipped.is_file():
        return shipped
    if reference.is_dir():
        raise ConfigError(f"{reference}: a folder; a config file or a recipe's name is expected")
    beside = [p.name for p in reference.parent.glob("*.yaml")] if reference.parent.is_dir() else []
    similar = nearest(reference.name, beside) or nearest(reference.stem, recipe_names())
    raise ConfigError(
        f"{reference}: no such config file{similar}; `fetal-tf configs` lists the recipes that ship"
    )


@dataclass(frozen=True)
class RecipeHead:
    """What the comments at the head of a recipe say, each as one line.

    Attributes:
        summary: what it is.
        expect: what it reaches, on which images.
        time: how long it takes, and on what.
    """

    summary: str
    expect: str
    time: str


def recipe_head(path: Path) -> RecipeHead:
    """Read the head of a recipe; parts that are not there are empty."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = []
    for line in lines:
        if not line.startswith("#"):
            break
        comments.append(line)
    summary, *parts = _PARTS.split("\n".join(comments))
    said = {key: _one_line(text) for key, text in zip(parts[::2], parts[1::2], strict=True)}
    return RecipeHead(_one_line(summary), said.get("Expect", ""), said.get("Time", ""))


def _one_line(comment: str) -> str:
    return " ".join(line.lstrip("#").strip() for line in comment.splitlines()).strip()
