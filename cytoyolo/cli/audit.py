"""`cytoyolo audit`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import (
    BackgroundOption,
    ConfigOption,
    DatasetOption,
    JsonOption,
    Overwrite,
    ReportOption,
    TestOption,
)
from cytoyolo.cli.output import print_json, print_some, print_table, say_page
from cytoyolo.errors import UsageError
from cytoyolo.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from cytoyolo.commands.audit import Audit

# Findings shown to people; findings.csv and --json give them all.
SHOWN = 20
_SEVERITIES = {"error": "error", "warning": "warning", "info": "note"}


def register(app: typer.Typer) -> None:
    app.command()(audit)


def audit(
    labels: Annotated[
        Path | None, typer.Argument(help="Label table: NAME,x1,y1,x2,y2,class in pixels.", metavar="LABELS.csv")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the images, to check them too.", metavar="DIR")
    ] = None,
    test: TestOption = None,
    background: BackgroundOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to make, with all findings and their pictures.", metavar="DIR"),
    ] = None,
    dataset: DatasetOption = defaults.DATASET,
    config: ConfigOption = None,
    list_rules: Annotated[bool, typer.Option("--rules", help="Only list the rules and what they find.")] = False,
    report: ReportOption = True,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """List what is wrong with a label table and its images. Nothing is changed.

    The exit code is 1 if some of the findings are errors.
    """
    from cytoyolo.commands import audit as commands

    if list_rules:
        _show_rules(commands.rules(config), as_json)
        return
    if labels is None:
        raise UsageError("audit needs a label table: cytoyolo audit LABELS.csv (or --rules).")
    if overwrite and output is None:
        raise UsageError("--overwrite needs -o; give both or neither.")
    made = commands.audit(
        labels,
        images=images,
        test=test,
        background=background,
        output=output,
        dataset=dataset,
        config=config,
        overwrite=overwrite,
        report=report,
    )
    if as_json:
        print_json({**made.summary, "findings": made.findings})
    else:
        _show(labels, made, output, report)
    if made.errors:
        raise typer.Exit(1)


def _show(labels: Path, made: "Audit", output: Path | None, report: bool) -> None:
    figures = made.summary["severities"]
    empty = made.summary["labels"].get("without_cells", 0)
    rows = counted(made.summary["labels"]["rows"], "row")
    if empty:
        rows += f", {counted(empty, 'image')} without cells"
    severities = [counted(figures[name], noun) for name, noun in _SEVERITIES.items()]
    typer.echo(f"{labels}: {rows}; {', '.join(severities)}")
    if len(made.counts):
        print_table(made.counts, "{}")
    grave = made.findings[made.findings["severity"] == "error"]
    print_some(
        lambda place: _sentence(labels, grave.iloc[place]), list(grave["rule"]), SHOWN,
        f"all are in {output / 'findings.csv'}" if output else "-o DIR writes all findings, --json prints them",
    )  # fmt: skip
    for reason, number in Counter(made.not_run.values()).items():
        typer.echo(f"Rules not applied ({reason}): {number}.", err=True)
    if output is not None:
        typer.echo(f"All findings: {output}", err=True)
        say_page(output, report)


def _sentence(labels: Path, finding: "pd.Series") -> str:
    where = f", line {finding['line']}" if finding["line"] else ""
    words = " ".join(finding[part] for part in ("image", "value", "detail") if finding[part])
    return f"{labels}{where}: {finding['rule']}: {words}"


def _show_rules(rules: list[dict[str, str]], as_json: bool) -> None:
    if as_json:
        print_json({"rules": rules})
        return
    for rule in rules:
        settings = [rule["severity"], rule["action"], rule["thresholds"], rule["needs"] and f"needs {rule['needs']}"]
        typer.echo(f"{rule['rule']}  ({'; '.join(one for one in settings if one)})\n    {rule['finds']}")
