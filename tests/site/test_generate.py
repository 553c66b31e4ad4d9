"""The pages that are made from the program: every command, option and rule is there."""

import sys

import typer

from cytoyolo.annotations.rules import RULES
from cytoyolo.cli.app import app
from tests.site.pages import DOCS


def test_every_command_option_and_rule_has_its_place() -> None:
    sys.path.insert(0, str(DOCS))
    try:
        from generate import all_pages
    finally:
        sys.path.remove(str(DOCS))
    pages = dict(all_pages())
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        text = pages[f"commands/{name}.md"]
        assert f"[{name}](commands/{name}.md)" in pages["commands.md"]
        shown = [one.opts[0] for one in command.params if one.param_type_name == "option" and not one.hidden]
        assert all(f"`{option}" in text or f", {option}" in text for option in shown), name
    assert all(f"### {name}\n" in pages["rules.md"] for name in RULES)
