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
    from cytoyolo.scoring.agreement import Agreement, Agreements
    from cytoyolo.scoring.comparison import Comparison
    from cytoyolo.scoring.ranking import Ranking

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
# What a ranking shows beside the figure by which it ranks.
_BESIDE = {"score": ["giou", "macro_f1", "accuracy"], "macro_f1": ["precision", "recall", "ap50", "ap"]}


def register(app: typer.Typer) -> None:
    app.command()(compare)


def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="The true labels, if they are known. Then submissions, or results that evaluate takes (a table of "
            "detections, or the folder of predict). Two paths are two results without a truth.",
            metavar="[TRUTH] A B [C...]",
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
    no_truth: Annotated[
        bool, typer.Option("--no-truth", help="All paths are results; the truth is not known.")
    ] = False,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Compare submissions or tables of detections.

    With a truth: by how much B is better than A, with paired 95 % intervals, and which cells only one of them gets
    right. Without a truth: how far A and B agree. More than two results are ranked, and each is compared with A;
    without a truth (--no-truth) each is compared with each other.
    """
    from cytoyolo.commands.compare import NAMES
    from cytoyolo.commands.compare import compare as run

    if len(paths) < 2:
        raise UsageError(
            f"compare takes [TRUTH] A B [C...], and {counted(len(paths), 'path')} is given; give two or more."
        )
    if overwrite and output is None:
        raise UsageError("--overwrite needs -o; give both or neither.")
    truth, results = (None, paths) if no_truth or len(paths) == 2 else (paths[0], paths[1:])
    made = run(
        truth, *results, output=output, images=images, dataset=dataset, groups=groups, conf=conf, seed=seed,
        overwrite=overwrite, report=report,
    )  # fmt: skip
    if as_json:
        print_json(made.to_dict())
        return
    for name, path in zip(NAMES, results, strict=False):
        typer.echo(f"{name}: {path}")
    _show(made)
    say_page(output, report)


def _show(made: "Comparison | Agreement | Ranking | Agreements") -> None:
    from cytoyolo.scoring.agreement import Agreement
    from cytoyolo.scoring.comparison import Comparison
    from cytoyolo.scoring.ranking import Ranking

    if isinstance(made, Comparison):
        _show_comparison(made)
    elif isinstance(made, Agreement):
        _show_agreement(made)
    elif isinstance(made, Ranking):
        _show_ranking(made)
    else:
        _show_pairs(made)


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


def _show_ranking(made: "Ranking") -> None:
    import pandas as pd

    typer.echo(f"{counted(made.images, 'image')}, {counted(made.cells, 'true cell')}")
    figure = _WORDS.get(made.figure, made.figure)
    names = {"low": "from", "high": "to", "best": "best in"}
    # As many figures as a terminal is wide.
    columns = ["rank", "result", made.figure, "low", "high", "best", *_BESIDE[made.figure]]
    print_table(made.ranking[columns].rename(columns=_WORDS | names), "{:.4f}")
    typer.echo(f"best in: the share of the bootstrap samples in which the result has the highest {figure}.")
    rows = []
    for name, one in made.comparisons.items():
        own = one.figures[one.figures["figure"] == made.figure].to_dict("records")[0]
        test = one.mcnemar.to_dict("records")[0]
        rows.append([name, *map(own.get, ("difference", "low", "high")), *map(test.get, ("only_a", "only_b", "p"))])
    print_table(
        pd.DataFrame(rows, columns=["result", f"{figure} - A", "from", "to", "only A right", "only it right", "p"]),
        "{:.4f}",
    )


def _show_pairs(made: "Agreements") -> None:
    import pandas as pd

    typer.echo("No truth is given, so this is how far each two results agree:")
    rows = [
        {"one": a, "other": b} | pair.figures.set_index("figure")["value"].rename(_WORDS).to_dict()
        for (a, b), pair in made.agreements.items()
    ]
    print_table(pd.DataFrame(rows), "{:.4f}")
