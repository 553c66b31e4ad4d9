"""`cytoyolo crossval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.classes import show_classes
from cytoyolo.cli.options import (
    ConfigOption,
    DatasetOfTable,
    GroupsOption,
    Jobs,
    JsonOption,
    Overwrite,
    ReportOption,
    UmPerPx,
)
from cytoyolo.cli.output import print_json, print_table, say_page
from cytoyolo.cli.seeds import show_seeds
from cytoyolo.cli.training import with_training_settings
from cytoyolo.detector.settings import RunSettings
from cytoyolo.text import counted

if TYPE_CHECKING:
    from cytoyolo.commands.crossval_result import Crossvalidated

# Groups shown to people; groups.csv has them all.
SHOWN = 20


def register(app: typer.Typer) -> None:
    app.command()(with_training_settings(crossval, several_seeds=True, runner=True))


def crossval(
    source: Annotated[
        Path,
        typer.Argument(help="A label table, or a folder made by `convert --folds`.", metavar="LABELS.csv|DATASET"),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.", metavar="CV")],
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the label table's images.", metavar="DIR")
    ] = None,
    folds: Annotated[int | None, typer.Option(help="The number of folds.", show_default=str(defaults.FOLDS))] = None,
    groups: GroupsOption = None,
    dataset: DatasetOfTable = None,
    config: ConfigOption = None,
    *,
    settings: RunSettings,
    device: Annotated[
        str,
        typer.Option(help="auto, cpu, mps, the number of a GPU, or of several GPUs (0,1,2), which train a fold each."),
    ] = defaults.DEVICE,
    jobs: Jobs = defaults.JOBS,
    um_per_px: UmPerPx = None,
    resume: Annotated[bool, typer.Option("--resume", help="Only continue an existing cross-validation.")] = False,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Keep the models of the folds as one ensemble for predict: CV/ensemble.")
    ] = False,
    report: ReportOption = True,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Train a model for each fold, and predict the images that it has not seen."""
    from cytoyolo.commands.crossval import crossval as run

    made = run(
        source, output=output, images=images, folds=folds, groups=groups, dataset=dataset, config=config, device=device,
        jobs=jobs, um_per_px=um_per_px, resume=resume, ensemble=ensemble, overwrite=overwrite,
        report=report, **settings,
    )  # fmt: skip
    if as_json:
        _print_json(made)
    elif made.seeds is not None:
        show_seeds(made.folder, made.seeds)
    else:
        _show(made)
    if not as_json:
        say_page(output, report)


def _print_json(made: "Crossvalidated") -> None:
    from cytoyolo.commands.several_seeds import to_dict

    kept: dict[str, object] = {"ensemble": made.ensemble} if made.ensemble else {}
    kept |= {} if made.seeds is None else {"seeds": to_dict(made.seeds)}
    own = {"groups": made.groups, "classes_found": made.classes, **kept}
    print_json({"oof": made.oof, "folds": made.folds, **made.score.to_dict(), **own})


def _show(made: "Crossvalidated") -> None:
    from cytoyolo.cli.score import show

    typer.echo(f"{made.oof}: {made.folds} folds")
    if made.ensemble:
        typer.echo(f"{made.ensemble}: {counted(made.folds, 'model')} for predict, submit and evaluate")
    show(made.score)
    show_classes(made.classes)
    if len(made.groups):
        print_table(made.groups.head(SHOWN), "{:.4f}")
    if len(made.groups) > SHOWN:
        typer.echo(f"and {counted(len(made.groups) - SHOWN, 'more group')} (see groups.csv there)", err=True)
