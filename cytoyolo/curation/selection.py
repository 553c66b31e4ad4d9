"""Which images to label: typical of many others, unlike each other, and spread over slides."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TYPICAL, RANDOM = "typical", "random"
_ROUNDS = 30  # of k-means; its clusters hardly change after 20


@dataclass(frozen=True)
class Choice:
    """A chosen image: its position among the images, why it was chosen, and to how many images it is the nearest
    chosen image, itself included (None for a choice at random)."""

    at: int
    reason: str
    stands_for: int | None = None


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


def representatives(features: NDArray[np.float32], groups: NDArray[np.object_], n: int, seed: int) -> list[Choice]:
    """Choose n images that stand for all: one of each of n clusters, the image that is nearest to the cluster's mean.

    The clusters are found by k-means (Lloyd 1982, started as by Arthur and Vassilvitskii 2007), in each group by
    itself. Each group gives the same number of images, or all its images if it has fewer. With few labels, typical
    images teach more than uncertain ones (Hacohen et al., ICML 2022).

    Parameters
    ----------
    features : array (images, features)
    groups : array (images,) of str
        The group (slide, patient) of each image, "" for an image without a group, which is a group of its own.
    n : int
        At most the number of images.
    seed : int
        The seed of the start of k-means.

    Returns
    -------
    list of Choice
        First one image of each group, then a second, and so on; of these, the images that stand for most come first.

    Examples
    --------
    >>> features = np.array([[0, 1], [0, 1.1], [0, 1.3], [1, 0]], np.float32)
    >>> [(one.at, one.stands_for) for one in representatives(features, np.array([""] * 4, object), 2, seed=0)]
    [(1, 3), (3, 1)]
    """
    group, random = _numbered(groups), np.random.default_rng(seed)
    quota = _quotas(np.bincount(group), n)
    # Images without a group get a common share, and its clusters.
    part = np.where(groups == "", -1, group)
    chosen: list[tuple[int, int, int]] = []  # the round, and the order in it
    for number in np.unique(part):
        among = np.flatnonzero(part == number)
        share = int(quota[np.unique(group[among])].sum())
        middles = sorted(_middles(features[among].astype(float), share, random), key=lambda one: (-one[1], one[0]))
        for place, (at, size) in enumerate(middles):
            chosen.append((0 if number < 0 else place, -size, int(among[at])))
    return [Choice(at, TYPICAL, -size) for _, size, at in sorted(chosen)]


def at_random(images: int, n: int, seed: int) -> list[Choice]:
    """Choose n of some images at random, as the baseline of a comparison."""
    chosen = np.random.default_rng(seed).permutation(images)[:n]
    return [Choice(int(at), RANDOM) for at in chosen]


def _numbered(groups: NDArray[np.object_]) -> NDArray[np.int64]:
    """Number the groups. Each image without a group is a group of its own."""
    names = [(str(group), -1) if group else ("", at) for at, group in enumerate(groups)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.int64)


def _quotas(sizes: Ints, n: int) -> Ints:
    """Divide n images among groups of some sizes as evenly as they allow. Large groups get what is left over."""
    quota, order = np.zeros(len(sizes), np.int64), np.argsort(-sizes, kind="stable")
    while n:
        free = order[quota[order] < sizes[order]][:n]
        quota[free] += 1
        n -= len(free)
    return quota


def _middles(features: Floats, n: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Choose the middle image of each of n clusters, and return for each how many images are nearest to it.

    There are fewer clusters if k-means leaves some empty, or if many images have the same features. The images that are
    farthest from all chosen ones take the places.
    """
    if n in (0, len(features)):
        return [(at, 1) for at in range(n)]
    from scipy.cluster.vq import kmeans2  # here, because its import takes longer than a wrong call may
    from scipy.spatial.distance import cdist

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty cluster
        most = min(n, len(np.unique(features, axis=0)))
        centres, cluster = kmeans2(features, most, iter=_ROUNDS, minit="++", rng=random)
    distance = np.linalg.norm(features - centres[cluster], axis=1)
    order = np.lexsort((distance, cluster))
    chosen = order[np.unique(cluster[order], return_index=True)[1]].tolist()
    nearest = cdist(features, features[chosen]).min(axis=1)
    while len(chosen) < n:
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, cdist(features, features[chosen[-1:]])[:, 0])
    of = cdist(features, features[chosen]).argmin(axis=1)
    of[chosen] = np.arange(n)
    return list(zip(chosen, np.bincount(of, minlength=n).tolist(), strict=True))
