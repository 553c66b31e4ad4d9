"""`curate`: a label table corrected by what models found in images they had not seen, and a log that takes it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cytoyolo import defaults
from cytoyolo.annotations.changes import COLUMNS as LOG_COLUMNS
from cytoyolo.annotations.changes import change_log
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.curate_inputs import read_inputs
from cytoyolo.commands.curate_page import curation_html
from cytoyolo.curation import findings as curating
from cytoyolo.curation.corrections import check_choices, corrections, tables
from cytoyolo.curation.findings import SPURIOUS, Curated, Labels
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, listed, option
from cytoyolo.files import write_together
from cytoyolo.images.info import check_image_folder
from cytoyolo.report.before_after import draw_changes
from cytoyolo.spec import DataSpec
from cytoyolo.tables.table import check_writable
from cytoyolo.text import counted
from cytoyolo.yolo.ignore_regions import regions_by_image

# What the user can do, too, if a curation would lose too many rows.
ANOTHER_LIMIT = f", or another {option('max_loss')}"
# Suffixes of the files beside the curated table.
CHANGES, FINDINGS, SUGGESTIONS, SCORES, SHEET, REPORT = (
    ".changes.csv", ".findings.csv", ".suggestions.csv", ".scores.csv", ".findings.png", ".report.html",
)  # fmt: skip
EVIDENCE = ("fold", "confidence", "iou", "weights")
_FINDING_COLUMNS = ["line", "image", "rule", "value", "action", "detail", "fold", "confidence", "iou"]
_SUGGESTION_COLUMNS = [
    "line",
    "image",
    "class",
    "suggested",
    "margin",
    "doubt",
    "score",
    "fold",
    "confidence",
    "iou",
]
_SCORE_COLUMNS = [
    "rank",
    "line",
    "image",
    "class",
    "score",
    "predicted",
    "confidence",
    "iou",
    "margin",
    "doubt",
    "findings",
]


@dataclass(frozen=True, eq=False)
class CuratedTable:
    """The result of `curate`.

    Attributes
    ----------
    table : Path
        The curated table.
    log : Path
        The change log, which `undo` reads.
    findings : DataFrame
        line (in the table, None for an overlooked cell), image, rule, value, action, detail, fold, confidence and iou.
    suggestions : DataFrame
        Labels whose class is probably wrong, the highest `doubt` first.
    scores : DataFrame
        All labels, the most doubtful label first.
    changes : DataFrame
        The content of the change log.
    """

    table: Path
    log: Path
    findings: pd.DataFrame
    suggestions: pd.DataFrame
    scores: pd.DataFrame
    changes: pd.DataFrame


def curate(
    labels: str | Path,
    *,
    oof: str | Path | Sequence[str | Path],
    output: str | Path,
    spurious: defaults.SpuriousChoice = defaults.SPURIOUS,
    boxes: defaults.BoxChoice = defaults.BOXES,
    images: str | Path | None = None,
    max_loss: float = defaults.CURATION_LOSS,
    force: bool = False,
    overwrite: bool = False,
    report: bool = True,
) -> CuratedTable:
    """Correct a label table with the predictions of models that have not seen its images. Each change is logged.

    A cell without a label becomes an ignore region. Classes are never changed: labels whose class is probably wrong are
    listed.

    Parameters
    ----------
    labels : str or Path
        The label table that was given to `crossval`.
    oof : str, Path or sequence
        The out-of-fold predictions that `crossval` wrote. With several cross-validations, the boxes of the first are
        used and the class probabilities of all, which usually ranks wrong classes better
        (docs/measurements/wrong-classes.md).
    output : str or Path
        The table to write. The log, the findings, the suggestions, the scores and a page (.report.html) are written
        beside it.
    spurious : str
        "mask": labels without a cell become ignore regions. "keep": they stay.
    boxes : str
        Which label boxes are replaced by the predicted box. "all": the boxes of all matched and displaced labels.
        "loose": the boxes of loose and displaced labels. "none": no box.
    images : str or Path, optional
        The image folder, to draw the findings.
    max_loss : float
        The largest share of its rows that a class may lose, 0 to 1.
    force : bool
        Accept larger losses, and findings for every label.
    overwrite : bool
        Replace an existing output of `curate`.
    report : bool
        Whether to write the page.

    Returns
    -------
    CuratedTable

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For predictions of another table. Without `force`, also if a class would lose too many rows or every label has
        a finding.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.curate("labels.csv", oof="cv/oof.csv", output="curated.csv")  # doctest: +SKIP
    >>> made.scores.head()  # doctest: +SKIP
    """
    labels, output, images = Path(labels), Path(output), None if images is None else Path(images)
    check_choices(spurious, boxes)
    if not 0 <= max_loss <= 1:
        raise UsageError("max_loss", max_loss, "give a share from 0 to 1")
    if images is not None:
        check_image_folder(images)
    inputs = read_inputs(labels, oof)
    table, predictions, spec = inputs.table, inputs.predictions, inputs.table.spec
    _check_outputs((labels, *inputs.sources), output, inputs.given.records.header, spec, overwrite)
    rows = np.flatnonzero(table.labels)
    given = Labels(rows, table.text["image"][rows], table.xyxy[rows], table.class_id[rows])
    regions = {name: ignored for name, (ignored, _) in regions_by_image(table).items()}
    made = curating.curate(given, predictions, regions=regions)
    if not force:
        _refuse_losses(labels, made, given, spec, spurious, max_loss)
    edits, evidence = corrections(made, given, predictions, table, spurious, boxes)
    # The edits are made in the table as it is in the file, and not in the table as a training takes it.
    curated, log = change_log(reduce(LabelTable.edited, edits, inputs.given).lines)
    evidence["weights"] = [inputs.weights[fold] for fold in evidence["fold"]]
    first = pd.DataFrame([dict.fromkeys(EVIDENCE, "")])  # beside the log's own fingerprints
    log = pd.concat([log, pd.concat([first, _as_text(evidence)], ignore_index=True)], axis=1)
    findings, suggestions, scores = tables(made, given, table, predictions, spurious, boxes)
    named = {FINDINGS: findings, SUGGESTIONS: suggestions, SCORES: scores}
    texts = {CHANGES: log} | {suffix: _as_text(one).rename(columns=dict(spec.columns)) for suffix, one in named.items()}
    contents = {output.with_suffix(suffix): _csv(one) for suffix, one in texts.items()} | {output: curated}
    sheet = None if images is None else draw_changes(findings, made.findings, table, images, inputs.white)
    if sheet is not None:
        contents[output.with_suffix(SHEET)] = cv2.imencode(".png", sheet)[1].tobytes()
    if report:
        about = f"{labels.name}, by {counted(len(inputs.sources), 'cross-validation')}"
        found, masked = (findings, suggestions, scores), spurious == "mask"
        html = curation_html(
            about, found, made.findings, given, table, log.iloc[1:], masked, images, inputs.white
        )  # fmt: skip
        contents[output.with_suffix(REPORT)] = html.encode()
    write_together(contents)
    for suffix in (SHEET, REPORT):
        if output.with_suffix(suffix) not in contents:
            output.with_suffix(suffix).unlink(missing_ok=True)  # it belonged to the output that was just replaced
    return CuratedTable(output, output.with_suffix(CHANGES), findings, suggestions, scores, log.iloc[1:])


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()


def _check_outputs(inputs: tuple[Path, ...], output: Path, columns: list[str], spec: DataSpec, overwrite: bool) -> None:
    """Refuse now what writing would refuse later, and any output that is an input."""
    if output.is_dir():
        raise UsageError(f"{output} is a folder; give the name of a CSV file.")
    known = ((FINDINGS, _FINDING_COLUMNS), (SUGGESTIONS, _SUGGESTION_COLUMNS), (SCORES, _SCORE_COLUMNS))
    headers = {output.with_suffix(suffix): spec.column_list(*roles) for suffix, roles in known}
    headers |= {output: columns, output.with_suffix(CHANGES): [*LOG_COLUMNS, *EVIDENCE]}
    for path, header in headers.items():
        if path.resolve() in (one.resolve() for one in inputs):
            raise UsageError(f"{path} is an input too; give another name for the curated table.")
        check_writable(path, header, overwrite)
    for path in (output.with_suffix(suffix) for suffix in (SHEET, REPORT)):
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists; give another name or {OVERWRITE}.")


def _refuse_losses(labels: Path, made: Curated, given: Labels, spec: DataSpec, spurious: str, max_loss: float) -> None:
    """Raise CytoyoloError if there are too many findings for them to be right."""
    flagged = made.findings.loc[made.findings["row"] >= 0, "row"].nunique()
    if flagged and flagged == len(given.row):
        raise CytoyoloError(
            f"all labels of {labels} are flagged ({flagged:,}), so the models and the table don't fit; "
            f"look at the score of crossval and at the boxes, or give {option('force', True)}."
        )
    if spurious != "mask":
        return
    lost = made.findings.loc[made.findings["rule"] == SPURIOUS, "row"]
    of_class = pd.Series(given.class_id, index=given.row)
    total, gone = of_class.value_counts(), of_class[lost].value_counts()
    share = gone / total[gone.index]
    much = [f"{spec.codes[one]} {gone[one]:,} of {total[one]:,}" for one in sorted(share.index[share > max_loss])]
    if much:
        raise CytoyoloError(
            f"{labels} would lose more than {max_loss:.1%} of the rows of some classes ({listed(much)}); look at them "
            f"by `cytoyolo curate` with {option('spurious', 'keep')}, which loses none, or give "
            f"{option('force', True)}{ANOTHER_LIMIT}."
        )


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Write the fractions of a table with four decimals, and missing values as empty texts."""
    made = table.copy()
    for column in made.columns:
        if made[column].dtype.kind == "f":
            made[column] = ["" if value != value else f"{value:.4f}" for value in made[column]]
    return made
