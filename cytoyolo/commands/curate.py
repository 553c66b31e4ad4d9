"""`curate`: a label table corrected by what models found in images they had not seen, and a log that takes it back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cytoyolo.annotations import curate as curating
from cytoyolo.annotations.audit import load_policy
from cytoyolo.annotations.corrections import BOXES, VARIANTS, corrections, tables
from cytoyolo.annotations.curate import SPURIOUS, Curated, Labels
from cytoyolo.annotations.images import ImageFacts
from cytoyolo.annotations.oof import Predictions, read_oof
from cytoyolo.annotations.repair import COLUMNS as LOG_COLUMNS
from cytoyolo.annotations.repair import repair as carry_out
from cytoyolo.annotations.view import View
from cytoyolo.classes import DataSpec, parse_spec
from cytoyolo.commands.crossval import MANIFEST, OOF, read_manifest
from cytoyolo.commands.opening import open_labels, optional
from cytoyolo.commands.usable import usable
from cytoyolo.errors import CytoyoloError, UsageError, listed
from cytoyolo.files import atomic_file, read_bytes
from cytoyolo.report.before_after import draw_changes
from cytoyolo.tables import XYXY, check_writable, sha256, write_table

MAX_LOSS = 0.03
# Suffixes of what is written beside the curated table.
CHANGES, FINDINGS, SUGGESTIONS, SCORES, SHEET = (
    ".changes.csv", ".findings.csv", ".suggestions.csv", ".scores.csv", ".png",
)  # fmt: skip
EVIDENCE = ("fold", "confidence", "iou", "weights")
_FINDING_COLUMNS = ["line", "image", "rule", "value", "action", "detail", "fold", "confidence", "iou"]
_SUGGESTION_COLUMNS = [
    "line",
    "image",
    "class",
    "suggested",
    "likelihood",
    "margin",
    "score",
    "fold",
    "confidence",
    "iou",
]
_SCORE_COLUMNS = ["rank", "line", "image", "class", "score", "predicted", "confidence", "iou", "margin", "findings"]


@dataclass(frozen=True)
class CuratedTable:
    """What `curate` made: the table and what stands beside it, the findings, and how many rows were changed.

    findings: line (of the table, None for an overlooked cell), image, rule, value, action, detail, fold, confidence and
    iou. suggestions: labels whose class is likely wrong, the likeliest first. scores: all labels, the most suspect
    first.
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
    oof: str | Path,
    output: str | Path,
    variant: str = "iou",
    boxes: str = "loose",
    images: str | Path | None = None,
    max_loss: float = MAX_LOSS,
    force: bool = False,
    overwrite: bool = False,
) -> CuratedTable:
    """Correct a label table by the out-of-fold predictions that `crossval` made of it; each change is logged.

    boxes: "loose" and displaced boxes take the prediction's place, "all" matched ones do, or "none". variant "iou"
    turns spurious labels into masks, "keep" leaves them. Cells that no label names get a mask. Classes stay as they
    are; likely wrong ones are listed. With images, changes are drawn as well. Raises UsageError for a wrong call, and
    CytoyoloError for predictions of another table or, without force, when a class would lose more than a share
    `max_loss` of its rows or every label is flagged.
    """
    labels, output, images = Path(labels), Path(output), optional(images)
    _check_choices(variant, boxes, max_loss)
    source = Path(oof) / OOF if Path(oof).is_dir() else Path(oof)
    manifest = read_manifest(source.with_name(MANIFEST))
    spec, data = parse_spec(manifest["dataset"]["spec"]), read_bytes(labels)
    _check_outputs(labels, source, output, spec, images is not None, overwrite)
    if manifest["status"] != "finished":
        raise CytoyoloError(f"{source.parent} is not finished; run crossval again with --resume.")
    if sha256(data) != manifest["labels_sha256"]:
        raise CytoyoloError(
            f"{labels} is not the table that the folds of {source.parent} were made of (its fingerprint differs); give "
            "that one, or run crossval on this one."
        )
    opened = open_labels(labels, data, spec)
    predictions = read_oof(source, spec, manifest["folds"])
    _check_images(labels, source, opened.view, predictions)
    if not len(predictions.image):
        raise CytoyoloError(f"{source} holds no detection at all: its models have learned nothing; train them longer.")
    view = usable(labels, _with_sizes(opened.view, predictions), load_policy(), repair=False).view
    given = _labels(view)
    made = curating.curate(given, predictions)
    if not force:
        _refuse_losses(labels, made, given, spec, variant, max_loss)
    edits, evidence = corrections(made, given, predictions, view, spec, variant, boxes)
    table, log = carry_out(opened.records, edits, spec)
    weights = manifest["weights_sha256"]
    evidence["weights"] = [weights[fold] for fold in evidence["fold"]]
    first = pd.DataFrame([dict.fromkeys(EVIDENCE, "")])
    log = pd.concat([log, pd.concat([first, _as_text(evidence)], ignore_index=True)], axis=1)
    findings, suggestions, scores = tables(made, given, view, spec, predictions, variant, boxes)
    names = {"image": spec.columns["image"], "class": spec.columns["class"]}
    write_table(output.with_suffix(CHANGES), log, overwrite)
    for suffix, one in ((FINDINGS, findings), (SUGGESTIONS, suggestions), (SCORES, scores)):
        write_table(output.with_suffix(suffix), _as_text(one).rename(columns=names), overwrite)
    if images is not None:
        sheet = draw_changes(findings, made.findings, view, images)
        if sheet is not None:
            with atomic_file(output.with_suffix(SHEET)) as temporary:
                temporary.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
    with atomic_file(output) as temporary:
        temporary.write_bytes(table)
    return CuratedTable(output, output.with_suffix(CHANGES), findings, suggestions, scores, log.iloc[1:])


def _check_choices(variant: str, boxes: str, max_loss: float) -> None:
    for name, value, known in (("--variant", variant, VARIANTS), ("--boxes", boxes, BOXES)):
        if value not in known:
            raise UsageError(f"{name} is '{value}'; give one of {', '.join(known)}.")
    if not 0 <= max_loss <= 1:
        raise UsageError(f"--max-loss is {max_loss}; give a share from 0 to 1.")


def _check_outputs(labels: Path, source: Path, output: Path, spec: DataSpec, pictures: bool, overwrite: bool) -> None:
    """Refuse now what writing would refuse later, and any output that is an input."""
    image, code = spec.columns["image"], spec.columns["class"]
    headers = {
        output: spec.column_list("image", *XYXY, "class"),
        output.with_suffix(CHANGES): [*LOG_COLUMNS, *EVIDENCE],
        output.with_suffix(FINDINGS): [image if one == "image" else one for one in _FINDING_COLUMNS],
    }
    for suffix, columns in ((SUGGESTIONS, _SUGGESTION_COLUMNS), (SCORES, _SCORE_COLUMNS)):
        named = [{"image": image, "class": code}.get(one, one) for one in columns]
        headers[output.with_suffix(suffix)] = named
    for path, header in headers.items():
        if path.resolve() in (labels.resolve(), source.resolve()):
            raise UsageError(f"{path} is an input too; give another name for the curated table.")
        if path != output or not path.exists() or not overwrite:
            check_writable(path, header, overwrite)
    if output.exists() and set(output.open(encoding="utf-8", errors="replace").readline().strip().split(",")) != set(
        headers[output]
    ):
        raise UsageError(f"{output} is no label table; give another name.")
    sheet = output.with_suffix(SHEET)
    if pictures and sheet.exists() and not overwrite:
        raise UsageError(f"{sheet} exists; give another name or --overwrite.")


def _check_images(labels: Path, source: Path, view: View, predictions: Predictions) -> None:
    """Raise CytoyoloError where the images of the two tables are not the same."""
    if missing := [name for name in view.first_rows if name not in predictions.fold]:
        raise CytoyoloError(
            f"{source} has nothing of images of {labels} ({listed(missing)}); run crossval on this table."
        )
    if foreign := [name for name in predictions.fold if name not in view.first_rows]:
        raise CytoyoloError(
            f"{source} has images that {labels} has not ({listed(foreign)}); run crossval on this table."
        )


def _with_sizes(view: View, predictions: Predictions) -> View:
    """The view with the images' sizes from the predictions, so that no image has to be read."""

    def facts_of(names: Sequence[str]) -> dict[str, ImageFacts]:
        return {name: ImageFacts(Path(name), "", *predictions.size[name]) for name in names}

    return replace(view, listing=frozenset(predictions.size), facts_of=facts_of)


def _labels(view: View) -> Labels:
    rows = np.flatnonzero(view.labels)
    return Labels(rows, view.text["image"][rows], view.xyxy[rows], view.class_id[rows])


def _refuse_losses(labels: Path, made: Curated, given: Labels, spec: DataSpec, variant: str, max_loss: float) -> None:
    """Raise CytoyoloError where the findings are too many to be right."""
    flagged = made.findings.loc[made.findings["row"] >= 0, "row"].nunique()
    if flagged == len(given.row):
        raise CytoyoloError(
            f"every one of the {flagged:,} labels of {labels} is flagged, so the models and the table don't fit; "
            "look at the score of crossval and at the boxes, or give --force."
        )
    if variant != "iou":
        return
    lost = made.findings.loc[made.findings["rule"] == SPURIOUS, "row"]
    of_class = pd.Series(given.class_id, index=given.row)
    total, gone = of_class.value_counts(), of_class[lost].value_counts()
    share = gone / total[gone.index]
    much = [f"{spec.codes[one]} {gone[one]:,} of {total[one]:,}" for one in sorted(share.index[share > max_loss])]
    if much:
        raise CytoyoloError(
            f"{labels} would lose more than {max_loss:.1%} of the rows of some classes ({listed(much)}); look at them "
            "with --variant keep, which loses none, or give --force or another --max-loss."
        )


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table with fractions to four places and nothing for none."""
    made = table.copy()
    for column in made.columns:
        if made[column].dtype.kind == "f":
            made[column] = ["" if value != value else f"{value:.4f}" for value in made[column]]
    return made
