"""Weighted boxes fusion: the detections of several models, or of several views, become one set of detections.

The method is by Solovyev, Wang and Gabruseva (Image and Vision Computing 107, 2021). As in the third place of the
CytologIA challenge, boxes of all classes share the clusters, and the scores of the classes are added.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytoyolo import boxes, defaults
from cytoyolo.boxes import Boxes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Fused(NamedTuple):
    """Boxes (n, 4) with class probabilities (n, classes) and the image of each (n,), best first within an image."""

    image: Ints
    xyxy: Boxes
    probabilities: Floats


def fuse(
    image: Ints, xyxy: Boxes, probabilities: Floats, weight: Floats, total: float, iou: float = defaults.FUSION_IOU
) -> Fused:
    """Fuse the detections (n) of several models in images that are numbered from 0.

    In each image the boxes are taken in the order of their strength, the strongest first. The strength is the
    probability of the best class times the model's `weight` (n,). A box joins the cluster whose fused box it overlaps
    most, if their IoU is above `iou`. Otherwise it starts a new cluster. The fused box is the mean of the cluster's
    boxes, weighted by strength. Its class probabilities are the weighted sum over the cluster's boxes, divided by
    `total` (the sum of all models' weights), and at most 1. So a box that few models found gets a low confidence. All
    images are processed at the same time, box by box.
    """
    strength = probabilities.max(axis=1, initial=0) * weight
    order = np.lexsort((-strength, image))
    image, xyxy, probabilities = image[order], xyxy[order].astype(np.float64), probabilities[order]
    weight, strength = weight[order], np.maximum(strength[order], np.finfo(np.float64).tiny)
    images = int(image.max(initial=-1)) + 1
    counts = np.bincount(image, minlength=images)
    rank = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
    most = int(counts.max(initial=0))
    sums, mass = np.zeros((images, most, 4)), np.zeros((images, most))
    scores, clusters = np.zeros((images, most, probabilities.shape[1])), np.zeros(images, np.int64)
    for step in range(most):
        now = np.flatnonzero(rank == step)
        here = image[now]
        fused = sums[here] / np.maximum(mass[here], np.finfo(np.float64).tiny)[..., None]
        overlap = np.where(mass[here] > 0, boxes.iou(fused, xyxy[now][:, None]), -1.0)
        best = overlap.argmax(axis=1)
        founds = overlap[np.arange(len(now)), best] <= iou
        place = np.where(founds, clusters[here], best)
        clusters[here] += founds
        sums[here, place] += xyxy[now] * strength[now, None]
        mass[here, place] += strength[now]
        scores[here, place] += probabilities[now] * weight[now, None]
    at, place = np.nonzero(mass > 0)
    means = sums[at, place] / mass[at, place][:, None]
    shares = np.minimum(scores[at, place] / total, 1)
    order = np.lexsort((-shares.max(axis=1, initial=0), at))
    return Fused(at[order], means[order], shares[order])
