"""Which images to label: uncertain, different from each other, and spread over slides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
UNCERTAIN, DIFFERENT, RANDOM = "uncertain", "different", "random"
# What the uncertainty of an image is raised by, so that a sure image counts too if it is unlike all others.
_LEAST_WEIGHT = 0.1


@dataclass(frozen=True)
class Choice:
    """A chosen image: its position among the images, and why it was chosen."""

    at: int
    reason: str


def uncertainty(vectors: Floats) -> Floats:
    """Compute the entropy of class vectors (n, classes), 0 (sure) to 1 (all classes alike).

    Examples
    --------
    >>> uncertainty(np.array([[1.0, 0.0], [0.5, 0.5]])).round(2).tolist()
    [0.0, 1.0]
    """
    if vectors.shape[1] < 2:
        return np.zeros(len(vectors))
    logarithms = np.log(np.where(vectors > 0, vectors, 1))
    return np.asarray(np.clip(-(vectors * logarithms).sum(axis=1) / np.log(vectors.shape[1]), 0, 1) + 0.0)


def farthest_first(
    features: NDArray[np.float32], uncertain: Floats, groups: NDArray[np.object_], n: int
) -> list[Choice]:
    """Choose n images that are uncertain and unlike each other (k-center greedy, weighted).

    The first is the most uncertain image. Each next image has the largest product of two numbers: the distance to the
    nearest chosen image, and its uncertainty (plus 0.1). Only groups from which the fewest images were chosen take part
    in each step.

    Parameters
    ----------
    features : array (images, features)
    uncertain : array (images,)
        0 to 1.
    groups : array (images,) of str
        The group (slide, patient) of each image, "" for an image without a group.
    n : int
        At most the number of images.

    Returns
    -------
    list of Choice
        In the order of choice.

    Examples
    --------
    >>> features = np.array([[0, 1], [0, 1.1], [1, 0]], np.float32)
    >>> [one.at for one in farthest_first(features, np.array([0.9, 0.8, 0.1]), np.array(["", "", ""], object), 2)]
    [0, 2]
    """
    weight = uncertain + _LEAST_WEIGHT
    nearest = np.full(len(features), np.inf)
    group = _numbered(groups)
    taken, left = np.zeros(group.max() + 1, np.int64), np.bincount(group)
    free = np.ones(len(features), bool)
    chosen: list[Choice] = []
    while len(chosen) < n:
        fewest = taken[left > 0].min()
        among = np.flatnonzero(free & (taken[group] == fewest))
        value = weight[among] if not chosen else weight[among] * nearest[among]
        best = int(among[int(value.argmax())])
        reason = UNCERTAIN if not chosen else _reason(best, among, uncertain, nearest)
        chosen.append(Choice(best, reason))
        free[best] = False
        taken[group[best]] += 1
        left[group[best]] -= 1
        nearest = np.minimum(nearest, np.linalg.norm(features.astype(float) - features[best].astype(float), axis=1))
    return chosen


def at_random(images: int, n: int, seed: int) -> list[Choice]:
    """Choose n of some images at random, as the baseline of a comparison."""
    chosen = np.random.default_rng(seed).permutation(images)[:n]
    return [Choice(int(at), RANDOM) for at in chosen]


def _numbered(groups: NDArray[np.object_]) -> NDArray[np.int64]:
    """Number the groups. Each image without a group is a group of its own."""
    names = [(str(group), -1) if group else ("", at) for at, group in enumerate(groups)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.int64)


def _reason(best: int, among: NDArray[np.int64], uncertain: Floats, nearest: Floats) -> str:
    """Say what the choice of an image is owed to: it has a higher rank by its uncertainty or by its distance."""
    more_uncertain = (uncertain[among] > uncertain[best]).sum()
    farther = (nearest[among] > nearest[best]).sum()
    return UNCERTAIN if more_uncertain <= farther else DIFFERENT
