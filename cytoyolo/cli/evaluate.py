"""`cytoyolo evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.inference import with_inference_settings
from cytoyolo.cli.options import DatasetOption, GroupsOption, JsonOption, Overwrite, ReportOption, Seed
from cytoyolo.cli.output import print_json, print_table, say_page
from cytoyolo.errors import UsageError
from cytoyolo.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from cytoyolo.detector.inference import InferenceSettings
    from cytoyolo.scoring.evaluation import AtThreshold, Evaluation


def register(app: typer.Typer) -> None:
    app.command()(with_inference_settings(defaults.CONF, str(defaults.MAX_DETECTIONS))(evaluate))


def evaluate(
    truth: Annotated[Path, typer.Argument(help="The true labels: a label table.", metavar="TRUTH")],
    detections: Annotated[
        Path,
        typer.Argument(
            help="Detections of predict, fuse or crossval (a table, or the folder of predict); or trained weights.",
            metavar="DETECTIONS|WEIGHTS",
        ),
    ],
    *,
    settings: "InferenceSettings",
    images: Annotated[Path | None, typer.Option(help="Folder of the images; weights need it.", metavar="DIR")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to make, with tables and confusion matrices.", metavar="DIR"),
    ] = None,
    dataset: DatasetOption = defaults.DATASET,
    groups: GroupsOption = None,
    precision: Annotated[
        float | None,
        typer.Option(
            help="Precision that the proposed thresholds must reach, 0 to 1.",
            show_default="the highest F1",
        ),
    ] = None,
    seed: Seed = defaults.SEED,
    report: ReportOption = True,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Compare detections, or the cells that weights find, with the true cells of the images.

    A found cell is right if its IoU with a true cell is at least 0.5 and the classes are the same. --conf is the
    threshold of the figures. The threshold with the highest macro F1 on these images is shown beside it.
    """
    from cytoyolo.commands.evaluate import evaluate as run

    if overwrite and output is None:
        raise UsageError("--overwrite needs -o; give both or neither.")
    made = run(
        truth, detections, images=images, output=output, dataset=dataset, groups=groups, precision=precision,
        seed=seed, overwrite=overwrite, report=report, **settings,
    )  # fmt: skip
    if as_json:
        print_json(made.to_dict())
    else:
        _show(made)
        say_page(output, report)


def _show(made: "Evaluation") -> None:
    typer.echo(f"{counted(made.images, 'image')}, {counted(made.cells, 'true cell')}, {made.found:,} found")
    last = made.average_precision.iloc[-1]
    for name, words in (("ap50", "AP50"), ("ap", "AP50-95")):
        low, high = last[f"{name}_low"], last[f"{name}_high"]
        limits = f"  (95 % interval {low:.4f} to {high:.4f})" if low == low else ""
        typer.echo(f"{words:<8} {last[name]:.4f}{limits}" if last[name] == last[name] else f"{words:<8} -")
    print_table(_both(made.given, made.best), "{:.4f}")
    classes = made.given.classes[["class", "cells", "found", "precision", "recall", "f1"]]
    occurs = (classes["cells"] > 0) | (classes["found"] > 0)
    print_table(classes.assign(AP50=made.average_precision["ap50"])[occurs], "{:.4f}")
    if len(made.given.groups):
        columns = ["group", "images", "cells", "found", "f1", "macro_f1", "balanced_accuracy"]
        print_table(made.given.groups[columns], "{:.4f}")
    for sentence in made.remarks():
        typer.echo(sentence, err=True)


def _both(given: "AtThreshold", best: "AtThreshold") -> "pd.DataFrame":
    """Return the figures at both thresholds, with their intervals, as a table for people."""
    from cytoyolo.report.pages.evaluation import WORDS

    table = given.overall[["figure"]].replace({"figure": WORDS})
    for name, part in (("from", given), ("best, from", best)):
        overall = part.overall
        table[f"{name} {part.threshold:.3f}"] = overall["value"]
        limits = zip(overall["low"], overall["high"], strict=True)
        table[" " * (2 if name == "from" else 3)] = [
            f"{low:.3f} to {high:.3f}" if low == low else "" for low, high in limits
        ]
    return table
