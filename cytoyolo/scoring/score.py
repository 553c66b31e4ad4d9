"""The CytologIA challenge's score: 0.2 x mean (GIoU + 1) / 2 + 0.8 x macro F1, over the rows of the truth.

For every image of the truth, the submission rows of that image whose id is one of the truth's for it take part, each id
once (the first row). The match of a truth row is the row with the highest GIoU, the first on a tie; one row may match
several truth rows. In an image without such rows each truth row gets GIoU -1 and the class `None`.

Boxes of the submission may be inverted, empty, or outside the image: they are scored by the same formula, as the
challenge's code is taken to do, since nothing in its definition treats them apart (see `boxes.giou`). The definition
counts a missing GIoU as 0. Which row is the match where one of several has no GIoU it does not say, so a box that is
not four finite numbers is no input here, and neither is a row without a class, which no F1 can be worked out of.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.boxes import Boxes, giou
from cytoyolo.tables.table import XYXY

GIOU_WEIGHT = 0.2
F1_WEIGHT = 0.8
# The predicted class and the GIoU of a truth row whose image has no usable submission row.
NO_CLASS = "None"
NO_GIOU = -1.0

# Pairs of boxes compared at once: some 150 MB at the peak, however many rows one image has.
PAIRS_PER_BLOCK = 500_000
# Whole numbers up to here are exact in a float64; ids from there on are compared as text.
MAX_EXACT = 2**53

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Score:
    """The score of a submission and what it is made of.

    score, giou and macro_f1 are 0 to 1: the score and its two parts before their weights (giou is the mean of
    (GIoU + 1) / 2 over truth rows); interval is the bootstrap's 95 % interval of the score. `classes` has a row for
    each label that occurs: class, precision, recall, f1, giou (as above, NaN without truth rows) and support (truth
    rows). `matches` has a row for each truth row: id, image, true, predicted and GIoU (-1 to 1). images counts those
    of the truth, unanswered those of them without a usable row, ignored the submission rows that took no part.
    """

    score: float
    giou: float
    macro_f1: float
    interval: tuple[float, float]
    classes: pd.DataFrame
    matches: pd.DataFrame
    images: int
    unanswered: int
    ignored: int

    def to_dict(self) -> dict[str, Any]:
        """The score, its parts, the interval and the classes by code, as plain numbers for JSON (None for NaN)."""
        rows = self.classes.astype(object).where(self.classes.notna(), None).to_dict("records")
        return {
            "score": self.score,
            "giou": self.giou,
            "macro_f1": self.macro_f1,
            "interval": list(self.interval),
            "classes": {row["class"]: {str(key): row[key] for key in row if key != "class"} for row in rows},
        }

    def confusion(self) -> pd.DataFrame:
        """Counts of truth rows: a row for each class of the truth, a column for each label that occurs."""
        labels = self.classes["class"]
        truth = labels[self.classes["support"] > 0]
        counts = pd.crosstab(self.matches["true"], self.matches["predicted"])
        return counts.reindex(truth.rename("true"), columns=labels.rename("predicted"), fill_value=0)


def evaluate(truth: pd.DataFrame, submission: pd.DataFrame, *, seed: int = 0, replicates: int = 1000) -> Score:
    """Score a submission as the challenge does.

    Both tables have the columns id, image, x1, y1, x2, y2 (finite numbers; of the truth x1 <= x2 and y1 <= y2) and
    class (text); the truth has at least one row. The interval comes from `replicates` bootstrap samples of images,
    seeded.
    """
    image, names = pd.factorize(truth["image"])
    kept, kept_image = _usable_rows(truth, submission, image, pd.Index(names))
    overlap, match = _best_matches(_xyxy(truth), image, _xyxy(submission)[kept], kept_image, len(names))

    # A last entry stands for "no row", which match -1 picks.
    options = np.append(submission["class"].to_numpy(object)[kept], NO_CLASS)
    code, labels = _label_codes(truth["class"].to_numpy(object), options)
    true, predicted = code[: len(truth)], code[len(truth) :][match]
    quality = (overlap + 1) / 2
    giou_part, macro_f1 = float(quality.mean()), _macro_f1(*_counts(true, predicted, None, len(labels)))
    matches = pd.DataFrame(
        {
            "id": truth["id"].to_numpy(),
            "image": truth["image"].to_numpy(),
            "true": labels[true],
            "predicted": labels[predicted],
            "GIoU": overlap,
        }
    )
    return Score(
        score=_combine(giou_part, macro_f1),
        giou=giou_part,
        macro_f1=macro_f1,
        interval=_interval(image, quality, true, predicted, seed, replicates),
        classes=_class_table(labels, true, predicted, quality),
        matches=matches,
        images=len(names),
        unanswered=len(names) - len(np.unique(kept_image)),
        ignored=len(submission) - len(kept),
    )


def comparable_ids(first: pd.Series, second: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Two columns of ids in a form in which equal ids are equal.

    As numbers if all of both are finite numbers below 2**53 (so 12 equals 12.0), else as text.
    """
    columns = [pd.to_numeric(column, errors="coerce").astype(np.float64) for column in (first, second)]
    if all((column.abs() < MAX_EXACT).all() for column in columns):
        return columns[0], columns[1]
    return first.astype(str), second.astype(str)


def _usable_rows(truth: pd.DataFrame, submission: pd.DataFrame, image: Ints, names: pd.Index) -> tuple[Ints, Ints]:
    """Submission rows that take part, sorted by image and then by row, and their images' numbers.

    The challenge also drops rows that repeat a box and its class. That changes nothing: such a row ties with the
    earlier one, which wins, so it is left out here.
    """
    truth_id, submission_id = comparable_ids(truth["id"], submission["id"])
    code, ids = pd.factorize(truth_id)
    known = pd.Index(ids).get_indexer(pd.Index(submission_id)).astype(np.int64)
    where = names.get_indexer(pd.Index(submission["image"])).astype(np.int64)
    rows = np.flatnonzero((known >= 0) & (where >= 0))
    key = where[rows] * len(ids) + known[rows]
    rows = rows[np.isin(key, image * len(ids) + code) & ~pd.Series(key).duplicated().to_numpy()]
    rows = rows[np.argsort(where[rows], kind="stable")]
    return rows, where[rows]


def _best_matches(truth: Boxes, image: Ints, kept: Boxes, kept_image: Ints, images: int) -> tuple[Floats, Ints]:
    """The highest GIoU of each truth box (n, 4) among the kept boxes (m, 4) of its image, and which box has it.

    The first one on a tie. kept_image is sorted. Without a box in the image: GIoU -1 and box -1.
    """
    choices = np.bincount(kept_image, minlength=images)
    start = np.cumsum(choices) - choices
    best = np.full(len(truth), NO_GIOU)
    match = np.full(len(truth), -1, dtype=np.int64)
    rows = np.flatnonzero(choices[image] > 0)
    pairs = np.cumsum(choices[image[rows]])
    done = 0
    while done < len(rows):
        before = pairs[done - 1] if done else 0
        end = max(int(np.searchsorted(pairs, before + PAIRS_PER_BLOCK, side="right")), done + 1)
        block = rows[done:end]
        best[block], match[block] = _block_matches(truth[block], start[image[block]], choices[image[block]], kept)
        done = end
    return best, match


def _block_matches(truth: Boxes, start: Ints, choices: Ints, kept: Boxes) -> tuple[Floats, Ints]:
    """`_best_matches` for truth boxes whose choices are kept[start : start + choices], at least one each."""
    first = np.cumsum(choices) - choices
    owner = np.repeat(np.arange(len(truth)), choices)
    candidate = np.arange(len(owner)) + np.repeat(start - first, choices)
    overlap = giou(truth[owner], kept[candidate])
    best = np.maximum.reduceat(overlap, first)
    winners = np.flatnonzero(overlap == best[owner])
    is_first = np.diff(owner[winners], prepend=-1) > 0
    return best, candidate[winners[is_first]]


def _xyxy(table: pd.DataFrame) -> Boxes:
    return table[XYXY].to_numpy(np.float64)


def _label_codes(true: NDArray[np.object_], options: NDArray[np.object_]) -> tuple[Ints, NDArray[np.object_]]:
    """Codes of the true classes and then of the options, and the labels in sorted order, `None` last."""
    code, labels = pd.factorize(np.concatenate([true, options]))
    order = np.array(sorted(range(len(labels)), key=lambda index: (labels[index] == NO_CLASS, labels[index])))
    return np.argsort(order)[code], labels[order]


def _counts(true: Ints, predicted: Ints, weight: Floats | None, labels: int) -> tuple[Floats, Floats]:
    """For each label the rows that are right, and its uses in either column (a right row is two uses)."""
    right = true == predicted
    hits = np.bincount(true[right], None if weight is None else weight[right], minlength=labels)
    uses = np.bincount(true, weight, minlength=labels) + np.bincount(predicted, weight, minlength=labels)
    return hits.astype(np.float64), uses.astype(np.float64)


def _macro_f1(hits: Floats, uses: Floats) -> float:
    """Mean F1 = 2 TP / (truth rows + predicted rows) over the labels that occur."""
    occurs = uses > 0
    return float(np.mean(2 * hits[occurs] / uses[occurs]))


def _combine(giou_part: float, macro_f1: float) -> float:
    return GIOU_WEIGHT * giou_part + F1_WEIGHT * macro_f1


def _class_table(labels: NDArray[np.object_], true: Ints, predicted: Ints, quality: Floats) -> pd.DataFrame:
    """Precision, recall, F1, GIoU and support of the labels that occur; 0 where there is nothing to divide by."""
    hits, uses = _counts(true, predicted, None, len(labels))
    support = np.bincount(true, minlength=len(labels))
    answers = np.bincount(predicted, minlength=len(labels))
    total = np.bincount(true, quality, minlength=len(labels))
    table = pd.DataFrame(
        {
            "class": labels,
            "precision": hits / np.maximum(answers, 1),
            "recall": hits / np.maximum(support, 1),
            "f1": 2 * hits / np.maximum(uses, 1),
            "giou": np.where(support > 0, total / np.maximum(support, 1), np.nan),
            "support": support,
        }
    )
    return table[uses > 0].reset_index(drop=True)


def _interval(
    image: Ints, quality: Floats, true: Ints, predicted: Ints, seed: int, replicates: int
) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of the score of `replicates` samples of images, drawn with replacement.

    image numbers each row's image from 0. Rows are first summed by their pair of classes, so that a replicate costs
    little and memory stays that of the rows, however many labels there are.
    """
    images, labels = int(image.max()) + 1, int(max(true.max(), predicted.max())) + 1
    pairs, pair = np.unique(true * labels + predicted, return_inverse=True)
    pair_true, pair_predicted = np.divmod(pairs, labels)
    quality_sum = np.bincount(image, quality)
    random = np.random.default_rng(seed)
    scores = np.empty(replicates)
    for replicate in range(replicates):
        times = np.bincount(random.integers(images, size=images), minlength=images).astype(np.float64)
        weight = np.bincount(pair, times[image], minlength=len(pairs)).astype(np.float64)
        macro_f1 = _macro_f1(*_counts(pair_true, pair_predicted, weight, labels))
        # einsum, because the threads of a BLAS dot product can cost a hundred times its work on a busy machine.
        scores[replicate] = _combine(float(np.einsum("i,i", times, quality_sum) / weight.sum()), macro_f1)
    low, high = np.percentile(scores, [2.5, 97.5])
    return float(low), float(high)
