"""Seeded splits: stratified by class set, groups (slide, patient, centre) never parted."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cytoyolo.errors import CytoyoloError

# Weight of the number of images beside that of the class sets, where groups are placed.
SIZE_WEIGHT = 0.1


def class_sets(image: pd.Series, class_id: NDArray[np.int64]) -> pd.Series:
    """For each image (index, in order of appearance) the set of its classes as text, such as "3" or "3 20"."""
    pairs = pd.DataFrame({"image": image.to_numpy(), "class": class_id}).drop_duplicates()
    pairs = pairs.sort_values("class", kind="stable")
    text = pairs["class"].astype(str).set_axis(pairs["image"])
    several = text.index.duplicated(keep=False)  # nearly all images have one class; joining is slow
    sets = pd.concat([text[~several], text[several].groupby(level=0).agg(" ".join)])
    return sets.reindex(image.drop_duplicates())


def joined_groups(given: pd.Series, copies: pd.Series) -> pd.Series:
    """One group for each image (index; "" for none) out of two: that which the user gives, "" for none, and that of
    images that show the same (a number, for some of the images). Groups that share an image become one."""
    table = pd.DataFrame({"given": given, "copies": copies.reindex(given.index)})
    nodes = [pd.factorize(table[column].replace("", None), use_na_sentinel=True)[0] for column in table]
    first, second = nodes[0], np.where(nodes[1] < 0, -1, nodes[1] + nodes[0].max(initial=-1) + 1)
    count = int(max(first.max(initial=-1), second.max(initial=-1))) + 1
    both = (first >= 0) & (second >= 0)
    links = coo_array((np.ones(both.sum()), (first[both], second[both])), shape=(count, count))
    component = connected_components(links, directed=False)[1] if count else np.zeros(0, dtype=np.int64)
    node = np.where(first >= 0, first, second)
    number = np.where(node >= 0, component[node], -1) if count else node
    # A group goes by the names the user gave to its parts or, without any, by its first image.
    members = pd.Series(given.index, index=given.index)
    labels = {}
    for value, names in members[number >= 0].groupby(number[number >= 0]):
        parts = dict.fromkeys(part for part in given[names] if part)
        labels[value] = " + ".join(parts) or f"copies of {names.iloc[0]}"
    return pd.Series([labels.get(value, "") for value in number], index=given.index)


def split(
    strata: NDArray[np.object_], groups: NDArray[np.object_], shares: list[float], seed: int
) -> NDArray[np.int64]:
    """Assign n images to len(shares) parts.

    strata (n,) is each image's class set, groups (n,) its group or "" when it stands alone; shares add up to 1.
    Groups are placed whole, largest first, where the class sets then fit the shares best; images that stand
    alone fill what is missing, stratum by stratum, so that without groups every stratum, and the whole, is
    within one image of its share. Raises CytoyoloError when a part stays empty.
    """
    rng = np.random.default_rng(seed)
    _, stratum = np.unique(strata.astype(str), return_inverse=True)
    totals = np.bincount(stratum)
    grouped = np.bincount(stratum[groups != ""], minlength=len(totals))
    share = np.asarray(shares)
    placed = np.zeros((len(share), len(totals)))
    part = np.full(len(strata), -1, dtype=np.int64)
    for members in _groups_by_size(groups, rng):
        histogram = np.bincount(stratum[members], minlength=len(totals))
        # Growth of the squared distance to the target, each stratum weighted by its rarity. The target is a share
        # of the grouped images alone: those without a group must not crowd unseen groups out of the held-out part.
        growth = (histogram * (histogram + 2 * (placed - np.outer(share, grouped))) / totals).sum(axis=1)
        # A little of the same for the number of images, so that groups of different strata spread over the parts too.
        size = len(members)
        growth += SIZE_WEIGHT * size * (size + 2 * (placed.sum(axis=1) - share * grouped.sum())) / len(strata)
        best = int(growth.argmin())
        placed[best] += histogram
        part[members] = best
    owed = np.zeros(len(share))
    for index, total in enumerate(totals):
        alone = rng.permutation(np.flatnonzero((stratum == index) & (part < 0)))
        wanted = np.clip(share * total - placed[:, index], 0, None)
        if not len(alone):
            continue
        wanted *= len(alone) / wanted.sum()
        count = np.floor(wanted + 1e-9).astype(np.int64)
        owed += wanted - count
        for best in np.argsort(-owed, kind="stable")[: len(alone) - count.sum()]:
            count[best] += 1
            owed[best] -= 1
        part[alone] = np.repeat(np.arange(len(share)), count)
    if empty := len(share) - len(np.unique(part)):
        what = f"{len(part):,} images" + (f" in {_units(groups):,} groups" if (groups != "").any() else "")
        raise CytoyoloError(
            f"{what} leave {empty} of {len(share)} parts empty; use fewer folds, a larger --val or more images."
        )
    return part


def _groups_by_size(groups: NDArray[np.object_], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Row numbers of each named group, the largest group first, equal ones in random order."""
    rows = pd.Series(groups).groupby(groups).indices
    named = [members for name, members in sorted(rows.items()) if name]
    order = rng.permutation(len(named))
    return sorted((named[index] for index in order), key=len, reverse=True)


def _units(groups: NDArray[np.object_]) -> int:
    named = groups[groups != ""]
    return len(np.unique(named.astype(str))) + len(groups) - len(named)
