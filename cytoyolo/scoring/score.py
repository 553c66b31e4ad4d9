"""The CytologIA challenge's score: 0.2 x mean((GIoU + 1) / 2) + 0.8 x macro F1, over the rows of the truth.

A submission row takes part if the truth has a row with the same image and the same id. If an id is repeated, its first
row takes part. The match of a truth row is the submission row of its image with the highest GIoU; on a tie, the first.
One submission row may match several truth rows. If an image has no submission row that takes part, each of its truth
rows gets GIoU -1 and the class `None`.

Boxes of the submission may be inverted, empty, or outside the image. They are scored by the same formula, because the
challenge's definition makes no difference for them (see `boxes.giou`). Two kinds of rows can't be scored here: a box
that is not four finite numbers (the definition counts a missing GIoU as 0, but does not say which row is then the
match), and a row without a class (it has no F1).
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

# This number of pairs of boxes is compared at once. They need about 150 MB, however many rows one image has.
PAIRS_PER_BLOCK = 500_000
# A float64 holds whole numbers below this exactly. Larger ids are compared as text.
MAX_EXACT = 2**53

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Score:
    """The score of a submission and its parts.

    Attributes
    ----------
    score : float
        0 to 1.
    giou, macro_f1 : float
        The two parts before their weights, 0 to 1. giou is the mean of (GIoU + 1) / 2 over the truth rows.
    interval, giou_interval, macro_f1_interval : tuple of (float, float)
        The 95 % bootstrap intervals of the score and of its parts. NaN for a single image.
    classes : DataFrame
        One row for each class that occurs: class, precision, recall, f1, giou (NaN without truth rows) and support (the
        number of truth rows).
    matches : DataFrame
        One row for each truth row: id, image, true, predicted and GIoU (-1 to 1).
    images : int
        Images of the truth.
    unanswered : int
        Images of the truth without a submission row that takes part.
    ignored : int
        Submission rows that take no part.
    """

    score: float
    giou: float
    macro_f1: float
    interval: Interval
    giou_interval: Interval
    macro_f1_interval: Interval
    classes: pd.DataFrame
    matches: pd.DataFrame
    images: int
    unanswered: int
    ignored: int

    def to_dict(self) -> dict[str, Any]:
        """Return the score, its parts, the interval and the classes as plain numbers for JSON (None for NaN)."""
        rows = self.classes.astype(object).where(self.classes.notna(), None).to_dict("records")
        return {
            "score": self.score,
            "giou": self.giou,
            "macro_f1": self.macro_f1,
            "interval": [None if np.isnan(limit) else limit for limit in self.interval],
            "classes": {row["class"]: {str(key): row[key] for key in row if key != "class"} for row in rows},
        }

    def confusion(self) -> pd.DataFrame:
        """Count the truth rows by true class (rows) and predicted class (columns)."""
        labels = self.classes["class"]
        truth = labels[self.classes["support"] > 0]
        counts = pd.crosstab(self.matches["true"], self.matches["predicted"])
        return counts.reindex(truth.rename("true"), columns=labels.rename("predicted"), fill_value=0)


def evaluate(truth: pd.DataFrame, submission: pd.DataFrame, *, seed: int = 0, replicates: int = 1000) -> Score:
    """Score a submission as the challenge does.

    Parameters
    ----------
    truth : DataFrame
        The true labels, at least one row: id, image, x1, y1, x2, y2 (finite numbers with x1 <= x2 and y1 <= y2) and
        class (text).
    submission : DataFrame
        The same columns. The numbers must be finite.
    seed : int
        Seed of the bootstrap.
    replicates : int
        Number of bootstrap samples. Each draws images with replacement.

    Returns
    -------
    Score

    Examples
    --------
    >>> columns = ["id", "image", "x1", "y1", "x2", "y2", "class"]
    >>> truth = pd.DataFrame([[1, "a.png", 0, 0, 10, 10, "PNN"], [2, "b.png", 0, 0, 10, 10, "LY"]], columns=columns)
    >>> submission = truth.assign(x2=[10, 5])  # the second box has half of the area
    >>> result = evaluate(truth, submission)
    >>> round(result.score, 3), result.giou, result.macro_f1
    (0.975, 0.875, 1.0)
    """
    image, names = pd.factorize(truth["image"])
    kept, kept_image = _usable_rows(truth, submission, image, pd.Index(names))
    overlap, match = _best_matches(_xyxy(truth), image, _xyxy(submission)[kept], kept_image, len(names))

    # The last entry means "no row". The match -1 selects it.
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
    intervals = _intervals(image, quality, true, predicted, seed, replicates)
    return Score(
        score=_combine(giou_part, macro_f1),
        giou=giou_part,
        macro_f1=macro_f1,
        interval=intervals[0],
        giou_interval=intervals[1],
        macro_f1_interval=intervals[2],
        classes=_class_table(labels, true, predicted, quality),
        matches=matches,
        images=len(names),
        unanswered=len(names) - len(np.unique(kept_image)),
        ignored=len(submission) - len(kept),
    )


def comparable_ids(first: pd.Series, second: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Convert two columns of ids so that they can be compared.

    If all ids of both columns are finite numbers below 2**53, they are compared as numbers (12 equals 12.0), else as
    text.

    Examples
    --------
    >>> first, second = comparable_ids(pd.Series(["12", "13"]), pd.Series(["12.0", "14"]))
    >>> (first == second).tolist()
    [True, False]
    """
    columns = [pd.to_numeric(column, errors="coerce").astype(np.float64) for column in (first, second)]
    if all((column.abs() < MAX_EXACT).all() for column in columns):
        return columns[0], columns[1]
    return first.astype(str), second.astype(str)


def _usable_rows(truth: pd.DataFrame, submission: pd.DataFrame, image: Ints, names: pd.Index) -> tuple[Ints, Ints]:
    """Return the submission rows that take part, sorted by image and then by row, and the numbers of their images.

    The challenge also drops rows that repeat a box and its class. This is left out here, because it changes nothing:
    such a row has the same GIoU as the earlier row, and the earlier row wins.
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
    """Find for each truth box (n, 4) the box of its image (among m, 4) with the highest GIoU; on a tie, the first.

    `kept_image` is sorted. Returns GIoU and the box's number, both -1 if the image has no box.
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
    """Do `_best_matches` for truth boxes that each have at least one candidate, kept[start : start + choices]."""
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
    """Number the classes. Returns the numbers of the true classes, then of the options; and the sorted classes, `None`
    last."""
    code, labels = pd.factorize(np.concatenate([true, options]))
    order = np.array(sorted(range(len(labels)), key=lambda index: (labels[index] == NO_CLASS, labels[index])))
    return np.argsort(order)[code], labels[order]


def _counts(true: Ints, predicted: Ints, weight: Floats | None, labels: int) -> tuple[Floats, Floats]:
    """Count for each class the correct rows, and how often it occurs in both columns (twice in a correct row)."""
    right = true == predicted
    hits = np.bincount(true[right], None if weight is None else weight[right], minlength=labels)
    uses = np.bincount(true, weight, minlength=labels) + np.bincount(predicted, weight, minlength=labels)
    return hits.astype(np.float64), uses.astype(np.float64)


def _macro_f1(hits: Floats, uses: Floats) -> float:
    """Compute the mean of F1 = 2 TP / (truth rows + predicted rows) over the classes that occur."""
    occurs = uses > 0
    return float(np.mean(2 * hits[occurs] / uses[occurs]))


def _combine(giou_part: float, macro_f1: float) -> float:
    return GIOU_WEIGHT * giou_part + F1_WEIGHT * macro_f1


def _class_table(labels: NDArray[np.object_], true: Ints, predicted: Ints, quality: Floats) -> pd.DataFrame:
    """Compute precision, recall, F1, GIoU and support of the classes that occur. A division by zero gives 0."""
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


def _intervals(image: Ints, quality: Floats, true: Ints, predicted: Ints, seed: int, replicates: int) -> list[Interval]:
    """Compute the 2.5th and 97.5th percentile of the score, of its GIoU part and of its macro F1, over samples of
    images, drawn with replacement.

    `image` numbers each row's image from 0. Rows are first counted by their pair of classes. So a sample costs little,
    and the memory does not depend on the number of classes.
    """
    images, labels = int(image.max()) + 1, int(max(true.max(), predicted.max())) + 1
    if images < 2:  # all samples would be the same
        return [(np.nan, np.nan)] * 3
    pairs, pair = np.unique(true * labels + predicted, return_inverse=True)
    pair_true, pair_predicted = np.divmod(pairs, labels)
    quality_sum = np.bincount(image, quality)
    random = np.random.default_rng(seed)
    samples = np.empty((3, replicates))
    for replicate in range(replicates):
        times = np.bincount(random.integers(images, size=images), minlength=images).astype(np.float64)
        weight = np.bincount(pair, times[image], minlength=len(pairs)).astype(np.float64)
        macro_f1 = _macro_f1(*_counts(pair_true, pair_predicted, weight, labels))
        # einsum and not dot: on a busy machine, the threads of BLAS can take a hundred times as long as the dot
        # product.
        giou_part = float(np.einsum("i,i", times, quality_sum) / weight.sum())
        samples[:, replicate] = _combine(giou_part, macro_f1), giou_part, macro_f1
    low, high = np.percentile(samples, [2.5, 97.5], axis=1).tolist()
    return list(zip(low, high, strict=True))
