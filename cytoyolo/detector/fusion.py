"""Weighted boxes fusion: the detections of several models, or of several views, become one.

After Solovyev, Wang and Gabruseva (Image and Vision Computing 107, 2021), as the third place of the CytologIA challenge
used it: boxes of all classes share the clusters, and the scores of the classes add up.
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

    Of each image the boxes are taken from the most confident on, confidence being the best class's probability times
    the model's `weight` (n,). A box joins the cluster whose fused box it overlaps most, if by an IoU above `iou`, and
    founds one otherwise. The fused box is the mean of the members' weighted by that confidence; its class
    probabilities are the weighted sum of the members' over `total`, the sum of all models' weights, so that a box few
    models found is worth less; 1 at the most. All images take one step at a time together.
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
