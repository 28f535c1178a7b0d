"""JSON for programs, which a terminal may show as well."""

import json

import orjson

from dtqs.cli.output import json_text

HOSTILE = '\x1b[2J \x7f \x9b31m \u202e \u2028 \U000e0001 é 猫 😀 " \\ \n'


def test_json_holds_no_invisible_character_and_keeps_its_meaning() -> None:
    for option in (0, orjson.OPT_INDENT_2):
        text = json_text({"text": HOSTILE, HOSTILE: [1, None]}, option)
        assert all(line.isprintable() for line in text.split("\n"))
        assert json.loads(text) == {"text": HOSTILE, HOSTILE: [1, None]}
        assert "é 猫 😀" in text
        assert r"\u007f \u009b31m \u202e \u2028 \udb40\udc01" in text
