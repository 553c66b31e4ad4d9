"""`cytoyolo compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import DatasetOption, GroupsOption, JsonOption, Overwrite, ReportOption, Seed
from cytoyolo.cli.output import print_json, print_table, say_page
from cytoyolo.errors import UsageError
from cytoyolo.text import counted

if TYPE_CHECKING:
    from cytoyolo.scoring.agreement import Agreement
    from cytoyolo.scoring.comparison import Comparison

# How the figures are called for people, if a longer name is clearer.
_WORDS = {
    "giou": "GIoU part",
    "f1": "F1",
    "macro_f1": "macro F1",
    "found_precision": "precision, any class",
    "found_recall": "recall, any class",
    "class_accuracy": "accuracy of the class",
    "balanced_accuracy": "balanced accuracy",
    "class_macro_f1": "macro F1 of the class",
    "ap50": "AP50",
    "ap": "AP50-95",
    "same_cells": "cells that both have",
    "same_class": "of these, of the same class",
    "kappa": "Cohen's kappa of the classes",
    "iou": "mean IoU of the boxes",
}


def register(app: typer.Typer) -> None:
    app.command()(compare)


def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="The true labels, if they are known. Then two submissions, or two results that evaluate takes (a "
            "table of detections, or the folder of predict).",
            metavar="[TRUTH] A B",
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to make, with a page and tables.", metavar="DIR"),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images, so that the page shows cells.", metavar="DIR")
    ] = None,
    dataset: DatasetOption = defaults.DATASET,
    groups: GroupsOption = None,
    conf: Annotated[
        float | None,
        typer.Option(help="The confidence from which detections count.", show_default=str(defaults.CONF)),
    ] = None,
    seed: Seed = defaults.SEED,
    report: ReportOption = True,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Compare two submissions or two tables of detections.

    With a truth: by how much B is better than A, with paired 95 % intervals, and which cells only one of them gets
    right. Without a truth: how far A and B agree.
    """
    from cytoyolo.commands.compare import compare as run
    from cytoyolo.scoring.comparison import Comparison

    if len(paths) not in (2, 3):
        raise UsageError(f"compare takes [TRUTH] A B, and {len(paths)} paths are given; give two or three.")
    if overwrite and output is None:
        raise UsageError("--overwrite needs -o; give both or neither.")
    truth = paths[0] if len(paths) == 3 else None
    a, b = paths[-2:]
    made = run(
        truth, a, b, output=output, images=images, dataset=dataset, groups=groups, conf=conf, seed=seed,
        overwrite=overwrite, report=report,
    )  # fmt: skip
    if as_json:
        print_json(made.to_dict())
        return
    typer.echo(f"A: {a}\nB: {b}")
    if isinstance(made, Comparison):
        _show_comparison(made)
    else:
        _show_agreement(made)
    say_page(output, report)


def _show_comparison(made: "Comparison") -> None:
    typer.echo(f"{counted(made.images, 'image')}, {counted(made.cells, 'true cell')}")
    table = made.figures.replace({"figure": _WORDS}).rename(columns={"a": "A", "b": "B", "difference": "B - A"})
    print_table(table.rename(columns={"low": "from", "high": "to"}), "{:.4f}")
    all_cells, both = made.mcnemar.to_dict("records")
    typer.echo(
        f"Cells that only A gets right: {all_cells['only_a']:,}; that only B gets right: {all_cells['only_b']:,} "
        f"(McNemar's test: p = {all_cells['p']:.4g})."
    )
    typer.echo(
        f"Of the {counted(both['cells'], 'cell')} that both name, only A is right: {both['only_a']:,}; only B: "
        f"{both['only_b']:,} (p = {both['p']:.4g})."
    )
    columns = ["class", "cells", "right_a", "right_b", "only_a", "only_b", "f1_a", "f1_b", "difference", "low", "high"]
    named = {"right_a": "right A", "right_b": "right B", "only_a": "only A", "only_b": "only B", "f1_a": "F1 A"}
    named |= {"f1_b": "F1 B", "difference": "B - A", "low": "from", "high": "to"}
    print_table(made.classes[columns].rename(columns=named), "{:.4f}")
    if len(made.groups):
        columns = ["group", "images", "cells", "right_a", "right_b", "only_a", "only_b", "difference", "low", "high"]
        print_table(made.groups[columns].rename(columns=named), "{:.4f}")


def _show_agreement(made: "Agreement") -> None:
    typer.echo(
        f"No truth is given, so this is how far A and B agree: {counted(made.images, 'image')}, "
        f"{counted(made.cells_a, 'cell')} in A, {made.cells_b:,} in B"
    )
    table = made.figures.replace({"figure": _WORDS}).rename(columns={"low": "from", "high": "to"})
    print_table(table, "{:.4f}")
    print_table(made.classes.rename(columns={"a": "A", "b": "B"}), "{:.4f}")
