"""The options that say where the jobs of a command run."""

from typing import Annotated, Any

import typer

from cytoyolo import defaults

RUNNER: dict[str, tuple[Any, Any]] = {
    "runner": (
        Annotated[
            defaults.RunnerName, typer.Option(help="Where the jobs run: on this machine, or on a cluster of several.")
        ],
        defaults.RUNNER,
    ),
    "runner_options": (
        Annotated[
            str | None,
            typer.Option(
                "--runner-options",
                help="What a job needs and where it runs, such as gpus=1,memory=32,partition=gpu.",
                metavar="KEY=VALUE,...",
            ),
        ],
        None,
    ),
    "detach": (
        Annotated[
            bool, typer.Option("--detach", help="Only submit the jobs; `cytoyolo jobs` shows them, and ends them.")
        ],
        False,
    ),
}
