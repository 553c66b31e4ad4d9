"""`cytoyolo train`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.classes import show_classes
from cytoyolo.cli.options import JsonOption, Overwrite, ReportOption, UmPerPx
from cytoyolo.cli.output import print_json, say_page
from cytoyolo.cli.seeds import show_seeds
from cytoyolo.cli.training import with_training_settings
from cytoyolo.detector.settings import RunSettings


def register(app: typer.Typer) -> None:
    app.command()(with_training_settings(train, several_seeds=True, runner=True))


def train(
    dataset: Annotated[Path, typer.Argument(help="A folder made by `cytoyolo convert`.", metavar="DATASET")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run folder to make.", metavar="RUN")],
    *,
    settings: RunSettings,
    device: Annotated[
        str, typer.Option(help="auto, cpu, mps, the number of a GPU, or of several GPUs (0,1).")
    ] = defaults.DEVICE,
    fold: Annotated[
        int | None, typer.Option(help="Leave this fold out of the training (data set made with --folds).")
    ] = None,
    um_per_px: UmPerPx = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run with its own settings.")
    ] = False,
    report: ReportOption = True,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Train one YOLO for all classes. An interrupted run continues with the same call, or with --resume."""
    from cytoyolo.commands.train import train as run

    trained = run(
        dataset, output=output, device=device, fold=fold, um_per_px=um_per_px, resume=resume, overwrite=overwrite,
        report=report, **settings,
    )  # fmt: skip
    if as_json:
        from cytoyolo.commands.several_seeds import to_dict

        own = {name: value for name, value in vars(trained).items() if name != "seeds"}
        print_json(own | ({} if trained.seeds is None else {"seeds": to_dict(trained.seeds)}))
        return
    if trained.seeds is not None:
        show_seeds(trained.folder, trained.seeds, "trainings")
        return
    figures = trained.metrics
    typer.echo(
        f"{trained.weights}: epoch {figures['epoch']:.0f}, mAP50 {figures['metrics/mAP50(B)']:.3f}, "
        f"mAP50-95 {figures['metrics/mAP50-95(B)']:.3f} on the validation split"
    )
    show_classes(trained.classes)
    say_page(output, report)
