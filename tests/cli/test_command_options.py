import pytest

from fetal_tf.cli.command_options import short_names
from fetal_tf.edge.errors import ConfigError


@pytest.mark.parametrize(
    ("references", "names"),
    [
        (["runs/ce"], ["ce"]),
        (["runs/ce", "/tmp/runs/dice/"], ["ce", "dice"]),
        (["runs/a/bundle", "runs/b/bundle"], ["a/bundle", "b/bundle"]),
        (["net", "runs/net"], ["net", "runs/net"]),
        (["zoo:head", "runs/head"], ["zoo:head", "head"]),
    ],
)
def test_as_short_as_they_can_be_told_apart(references, names):
    assert short_names(references) == names


def test_one_given_twice_is_refused():
    with pytest.raises(ConfigError, match=r"runs/a/: given twice"):
        short_names(["runs/b", "runs/a", "runs/a/"])
