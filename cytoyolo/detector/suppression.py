"""Of a network's thousands of overlapping boxes those that stand for an object each: non-maximum suppression (NMS)."""

import cv2
import numpy as np
from numpy.typing import NDArray

# The best candidates, by confidence, beyond which none is looked at; Ultralytics' bound.
MAX_CANDIDATES = 30_000
# Candidates looked at first for each box wanted; nearly always enough, and sorting out thousands takes milliseconds.
_FIRST = 20


def suppress(
    output: NDArray[np.float32], conf: float, iou: float, most: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The boxes of one image, xyxy (n, 4), and their class scores (n, classes), best first and `most` at most.

    output (4 + classes, anchors) holds centre x, centre y, width, height and the score of each class. Only boxes of a
    confidence (best score) above `conf` count; of two of whatever class with an IoU above `iou` the weaker goes.
    """
    confidence = output[4:].max(axis=0)
    candidates = np.flatnonzero(confidence > conf)
    candidates = candidates[np.argsort(-confidence[candidates], kind="stable")][:MAX_CANDIDATES]
    kept = _keep(output, confidence, candidates[: most * _FIRST], iou)
    if len(kept) < most and len(candidates) > most * _FIRST:
        kept = _keep(output, confidence, candidates, iou)
    chosen = output[:, kept[:most]].T
    half = chosen[:, 2:4] / 2
    xyxy = np.concatenate([chosen[:, :2] - half, chosen[:, :2] + half], axis=1)
    return xyxy, np.ascontiguousarray(chosen[:, 4:])


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
