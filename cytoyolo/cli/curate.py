"""`cytoyolo curate`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import Boxes, JsonOption, Overwrite, ReportOption, Spurious
from cytoyolo.cli.output import print_json, print_table, say_page
from cytoyolo.text import counted

# Suspect labels shown to people; CURATED.scores.csv ranks them all.
SHOWN = 10


def register(app: typer.Typer) -> None:
    app.command()(curate)


def curate(
    labels: Annotated[Path, typer.Argument(help="The label table that was given to crossval.", metavar="LABELS.csv")],
    oof: Annotated[
        list[Path],
        typer.Option(
            "--oof",
            help="The predictions that crossval wrote. Repeat it for cross-validations with other seeds.",
            metavar="CV/oof.csv",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The table to write.", metavar="CURATED.csv")],
    spurious: Spurious = defaults.SPURIOUS,
    boxes: Boxes = defaults.BOXES,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the images, to draw the findings.", metavar="DIR")
    ] = None,
    max_loss: Annotated[
        float, typer.Option(help="The largest share of its rows that a class may lose.")
    ] = defaults.CURATION_LOSS,
    force: Annotated[
        bool, typer.Option("--force", help="Accept larger losses, and a finding for every label.")
    ] = False,
    report: ReportOption = True,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Correct a label table with the predictions of models that have not seen its images.

    `cytoyolo undo CURATED.csv CURATED.changes.csv` gives the original table back.
    """
    from cytoyolo.commands.curate import curate as run

    made = run(
        labels, oof=oof, output=output, spurious=spurious, boxes=boxes, images=images, max_loss=max_loss, force=force,
        overwrite=overwrite, report=report,
    )  # fmt: skip
    counts = made.findings.groupby(["rule", "action"], sort=False).size().rename("findings").reset_index()
    if as_json:
        print_json(
            {
                "table": made.table,
                "log": made.log,
                "labels": len(made.scores),
                "changes": len(made.changes),
                "findings": counts,
                "suspects": made.scores,
            }
        )
        return
    typer.echo(
        f"{made.table}: {counted(len(made.scores), 'label')}, {counted(len(made.findings), 'finding')}, "
        f"{counted(len(made.changes), 'change')}"
    )
    if len(made.findings):
        print_table(counts, "{}")
        shown = made.scores.head(SHOWN)[["line", "image", "class", "score", "predicted", "findings"]]
        typer.echo("The most doubtful labels:")
        print_table(shown.astype({"line": str}), "{:.3f}")
    typer.echo(f"All changes, findings and suggestions: {made.log.with_suffix('').with_suffix('')}.*.csv", err=True)
    say_page(made.table.parent, report, made.table.with_suffix(".report.html").name)
