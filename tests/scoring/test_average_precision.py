"""Average precision: pycocotools is the oracle."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cytoyolo.scoring.average_precision import rank
from cytoyolo.scoring.cells import Cells

CODES = ("LY", "MO", "PNN")


def random_cells(seed: int, images: int = 12, ties: bool = False) -> Cells:
    """Return true cells, and found cells that are moved, missed, renamed or invented."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 60))
    corner, side = rng.integers(0, 300, (count, 2)), rng.integers(20, 90, (count, 2))
    true = np.concatenate([corner, corner + side], axis=1).astype(float)
    image, class_id = rng.integers(0, images, count), rng.integers(0, len(CODES), count)
    region = rng.random(count) < 0.1
    again = rng.random(count) < 0.8
    found = np.repeat(true[again], 2, axis=0) + rng.integers(-12, 13, (2 * int(again.sum()), 4))
    found = np.concatenate([found, rng.integers(0, 200, (10, 2)).repeat(2, 1)[:, [0, 2, 1, 3]] + [0, 0, 40, 50]])
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    where = np.concatenate([np.repeat(image[again], 2), rng.integers(0, images, 10)])
    named = np.concatenate([np.repeat(class_id[again], 2), rng.integers(0, len(CODES), 10)])
    named = np.where(rng.random(len(named)) < 0.2, rng.integers(0, len(CODES), len(named)), named)
    sure = rng.random(len(found)).round(1 if ties else 12)
    return Cells(
        images, image[~region], true[~region], class_id[~region], image[region], true[region],
        where, found, named, sure, np.ones((len(found), len(CODES))), CODES,
    )  # fmt: skip


def of_coco(cells: Cells) -> np.ndarray:
    """Return the average precision by class and threshold as pycocotools computes it, NaN for classes without cells."""

    def box(xyxy: np.ndarray) -> list[float]:
        return [*map(float, xyxy[:2]), *map(float, xyxy[2:] - xyxy[:2])]

    labels = [
        {"image_id": int(image), "category_id": int(class_id), "bbox": box(xyxy), "iscrowd": 0}
        for image, xyxy, class_id in zip(cells.true_image, cells.true_xyxy, cells.true_class, strict=True)
    ]
    labels += [
        {"image_id": int(image), "category_id": class_id, "bbox": box(xyxy), "iscrowd": 1}
        for image, xyxy in zip(cells.region_image, cells.region_xyxy, strict=True)
        for class_id in range(len(CODES))
    ]
    labels = [{**one, "id": number, "area": one["bbox"][2] * one["bbox"][3]} for number, one in enumerate(labels, 1)]
    found = [
        {"image_id": int(image), "category_id": int(class_id), "bbox": box(xyxy), "score": float(sure)}
        for image, xyxy, class_id, sure in zip(cells.image, cells.xyxy, cells.class_id, cells.confidence, strict=True)
    ]
    coco = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in range(cells.images)],
        "annotations": labels,
        "categories": [{"id": number} for number in range(len(CODES))],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        judged = COCOeval(coco, coco.loadRes(found), "bbox")
        judged.params.maxDets = [1, 10, 100_000]
        judged.params.areaRng = [[0, 1e10]]
        judged.params.areaRngLbl = ["all"]
        judged.evaluate()
        judged.accumulate()
    precision = judged.eval["precision"][..., 0, -1]  # thresholds, recalls, classes
    return np.where((precision > -1).all(axis=1), precision.mean(axis=1), np.nan).T


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_average_precision_is_that_of_pycocotools(seed: int, ties: bool) -> None:
    cells = random_cells(seed, ties=ties)
    ours = np.array([one.average_precision() for one in rank(cells)])
    np.testing.assert_allclose(ours, of_coco(cells), atol=1e-9, rtol=0)


def test_an_image_that_counts_twice_is_as_two_images() -> None:
    cells = random_cells(3)
    times = np.random.default_rng(0).integers(0, 3, cells.images)
    images = np.repeat(np.arange(cells.images), times)

    def repeated(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = [np.flatnonzero(image == one) for one in images]
        return np.repeat(np.arange(len(images)), [len(one) for one in rows]), np.concatenate(rows)

    true_image, true = repeated(cells.true_image)
    region_image, region = repeated(cells.region_image)
    image, found = repeated(cells.image)
    twice = Cells(
        len(images), true_image, cells.true_xyxy[true], cells.true_class[true], region_image, cells.region_xyxy[region],
        image, cells.xyxy[found], cells.class_id[found], cells.confidence[found], cells.probabilities[found], CODES,
    )  # fmt: skip
    for weighted, repeated_images in zip(rank(cells), rank(twice), strict=True):
        np.testing.assert_allclose(
            weighted.average_precision(times.astype(float)), repeated_images.average_precision(), atol=1e-12
        )


@pytest.mark.parametrize("few", [0, 100])
def test_several_weights_at_once_are_each_by_itself(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cytoyolo.scoring.average_precision._FEW", few)
    for seed in range(5):
        cells = random_cells(seed, ties=bool(seed % 2))
        times = np.random.default_rng(seed).integers(0, 3, (20, cells.images)).astype(float)
        times[0] = 0  # no image counts
        for one in rank(cells):
            each = [one.average_precision(weights) for weights in times]
            np.testing.assert_allclose(one.average_precisions(times), each, atol=1e-12)
