"""Registries: what becomes a key of a config, and messages that name every wrong key."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from fetal_tf.config.registry import Registry, keywords, nearest
from fetal_tf.edge.errors import ConfigError


@pytest.fixture
def things() -> Registry:
    registry: Registry = Registry("thing")

    @registry.register("ball")
    def ball(
        place,
        *,
        size: int,
        weight: float = 1.5,
        holes: Annotated[int, Field(ge=0)] = 0,
        paint: Literal["red", "green"] = "red",
        label: str = "",
        hollow: bool = False,
        marks: list[str] = [],  # noqa: B006 (what a reader's `exclude` looks like)
        lid: float | None = None,
    ):
        return place, size, weight, holes, paint, label, hollow, marks, lid

    @registry.register("cube")
    def cube(place):
        return place

    return registry


def test_build_hands_over_arguments_and_checked_parameters(things):
    built = things.build("toy", {"name": "ball", "size": 3, "weight": 2, "lid": 0.5}, "shelf")
    assert built == ("shelf", 3, 2.0, 0, "red", "", False, [], 0.5)
    assert isinstance(built[2], float), "an int given for a float arrives as float"


def test_check_returns_defaults_too(things):
    assert things.check("toy", {"name": "ball", "size": 3})["paint"] == "red"


def test_defaults_are_not_shared_between_builds(things):
    things.check("toy", {"name": "ball", "size": 3})["marks"].append("scratch")
    assert things.check("toy", {"name": "ball", "size": 3})["marks"] == []


def test_names_are_sorted(things):
    assert things.names() == ["ball", "cube"]


def test_string_annotations_are_understood():
    registry: Registry = Registry("thing")

    @registry.register("late")  # what `from __future__ import annotations` makes of a builder
    def late(*, size: "int"):
        return size

    assert registry.build("toy", {"name": "late", "size": 2}) == 2
    with pytest.raises(ConfigError, match="valid integer"):
        registry.build("toy", {"name": "late", "size": "2"})


class Base:
    def __init__(self, *, depth: int = 2, name: str = "base"):
        self.depth, self.name = depth, name


class Derived(Base):
    def __init__(self, place, *, width: int = 3, name: str = "derived", **kwargs):
        super().__init__(name=name, **kwargs)
        self.place, self.width = place, width


def test_a_class_has_the_keywords_of_its_bases_too():
    registry: Registry = Registry("thing")
    registry.register("hall")(Derived)
    hall = registry.build("toy", {"name": "hall", "depth": 5}, "house")
    assert (hall.place, hall.width, hall.depth, hall.name) == ("house", 3, 5, "derived")
    with pytest.raises(ConfigError, match=r"toy\.place: .*; allowed: width, depth"):
        registry.check("toy", {"name": "hall", "place": "house"})


def test_a_base_that_gets_nothing_handed_on_adds_no_keyword():
    class Closed(Base):
        def __init__(self, *, width: int = 3):
            super().__init__(depth=1)

    assert list(keywords(Closed)) == ["width"]


def test_keywords_of_parts_are_keys_and_reach_the_builder():
    registry: Registry = Registry("thing")

    @registry.register("pair", Base)
    def pair(*, gap: int, **rest):
        return gap, Base(**rest).depth

    assert registry.build("toy", {"name": "pair", "gap": 1, "depth": 7}) == (1, 7)
    with pytest.raises(ConfigError, match=r"toy\.depth: .*found 'deep'"):
        registry.check("toy", {"name": "pair", "gap": 1, "depth": "deep"})


def test_unknown_name_suggests_and_lists(things):
    with pytest.raises(ConfigError) as caught:
        things.build("toy", {"name": "bal"}, "shelf")
    assert str(caught.value) == (
        "toy.name: unknown thing 'bal' (did you mean ball?); allowed: ball, cube"
    )


def test_unknown_name_without_a_neighbour_only_lists(things):
    with pytest.raises(ConfigError, match=r"unknown thing 'zzz'; allowed: ball, cube"):
        things.get("toy", "zzz")


def test_unknown_parameter_suggests_and_lists(things):
    with pytest.raises(ConfigError, match=r"toy\.sise: unknown parameter of ball .*mean size\?"):
        things.check("toy", {"name": "ball", "sise": 3})
    with pytest.raises(ConfigError, match=r"toy\.size: unknown parameter of cube; allowed: none"):
        things.check("toy", {"name": "cube", "size": 3})


def test_a_positional_argument_is_not_for_the_config(things):
    with pytest.raises(ConfigError, match=r"toy\.place: unknown parameter"):
        things.check("toy", {"name": "ball", "size": 3, "place": "floor"})


def test_missing_parameter_is_named(things):
    with pytest.raises(ConfigError, match=r"toy\.size: Field required, found nothing"):
        things.check("toy", {"name": "ball"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", True),
        ("size", "3"),
        ("size", 3.0),
        ("size", None),
        ("weight", True),
        ("weight", "2e-3"),
        ("weight", float("nan")),
        ("weight", float("inf")),
        ("holes", -1),
        ("paint", "gren"),
        ("label", 3),
        ("hollow", 1),
        ("hollow", "yes"),
        ("marks", "one"),
        ("lid", "shut"),
    ],
)
def test_wrong_type_or_value_names_key_and_value(things, key, value):
    with pytest.raises(ConfigError) as caught:
        things.check("toy", {"name": "ball", "size": 3, key: value})
    assert str(caught.value).startswith(f"toy.{key}: ")
    assert str(caught.value).endswith(f"found {value!r}")


def test_wrong_item_of_a_list_is_numbered(things):
    with pytest.raises(ConfigError, match=r"toy\.marks\.1: .*found 7"):
        things.check("toy", {"name": "ball", "size": 3, "marks": ["a", 7]})


def test_literal_lists_what_is_allowed(things):
    with pytest.raises(ConfigError, match="'red' or 'green'"):
        things.check("toy", {"name": "ball", "size": 3, "paint": "blue"})


def test_a_name_taken_twice_is_a_programming_error(things):
    with pytest.raises(ValueError, match="thing 'cube' is registered twice"):
        things.register("cube")(lambda place: place)


def test_nearest():
    assert nearest("lerning_rate", ["epochs", "learning_rate"]) == " (did you mean learning_rate?)"
    assert nearest("qq", ["epochs", "learning_rate"]) == ""
