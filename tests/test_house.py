"""The house: rooms stand on floors. No import runs up, and none in a circle."""

import ast
import graphlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the ground up. A room may import from those before it. A folder is one room, and so is a
# file at the root of the package.
FLOORS = [
    "fetal_tf.version",
    "fetal_tf.edge",
    "fetal_tf.config",
    "fetal_tf.optimizers",
    "fetal_tf.losses",
    "fetal_tf.metrics",
    "fetal_tf.scores",
    "fetal_tf.data",
    "fetal_tf.models",
    "fetal_tf.tasks",
    "fetal_tf.experiment",
    "fetal_tf.runs",
    "fetal_tf.evaluation",
    "fetal_tf.training",
    "fetal_tf.tracking",
    "fetal_tf.analysis",
    "fetal_tf.reporting",
    "fetal_tf.exporting",
    "fetal_tf.benchmarks",
    "fetal_tf.cli",
    "fetal_tf.train",
    "fetal_tf.evaluate",
    "fetal_tf.predict",
    "fetal_tf.__main__",
    "fetal_tf",
    "export",
    "tools",
]
MEND = "the floors list the rooms from the ground up: move what both need down, or the file up"
# The floors inside of the rooms that have folders of their own.
INNER_FLOORS = {
    "fetal_tf.edge": [
        "errors",
        "extras",
        "flag",
        "io",
        "geometry",
        "inference",
        "measure",
        "draw",
        "bundle",
    ],
}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    _name(path): path
    for top in ("fetal_tf", "export", "tools")
    for path in sorted((ROOT / top).rglob("*.py"))
}


def _imports(path: Path) -> Iterator[str]:
    """The modules of this project that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: line {node.lineno}: write imports in full"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in MODULES:
                    yield inner
                elif node.module in MODULES:
                    yield node.module


ARROWS = sorted(
    {(name, other) for name, path in MODULES.items() for other in _imports(path) if other != name}
)


def _room(module: str, depth: int = 2) -> str:
    return ".".join(module.split(".")[: depth if module.startswith("fetal_tf") else 1])


def test_every_room_has_its_floor():
    missing = {_room(module) for module in MODULES} - set(FLOORS)
    assert not missing, f"{sorted(missing)}: give the room a place in FLOORS"
    assert len(FLOORS) <= 30


def test_no_import_runs_up():
    floor = {room: place for place, room in enumerate(FLOORS)}
    upward = [
        f"{name} imports {other}"
        for name, other in ARROWS
        if floor[_room(name)] < floor[_room(other)]
    ]
    assert not upward, "\n".join([*upward, MEND])


@pytest.mark.parametrize("room", INNER_FLOORS)
def test_no_import_runs_up_inside_a_room(room):
    floor = {f"{room}.{inner}": place for place, inner in enumerate(INNER_FLOORS[room])}
    floor[room] = -1
    inner = {_room(module, 3) for module in MODULES if module.startswith(f"{room}.")}
    assert inner <= floor.keys(), f"{sorted(inner - floor.keys())}: give it a place in INNER_FLOORS"
    upward = [
        f"{name} imports {other}"
        for name, other in ARROWS
        if name.startswith(f"{room}.") and other.startswith(f"{room}.")
        if floor[_room(name, 3)] < floor[_room(other, 3)]
    ]
    assert not upward, "\n".join([*upward, MEND])


@pytest.mark.parametrize("depth", [2, 3, 9], ids=["rooms", "folders", "files"])
def test_no_circle(depth):
    graph: dict[str, set[str]] = {}
    for name, other in ARROWS:
        one, two = _room(name, depth), _room(other, depth)
        if not (f"{one}.".startswith(f"{two}.") or f"{two}.".startswith(f"{one}.")):
            graph.setdefault(one, set()).add(two)  # a package and what it holds are one place
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names a circle


def test_the_root_holds_few_files():
    assert len(list((ROOT / "fetal_tf").glob("*.py"))) <= 8


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
def test_git_ignores_what_commands_leave_and_no_source():
    left = ["predictions/a", "predictions-2/a", "evaluation/a", "runs/a", "quickstart/a"]
    sources = ["fetal_tf/evaluation/a.py", "tests/evaluation/a.py", "docs/predictions/a.md"]
    command = ["git", "-C", str(ROOT), "check-ignore", "--no-index", *left, *sources]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == left
