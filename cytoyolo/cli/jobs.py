"""`cytoyolo jobs`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo.cli.options import JsonOption
from cytoyolo.cli.output import print_json, print_table


def register(app: typer.Typer) -> None:
    app.command()(jobs)


def jobs(
    run: Annotated[Path, typer.Argument(help="The output of a command with --runner.", metavar="RUN")],
    stop: Annotated[bool, typer.Option("--stop", help="End the jobs that were left running.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the jobs of a run on a cluster, or end them."""
    from cytoyolo.commands.jobs import jobs as find

    made = find(run, stop=stop)
    if as_json:
        print_json({"jobs": made})
        return
    print_table(made, "{}")
