"""Config files before anything is done with what they hold."""

import pytest

from mmcl.errors import UserError
from mmcl.settings.loading import MOST_VALUES, check_size, read_config

BOMB = "\n".join(
    ["a0: &a0 {x: 1, y: 2}", *(f"a{i}: &a{i} {{k: *a{i - 1}, l: *a{i - 1}}}" for i in range(1, 30))]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "__use_yte__: true\ninstruction: ?1 + 1\n",
            "has the key __use_yte__, with which Snakemake runs Python",
        ),
        ('"__use\\x5fyte__": false\n', "has the key __use_yte__"),
        ("- a\n- b\n", "a config file holds keys and values"),
        ("a: [1\nb: 2\n", "cannot be read as a config file (while parsing a flow sequence"),
        ("a: " + "[" * 5000, "cannot be read as a config file"),
        (BOMB, f"config: holds more than {MOST_VALUES:,} values; an aliased part"),
        ("a: &a [*a]", "config: is nested more than 50 levels deep"),
    ],
)
def test_what_is_no_plain_configuration_is_refused(tmp_path, text, message):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_config(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


def test_an_alias_or_a_long_list_is_no_bomb(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("a: &a {steps: [1, 2]}\nb: *a\n")
    assert read_config(file) == {"a": {"steps": [1, 2]}, "b": {"steps": [1, 2]}}
    check_size({"names": ["clip"] * (MOST_VALUES // 2)})
