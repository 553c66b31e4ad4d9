"""`cytoyolo info`."""

import typer

from cytoyolo.cli.options import JsonOption
from cytoyolo.cli.output import print_json


def register(app: typer.Typer) -> None:
    app.command()(info)


def info(as_json: JsonOption = False) -> None:
    """Show versions, devices, threads and folders: what a bug report needs."""
    from cytoyolo.commands.info import info as run

    facts = run()
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        items = [f"{key} {version}" for key, version in value.items()] if isinstance(value, dict) else value
        typer.echo(f"{name:16}{', '.join(map(str, items)) or 'none' if isinstance(items, list) else items}")
