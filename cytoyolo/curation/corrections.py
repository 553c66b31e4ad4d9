"""The changes that a curation makes in a label table: findings become edits, each with its evidence."""

from collections.abc import Iterator
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import defaults
from cytoyolo.annotations.lines import Edit
from cytoyolo.annotations.table import LabelTable
from cytoyolo.boxes import to_pixels
from cytoyolo.curation.findings import CLASS, DISPLACED, LOOSE, OVERLOOKED, SPURIOUS, Curated, Labels, describe
from cytoyolo.curation.matching import pick
from cytoyolo.detector.table import DetectionTable
from cytoyolo.errors import check_choice
from cytoyolo.spec import MASK, DataSpec
from cytoyolo.tables.table import XYXY

SPURIOUS_CHOICES: tuple[defaults.SpuriousChoice, ...] = get_args(defaults.SpuriousChoice)
# The rule of a label whose box is replaced because `boxes` is "all", although it is not loose.
REPLACED = "box"


def check_choices(spurious: str, boxes: str) -> None:
    """Raise UsageError for a choice that there is not."""
    check_choice("spurious", spurious, defaults.SpuriousChoice)
    check_choice("boxes", boxes, defaults.BoxChoice)


def corrections(
    made: Curated, given: Labels, predictions: DetectionTable, table: LabelTable, spurious: str, boxes: str
) -> tuple[list[Edit], pd.DataFrame]:
    """Return the changes, and the evidence of each change in the same order: fold, confidence, iou.

    boxes: which label boxes are replaced by the predicted box: "all", "loose" (loose and displaced), or "none".
    spurious: "mask" makes spurious labels ignore regions, "keep" leaves them. Overlooked cells become new rows at the
    end, which are ignore regions.
    """
    findings, edits, evidence = made.findings, list[Edit](), list[pd.DataFrame]()
    spec, count = table.spec, len(table.alive)

    def add(rule: str, found: pd.DataFrame, rows: np.ndarray, codes: list[str] | None, moved: bool) -> None:
        if not len(found):
            return
        after = {}
        if moved:
            xyxy = _whole_boxes(found, predictions).T.tolist()
            after = {role: [str(value) for value in side] for role, side in zip(XYXY, xyxy, strict=True)}
        if codes is not None:
            after["class"] = codes
        if (rows >= count).all():
            after["image"] = found["image"].tolist()
        edits.append(Edit(rule, rows, after, list(reasons(found, spec))))
        evidence.append(found[["fold", "confidence", "iou"]])

    if boxes != "none":
        for rule in (LOOSE, DISPLACED):
            found = findings[findings["rule"] == rule]
            add(rule, found, found["row"].to_numpy(), None, moved=True)
    if boxes == "all":
        found = _other_matches(made, given, predictions, table)
        add(REPLACED, found, found["row"].to_numpy(), None, moved=True)
    if spurious == "mask":
        found = findings[findings["rule"] == SPURIOUS]
        add(SPURIOUS, found, found["row"].to_numpy(), [MASK] * len(found), moved=False)
    found = findings[findings["rule"] == OVERLOOKED]
    new = np.arange(count, count + len(found))
    add(OVERLOOKED, found, new, [MASK] * len(found), moved=True)
    empty = pd.DataFrame(columns=["fold", "confidence", "iou"])
    return edits, pd.concat(evidence, ignore_index=True) if evidence else empty


def _whole_boxes(findings: pd.DataFrame, predictions: DetectionTable) -> NDArray[np.int64]:
    """The boxes (k, 4) of findings in whole pixels inside their images."""
    size = np.array([predictions.size[name] for name in findings["image"]], dtype=np.int64).reshape(-1, 2)
    return to_pixels(findings[XYXY].to_numpy(np.float64), size)


def _other_matches(made: Curated, given: Labels, predictions: DetectionTable, table: LabelTable) -> pd.DataFrame:
    """Find matched labels without a finding about their box, whose prediction has other whole pixels. Returned like
    findings."""
    loose = made.findings.loc[made.findings["rule"] == LOOSE, "row"]
    which = np.flatnonzero((made.match >= 0) & ~np.isin(given.row, loose))
    found = describe(REPLACED, which, made.match[which], given, predictions)
    differs = (_whole_boxes(found, predictions) != table.xyxy[given.row[which]]).any(axis=1)
    return pd.DataFrame(found[differs])


def reasons(found: pd.DataFrame, spec: DataSpec) -> Iterator[str]:
    """Each finding in words."""
    for one in found.to_dict("records"):
        code = spec.codes[int(one["predicted"])] if one["predicted"] >= 0 else ""
        sure = f"{code} at confidence {one['confidence']:.2f}"
        texts = {
            LOOSE: f"IoU {one['iou']:.2f} with the prediction, {sure}",
            REPLACED: f"IoU {one['iou']:.2f} with the prediction, {sure}",
            DISPLACED: f"nothing is found here, and a cell without a label elsewhere: {sure}",
            OVERLOOKED: f"a cell without a label: {sure}",
            SPURIOUS: "nothing is found here or near",
            CLASS: f"labelled {spec.codes[int(one['labelled'])]}, looks like {code}, {one['margin']:.2f} more probable",
        }
        yield texts[str(one["rule"])]


def tables(
    made: Curated, given: Labels, table: LabelTable, predictions: DetectionTable, spurious: str, boxes: str
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The findings, the suggestions and the scores, for people."""
    found, spec = made.findings, table.spec
    replaced, masked = "review" if boxes == "none" else "replace", "mask" if spurious == "mask" else "review"
    actions = {LOOSE: replaced, DISPLACED: replaced, OVERLOOKED: "mask", SPURIOUS: masked, CLASS: "review"}
    values = [
        table.box(row) if row >= 0 else ",".join(map(str, xyxy))
        for row, xyxy in zip(found["row"], _whole_boxes(found, predictions).tolist(), strict=True)
    ]
    findings = pd.DataFrame(
        {
            "line": pd.Series([int(row) + 2 if row >= 0 else None for row in found["row"]], dtype=object),
            "image": found["image"].tolist(),
            "rule": found["rule"].tolist(),
            "value": values,
            "action": [actions[rule] for rule in found["rule"]],
            "detail": list(reasons(found, spec)),
            **{name: found[name].tolist() for name in ("fold", "confidence", "iou")},
        }
    )
    codes = np.array([*spec.codes, ""], dtype=object)
    score, doubt = (pd.Series(values, index=given.row) for values in (made.score, made.doubt))
    wrong = found[found["rule"] == CLASS]
    suggestions = pd.DataFrame(
        {
            "line": wrong["row"] + 2,
            "image": wrong["image"],
            "class": table.text["class"][wrong["row"].to_numpy(np.int64)],
            "suggested": codes[wrong["predicted"].to_numpy(np.int64)],
            "margin": wrong["margin"],
            "doubt": doubt[wrong["row"]].to_numpy(),
            "score": score[wrong["row"]].to_numpy(),
            **{name: wrong[name] for name in ("fold", "confidence", "iou")},
        }
    )
    matched = made.match >= 0
    predicted = np.where(matched, pick(predictions.probabilities, made.match).argmax(axis=1), len(spec.codes))
    rules = found[found["row"] >= 0].groupby("row")["rule"].agg("; ".join)
    scores = pd.DataFrame(
        {
            "line": given.row + 2,
            "image": given.image,
            "class": codes[given.class_id],
            "score": made.score,
            "predicted": codes[predicted],
            "confidence": np.where(matched, pick(predictions.confidence, made.match), np.nan),
            "iou": np.where(matched, made.iou, np.nan),
            "margin": np.where(matched, made.margin, np.nan),
            "doubt": np.where(matched, made.doubt, np.nan),
            "findings": rules.reindex(given.row).fillna("").to_numpy(),
        }
    ).sort_values("score", kind="stable")
    scores.insert(0, "rank", range(1, len(scores) + 1))
    return findings, suggestions, scores
