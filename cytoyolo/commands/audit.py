"""`audit`: what is wrong with a label table and its images. Nothing is changed."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from cytoyolo import defaults
from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations.background import background_facts, check_background, with_background
from cytoyolo.annotations.policy import load_policy, own_files, own_modules
from cytoyolo.annotations.rules import Rule
from cytoyolo.annotations.rules.registry import SEVERITIES
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.audit_page import write_audit_page
from cytoyolo.errors import as_typed
from cytoyolo.files import check_folder, new_folder, write_text
from cytoyolo.machine import __version__
from cytoyolo.report.sheet import draw_sheet
from cytoyolo.spec import load_spec
from cytoyolo.tables.dialect import SchemaError
from cytoyolo.tables.frame import AnyTable, file_of, given
from cytoyolo.tables.records import read_table_bytes
from cytoyolo.tables.table import fingerprint, note_form, sha256, write_table
from cytoyolo.yolo.folder import images_fingerprint

MAKER = "audit"
_LIBRARIES = ("numpy", "pandas", "opencv-python", "pillow", "simplejpeg", "tifffile", "imagecodecs")
FINDINGS, SUMMARY, SHEET = "findings.csv", "summary.json", "findings.png"


@dataclass(frozen=True, eq=False)
class Audit:
    """The result of `audit`.

    Attributes
    ----------
    findings : DataFrame
        One row for each finding: line, image, rule, severity, value, action, detail. `line` is the line in the file;
        the header is line 1.
    counts : DataFrame
        Findings and images by rule.
    not_run : dict
        The rules that were not asked, and why.
    summary : dict
        The content of summary.json: figures, versions, settings and fingerprints.
    """

    findings: pd.DataFrame
    counts: pd.DataFrame
    not_run: dict[str, str]
    summary: dict[str, Any]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return int(self.summary["severities"]["error"])


def audit(
    labels: AnyTable,
    *,
    images: str | Path | None = None,
    test: AnyTable | None = None,
    background: str | Path | None = None,
    output: str | Path | None = None,
    dataset: str | Path = defaults.DATASET,
    config: str | Path | None = None,
    overwrite: bool = False,
    report: bool = True,
) -> Audit:
    """List what is wrong with a label table and its images. Nothing is changed.

    Parameters
    ----------
    labels : str, Path or DataFrame
        The label table. The columns of a DataFrame have the names of the data set's columns; its row 0 is line 2.
    images : str or Path, optional
        The image folder. Without it, only the table is checked.
    test : str, Path or DataFrame, optional
        The test table, to find training images that leak into it.
    background : str or Path, optional
        Images of the folder that have no cells: a table or text file with their names, or a folder in the image folder.
    output : str or Path, optional
        A folder to make, with findings.csv, summary.json, report.html (a page of the audit) and, with images,
        findings.png (pictures of the findings).
    dataset : str or Path
        The data set: a name of this package, or a YAML file.
    config : str or Path, optional
        A YAML file that changes severities, actions and thresholds of rules, or adds rules.
    overwrite : bool
        Replace an existing output of `audit`.
    report : bool
        Whether to write report.html.

    Returns
    -------
    Audit
        The findings. Even a file that is not a table gives findings, and no error.

    Raises
    ------
    UsageError
        For a wrong call.

    Examples
    --------
    >>> import pandas as pd
    >>> labels = pd.DataFrame([["a.png", 9, 5, 4, 8, "PNN"]], columns=["NAME", "x1", "y1", "x2", "y2", "class"])
    >>> audit(labels).findings[["line", "rule", "action"]].values.tolist()[0]
    [2, 'inverted', 'swap']
    """
    source, tested = given(labels, "the table"), None if test is None else given(test, "the test table")
    policy, spec = load_policy(config), load_spec(dataset)
    check_background(background, images)
    if output is not None:
        inputs = (file_of(source), file_of(tested), images, background, config, *own_files(policy))
        check_folder(Path(output), MAKER, overwrite, inputs=inputs)
    data = read_table_bytes(source)
    try:
        table = LabelTable.parse(source, data, spec, images=images, test=tested)
        note_form(source, table.records)
        rows = int(table.alive.sum())
        table = with_background(source, table, background)
        audited = auditing.run(table, policy)
        findings, not_run = audited.findings, audited.not_run
        # For pictures: boxes as they were, under the names that a repair gives to images.
        table = table.rewritten(np.arange(len(table.alive)), {"image": audited.table.text["image"]})
    except SchemaError as error:
        # Findings hold no path of this machine.
        sentence = as_typed(error.sentence).replace(str(source), source.name)
        table, rows, (findings, not_run) = None, 0, auditing.schema_finding(sentence, policy)
    counts = auditing.counts(findings)
    summary = {
        "cytoyolo": __version__,
        "versions": {name: version(name) for name in _LIBRARIES},
        "labels": {"name": source.name, "sha256": sha256(data), "rows": rows, **_without_cells(table)},
        "images": None if table is None or images is None else _images(table),
        "test": None if tested is None else {"name": tested.name, "sha256": fingerprint(tested)},
        **background_facts(background),
        "severities": {name: int((findings["severity"] == name).sum()) for name in SEVERITIES},
        "rules": counts.to_dict("records"),
        "not_run": not_run,
        "settings": {name: _settings(rule) for name, rule in policy.items()},
        **({"modules": modules} if (modules := own_modules(policy)) else {}),
    }
    if output is not None:
        with new_folder(Path(output), MAKER, overwrite) as folder:
            columns = {"image": spec.columns["image"]}
            write_table(folder / FINDINGS, findings.rename(columns=columns))
            write_text(folder / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False))
            sheet = draw_sheet(findings, table, policy) if table is not None and images is not None else None
            if sheet is not None:
                (folder / SHEET).write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
            if report:
                write_audit_page(folder, findings, counts, summary, policy, table)
    return Audit(findings, counts, not_run, summary)


def _without_cells(table: LabelTable | None) -> dict[str, int]:
    """How many images have no cells by the table, if any."""
    empty = [] if table is None else table.without_cells
    return {"without_cells": len(empty)} if empty else {}


def _images(table: LabelTable) -> dict[str, object]:
    """How many images were read, and the fingerprint of their names and bytes."""
    read = {name: found.digest for name, found in table.facts.items() if not found.problem}
    return {"read": len(read), "sha256": images_fingerprint(read.items())}


def _settings(rule: Rule) -> dict[str, object]:
    return {"severity": rule.severity, "action": rule.action, **rule.thresholds}


def rules(config: str | Path | None = None) -> list[dict[str, str]]:
    """Return all rules with the settings of `config`: name, severity, action, what they need, thresholds and text."""
    return [
        {
            "rule": rule.name,
            "severity": rule.severity,
            "action": rule.action,
            "needs": rule.needs,
            "thresholds": ", ".join(f"{key} {value:g}" for key, value in rule.thresholds.items()),
            "finds": rule.text,
        }
        for rule in load_policy(config).values()
    ]
