"""`cytoyolo demo`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import Device, JsonOption, Overwrite, Seed
from cytoyolo.cli.output import print_json, print_table


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.", metavar="DIR")] = Path(
        defaults.DEMO_OUTPUT
    ),
    images: Annotated[int, typer.Option(help="How many images to draw.")] = defaults.DEMO_IMAGES,
    seed: Seed = defaults.SEED,
    device: Device = defaults.DEMO_DEVICE,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Run every step on synthetic smears with faults, offline: draw, audit, repair, train, predict, score."""
    from cytoyolo.cli.score import show
    from cytoyolo.commands.demo import demo as run

    made = run(output=output, images=images, seed=seed, device=device, overwrite=overwrite)
    if as_json:
        print_json({**vars(made), "score": made.score.to_dict()})
        return
    print_table(made.faults, "{:.0f}")
    show(made.score)
    typer.echo("")
    for title, path in made.paths.items():
        typer.echo(f"{title:20}{path}")
    typer.echo(f"{'time':20}{sum(made.seconds.values()):.0f} s")
