"""The page of a reproduction: its steps with times and pages, the curation before and after, score, final model."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import pandas as pd

from cytoyolo.report.pages.curation import RULES
from cytoyolo.report.pages.training import class_table
from cytoyolo.report.parts import (
    Cell,
    Link,
    Page,
    Part,
    Prose,
    Section,
    Table,
    judged,
    number_text,
    share_cell,
    share_text,
)
from cytoyolo.scoring.class_summary import ClassSummary, class_remarks
from cytoyolo.text import counted

# What a curation counts by rule beside its findings.
_RULES = RULES | {"box": "The predicted box replaces the box, although it is not loose."}


class StepDone(NamedTuple):
    """A step: its name, how many seconds it took, what it made, and the path of its page ("" for none)."""

    name: str
    seconds: float
    makes: str
    page: str


class Reproduced(NamedTuple):
    """What a reproduction found out.

    score, giou, macro_f1 are the out-of-fold score and its parts, interval is the score's 95 % interval. right is the
    share of the labelled cells to which the models give the class of their label, least_right the smallest share with
    which models are good enough, and confidence the median confidence of the most confident cell of an image.
    """

    score: float
    interval: tuple[float, float]
    giou: float
    macro_f1: float
    right: float
    least_right: float
    confidence: float


def reproduction_page(
    about: str,
    steps: Sequence[StepDone],
    found: Reproduced,
    classes: ClassSummary | None,
    changes: Mapping[str, pd.Series],
    labels: pd.DataFrame,
    chosen: str,
    metrics: Mapping[str, float],
    rows: pd.Series,
) -> Page:
    """Arrange the page of a reproduction.

    Parameters
    ----------
    about : str
        The data set and the recipe.
    steps : sequence of StepDone
        The steps, in their order.
    found : Reproduced
        The out-of-fold score, and how good the models are.
    classes : ClassSummary or None
        How well each class is found by the models of the cross-validation, if that is known.
    changes : mapping
        By curation ("mask" and "keep"), the number of changed rows by rule.
    labels : DataFrame
        A row for each class: class, before and after (labels before and after the curation that the final model is
        trained on).
    chosen : str
        That curation.
    metrics : mapping
        The figures of the final model on its validation part, by the engine's names.
    rows : Series
        The number of rows of the submission by class.
    """
    remarks = _remarks(found, classes)
    low, high = found.interval
    verdict = (
        f"Out-of-fold score {found.score:.4f} ({low:.4f} to {high:.4f}). The curation changed "
        f"{counted(int(changes[chosen].sum()), 'row')}. The submission has {counted(int(rows.sum()), 'row')}."
    )
    seconds = sum(step.seconds for step in steps)
    figures = [
        ("score", f"{found.score:.4f}"), ("GIoU part", f"{found.giou:.4f}"), ("macro F1", f"{found.macro_f1:.4f}"),
        ("labels of the right class", f"{found.right * 100:.1f} %"),
        ("median best confidence", number_text(found.confidence)), ("time", _duration(seconds)),
    ]  # fmt: skip
    oof: list[Part] = [Prose(_MEANING), *map(Prose, remarks), *([] if classes is None else [class_table(classes)])]
    sections = [
        Section("Steps", [_steps(steps)]),
        Section("Out-of-fold predictions", oof),
        Section("Before and after the curation", [_changes(changes, chosen), _labels(labels)]),
        Section("Final model", [_metrics(metrics)]),
        Section("Submission", [_rows(rows)]),
    ]
    return Page("Reproduction", about, *judged(verdict, remarks), figures, sections)


_MEANING = (
    "Each image was predicted by a model that was not trained on it. These predictions give the score, and the "
    "curation corrects the labels by them. The final model was trained afterwards, on the corrected labels."
)


def _remarks(found: Reproduced, classes: ClassSummary | None) -> list[str]:
    said = []
    if found.right < found.least_right:
        said.append(
            f"The models give only {share_text(found.right)} of the labelled cells the class of their label. "
            "A curation by such models may spoil the labels."
        )
    return said + ([] if classes is None else class_remarks(classes.classes))


def _steps(steps: Sequence[StepDone]) -> Table:
    rows: list[list[Cell]] = [
        [
            Link(step.name, path=step.page) if step.page else step.name, step.makes, _duration(step.seconds),
        ]
        for step in steps
    ]  # fmt: skip
    note = "A step with a link has a page of its own. The time of a step that was interrupted is of all its parts."
    return Table("Steps, in their order", ["step", "makes", "time"], rows, note)


def _changes(changes: Mapping[str, pd.Series], chosen: str) -> Table:
    rules = list(dict.fromkeys(str(rule) for counts in changes.values() for rule in counts.index))
    rows: list[list[Cell]] = [
        [rule, _RULES.get(rule, rule), *(int(counts.get(rule, 0)) for counts in changes.values())] for rule in rules
    ]
    titles = [f"rows in {choice}{' (used)' if choice == chosen else ''}" for choice in changes]
    note = "In mask, labels without a cell become ignore regions. In keep, they stay as they are."
    return Table("Rows that the curations changed, by rule", ["rule", "what was found", *titles], rows, note)


def _labels(labels: pd.DataFrame) -> Table:
    rows: list[list[Cell]] = [
        [str(row["class"]), int(row["before"]), int(row["after"]), int(row["after"] - row["before"])]
        for row in labels.to_dict("records")
    ]
    note = "A class is never changed by a curation. Labels that are gone became ignore regions."
    return Table("Labels by class, before and after", ["class", "before", "after", "difference"], rows, note)


def _metrics(metrics: Mapping[str, float]) -> Table:
    names = {
        "metrics/mAP50(B)": "mAP50", "metrics/mAP50-95(B)": "mAP50-95", "metrics/precision(B)": "precision",
        "metrics/recall(B)": "recall",
    }  # fmt: skip
    rows: list[list[Cell]] = [[words, share_cell(float(metrics[name]))] for name, words in names.items()
                              if name in metrics]  # fmt: skip
    note = "The validation part is small, and its labels are the curated labels; the score above is over all images."
    return Table(f"Best epoch ({metrics['epoch']:.0f}) on the validation part", ["figure", "value"], rows, note)


def _rows(rows: pd.Series) -> Table:
    return Table(
        "Rows of the submission by class", ["class", "rows"], [[str(code), int(count)] for code, count in rows.items()]
    )


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
