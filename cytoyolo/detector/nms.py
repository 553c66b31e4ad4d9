"""Of a network's thousands of overlapping boxes those that stand for an object each: non-maximum suppression (NMS)."""

import cv2
import numpy as np
from numpy.typing import NDArray

# The best candidates, by confidence, beyond which none is looked at: Ultralytics' bound, and more for more boxes.
MAX_CANDIDATES, _CANDIDATES_A_BOX = 30_000, 100
# Candidates looked at first for each box wanted; nearly always enough, and sorting out thousands takes milliseconds.
_FIRST = 20


def suppress(
    output: NDArray[np.float32], conf: float, iou: float, most: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """The boxes of one image, xyxy (n, 4), and their class scores (n, classes), best first and `most` at most.

    The third value is the confidence below which boxes may be missing because of a limit; 0 where none was reached.

    output (4 + classes, anchors) holds centre x, centre y, width, height and the score of each class. Only boxes of a
    confidence (best score) above `conf` count; of two of whatever class with an IoU above `iou` the weaker goes.
    """
    confidence = output[4:].max(axis=0)
    found = np.flatnonzero(confidence > conf)
    found = found[np.argsort(-confidence[found], kind="stable")]
    looked = found[: most * _FIRST]
    kept = _keep(output, confidence, looked, iou)
    if len(kept) < most and len(found) > len(looked):
        looked = found[: max(MAX_CANDIDATES, most * _CANDIDATES_A_BOX)]
        kept = _keep(output, confidence, looked, iou)
    cut = 0.0
    if len(kept) > most:
        cut = float(confidence[kept[most - 1]])
    elif len(looked) < len(found):
        cut = float(confidence[looked[-1]])
    chosen = output[:, kept[:most]].T
    half = chosen[:, 2:4] / 2
    xyxy = np.concatenate([chosen[:, :2] - half, chosen[:, :2] + half], axis=1)
    return xyxy, np.ascontiguousarray(chosen[:, 4:]), cut


def _keep(
    output: NDArray[np.float32], confidence: NDArray[np.float32], candidates: NDArray[np.int64], iou: float
) -> NDArray[np.int64]:
    """Those of the candidates (best first) that no better one overlaps too much."""
    if not len(candidates):
        return candidates
    boxes = output[:4, candidates].T.astype(np.float64)
    boxes[:, :2] -= boxes[:, 2:] / 2  # OpenCV wants x, y, width, height
    places = cv2.dnn.NMSBoxes(boxes, confidence[candidates], 0.0, iou)  # type: ignore[arg-type]
    return candidates[np.asarray(places, np.int64).reshape(-1)]
