"""`cytoyolo reproduce`."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import (
    BackgroundOption,
    Boxes,
    DatasetOption,
    GroupsOption,
    Jobs,
    JsonOption,
    ReportOption,
    Spurious,
)
from cytoyolo.cli.output import print_json, print_table, say_page
from cytoyolo.cli.seeds import show_seeds
from cytoyolo.cli.training import with_training_settings
from cytoyolo.detector.settings import RunSettings

if TYPE_CHECKING:
    from cytoyolo.commands.reproduce import Planned
    from cytoyolo.commands.reproduce_outcome import Outcome


def register(app: typer.Typer) -> None:
    app.command()(with_training_settings(reproduce, several_seeds=True, runner=True))


def reproduce(
    data: Annotated[Path, typer.Argument(help="Folder with images/, train.csv and test.csv.", metavar="DATA")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of all results.", metavar="RUN")],
    dataset: DatasetOption = defaults.DATASET,
    groups: GroupsOption = None,
    background: BackgroundOption = None,
    folds: Annotated[int, typer.Option(help="The number of folds.")] = defaults.FOLDS,
    spurious: Spurious = defaults.SPURIOUS,
    boxes: Boxes = defaults.BOXES,
    *,
    settings: RunSettings,
    device: Annotated[
        str, typer.Option(help="auto, cpu, mps, the number of a GPU, or of several GPUs (0,1,2).")
    ] = defaults.DEVICE,
    jobs: Jobs = defaults.JOBS,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Accept a curation that removes many labels, or by models that name few cells right.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Repeat steps that were done with other settings or inputs.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan, with time and disk space.")] = False,
    report: ReportOption = True,
    as_json: JsonOption = False,
) -> None:
    """Run the third place's whole method, from the audit to the submission.

    Finished steps are skipped, and an interrupted training continues.
    """
    from cytoyolo.commands.reproduce import reproduce as run
    from cytoyolo.commands.reproduce_outcome import outcome
    from cytoyolo.commands.several_seeds import read_summary, to_dict

    made = run(
        data, output=output, dataset=dataset, groups=groups, background=background, folds=folds, spurious=spurious,
        boxes=boxes, device=device, jobs=jobs, force=force, overwrite=overwrite, dry_run=dry_run,
        report=report, **settings,
    )  # fmt: skip
    summary = read_summary(output) if settings.get("seeds") and not dry_run else None
    ended = outcome(output, spurious) if summary is None and not dry_run else None
    if as_json:
        more = {} if summary is None else {"seeds": to_dict(summary)}
        more |= {} if ended is None else {"outcome": vars(ended)}
        print_json({"steps": [vars(step) for step in made], **more})
        return
    _show_steps(made, dry_run)
    if summary is not None:
        show_seeds(output, summary)
    if ended is not None:
        _show_outcome(ended)
    say_page(output, report and not dry_run)


def _show_steps(made: "list[Planned]", dry_run: bool) -> None:
    import pandas as pd

    rows = [
        (one.step, one.state, str(one.makes), _duration(one.seconds), _size(one.megabytes) if dry_run else "")
        for one in made
    ]
    print_table(pd.DataFrame(rows, columns=["step", "state", "makes", "time", "disk"]), "{}")
    if dry_run:
        seconds, megabytes = sum(one.seconds or 0 for one in made), sum(one.megabytes or 0 for one in made)
        typer.echo(f"about {_duration(seconds)} and {_size(megabytes)}, as estimated on this machine")


def _show_outcome(made: "Outcome") -> None:
    typer.echo(f"out-of-fold score {made.score:.4f}  (GIoU part {made.giou:.4f}, macro F1 {made.macro_f1:.4f})")
    typer.echo(
        f"The models gave {made.right:.1%} of the labelled cells the class of their label. The median confidence of "
        f"the most confident cell of an image is {made.confidence:.2f}."
    )
    changed = ", ".join(f"{row.rule} {row.rows:,}" for row in made.changes.itertuples())
    typer.echo(f"Rows that the curation changed, by rule: {changed or 'none'}.")


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))


def _size(megabytes: float | None) -> str:
    return "" if megabytes is None else f"{megabytes:,.0f} MB"
