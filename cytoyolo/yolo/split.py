"""Seeded splits: stratified by class set, groups (slide, patient, centre) never parted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.errors import CytoyoloError, either
from cytoyolo.text import counted

# The weight of the number of images when groups are placed. The weight of the class sets is 1.
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
    """Join two kinds of groups: the groups that the user gives, and the groups of images that show the same.

    Groups that share an image become one group.

    Parameters
    ----------
    given : Series
        The user's group of each image (index), "" for no group.
    copies : Series
        The number of the group of images that show the same, for some of the images.

    Returns
    -------
    Series
        The group of each image, "" for no group.

    Examples
    --------
    >>> given = pd.Series({"a.png": "slide1", "b.png": "slide2", "c.png": ""})
    >>> joined_groups(given, pd.Series({"b.png": 0, "c.png": 0})).to_dict()
    {'a.png': 'slide1', 'b.png': 'slide2', 'c.png': 'slide2'}
    """
    from scipy.sparse import coo_array  # here, because its import takes longer than a wrong call may
    from scipy.sparse.csgraph import connected_components

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


@dataclass(frozen=True)
class Parts:
    """How large the parts of a split came out: images and whole groups in each, of groups that have a name."""

    images: Sequence[int]
    groups: Sequence[int]

    @classmethod
    def of(cls, part: NDArray[np.int64], groups: NDArray[np.object_]) -> "Parts":
        """Count the images and groups of n images in each part, from the part (n,) and the group (n,; "" for no group)
        of each."""
        named = pd.Series(part).groupby(groups).first().drop("", errors="ignore").to_numpy(np.int64)
        count = int(part.max()) + 1
        return cls(np.bincount(part).tolist(), np.bincount(named, minlength=count).tolist())

    def far_from(self, shares: Sequence[float]) -> bool:
        """Whether a part is larger or smaller than its share by more than an image, or by what rounding explains."""
        wanted = [share * sum(self.images) for share in shares]
        pairs = zip(self.images, wanted, strict=True)
        return any(abs(images - exact) > 1 or (images and exact < 0.5) for images, exact in pairs)

    def record(self) -> dict[str, object]:
        """For the manifest of the data set."""
        return {"images": list(self.images), "groups": list(self.groups)}

    def note(self, val: float | None) -> str:
        """A message about a split by groups into training and validation (`val`: the share that the user wants) or into
        folds."""
        total, groups = sum(self.images), sum(self.groups)
        if val is None:
            least, most = min(self.images), max(self.images)
            said = f"The {len(self.images)} folds hold {least:,} to {most:,} images each"
            return f"{said}; no group is divided ({groups:,} in all)."
        share = self.images[1] / total
        said = f"Held out for validation: {self.images[1]:,} of {total:,} images ({share:.1%}; {val:.1%} was asked for)"
        if groups:
            said += f", {self.groups[1]:,} of {groups:,} groups"
        if groups and not self.groups[1]:
            return (
                f"{said}: only images without a group. A larger share "
                f"(`{either('convert --val', 'convert(val=...)')}`) holds out whole groups."
            )
        return f"{said}."


def split(
    strata: NDArray[np.object_], groups: NDArray[np.object_], shares: list[float], seed: int
) -> NDArray[np.int64]:
    """Assign n images to len(shares) parts.

    strata (n,) is each image's class set, and groups (n,) its group, "" for a single image. The shares add up to 1.

    Groups are placed whole, the largest first, where the class sets then fit the shares best. Single images fill the
    rest, stratum by stratum. Without groups, every stratum and the whole set is within one image of its share. A part
    without a whole group gets a group that fits in its share, if there is one. No part stays empty: if there are few
    groups, or very different ones, a group is held out whatever its size. Raises CytoyoloError if there are fewer
    groups and single images than parts.
    """
    rng = np.random.default_rng(seed)
    _, stratum = np.unique(strata.astype(str), return_inverse=True)
    totals = np.bincount(stratum)
    grouped = np.bincount(stratum[groups != ""], minlength=len(totals))
    share = np.asarray(shares)
    placed = np.zeros((len(share), len(totals)))
    part = np.full(len(strata), -1, dtype=np.int64)
    ordered = _groups_by_size(groups, rng)
    for members in ordered:
        histogram = np.bincount(stratum[members], minlength=len(totals))
        # The growth of the squared distance to the target. Each stratum is weighted by its rarity. The target is a
        # share of the grouped images only, so that single images do not keep groups out of the held-out part.
        growth = (histogram * (histogram + 2 * (placed - np.outer(share, grouped))) / totals).sum(axis=1)
        # The same for the number of images, with a small weight, so that groups of different strata spread too.
        size = len(members)
        growth += SIZE_WEIGHT * size * (size + 2 * (placed.sum(axis=1) - share * grouped.sum())) / len(strata)
        best = int(growth.argmin())
        placed[best] += histogram
        part[members] = best
    for members, best in _into_parts_without(ordered, part, share):
        histogram = np.bincount(stratum[members], minlength=len(totals))
        placed[part[members[0]]] -= histogram
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
    _fill_empty(part, groups, share)
    return part


def _into_parts_without(
    groups: list[NDArray[np.int64]], part: NDArray[np.int64], share: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Yield a group for each part that has none, and the part's number. No group is yielded if none fits in its share.

    Rare class sets can put all groups into the largest part, but a validation part is most useful with a whole group
    that the training does not see. `groups` are the row numbers of the groups, and `part` (n,) is the part of each row.
    The caller moves a group before it asks for the next.
    """
    for empty in range(len(share)):
        home = np.array([part[members[0]] for members in groups], dtype=np.int64)
        count = np.bincount(home, minlength=len(share))
        wanted = share[empty] * sum(map(len, groups))
        fitting = [
            members
            for members, own in zip(groups, home, strict=True)
            if count[own] > 1 and len(members) <= share[empty] * len(part)
        ]
        if not count[empty] and fitting:
            yield min(fitting, key=lambda members: abs(len(members) - wanted)), empty


def _fill_empty(part: NDArray[np.int64], groups: NDArray[np.object_], share: NDArray[np.float64]) -> None:
    """Move whole groups (or single images) into empty parts, so that the sizes fit the shares best.

    This happens if groups are too few or too large for the shares. A part only gives a group away if another stays in
    it. Raises CytoyoloError if there are fewer groups than parts.
    """
    unit = _units(groups)
    size = np.bincount(unit)
    home = np.zeros(len(size), dtype=np.int64)
    home[unit] = part
    if len(size) < len(share):
        raise CytoyoloError(_too_few(groups, len(size), len(share)))
    wanted = share * len(part)
    for empty in np.flatnonzero(np.bincount(home, minlength=len(share)) == 0):
        sizes = np.bincount(home, weights=size, minlength=len(share))
        movable = np.flatnonzero(np.bincount(home, minlength=len(share))[home] > 1)
        moved = size[movable]
        # The growth of the squared distance to the wanted sizes, for the part that loses the group and the part that
        # gets it.
        growth = (moved - wanted[empty]) ** 2 + (sizes - wanted)[home[movable]] * -2 * moved + moved**2
        home[movable[int(growth.argmin())]] = empty
    part[:] = home[unit]


def _too_few(groups: NDArray[np.object_], units: int, parts: int) -> str:
    """Say why images can't be divided into this number of parts, and what to do."""
    count = len(groups)
    if units == 1 and count > 1:
        name = str(groups[0])
        return (
            f"all {count:,} images are in one group ({name}), and a group is never divided, so no image can be held "
            "out; give images of other groups too, or leave the group of unrelated images empty."
        )
    what = counted(count, "image") + (f" in {counted(units, 'group')}" if (groups != "").any() else "")
    if parts > 2:
        fewer = f"{units} folds or fewer, or " if units > 1 else ""
        return f"{what} can't make {parts} folds; use {fewer}more images."
    return f"{what} can't fill {parts} parts; use more images."


def _groups_by_size(groups: NDArray[np.object_], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return the row numbers of each named group. The largest group is first, and groups of equal size are in random
    order."""
    rows = pd.Series(groups).groupby(groups).indices
    named = [members for name, members in sorted(rows.items()) if name]
    order = rng.permutation(len(named))
    return sorted((named[index] for index in order), key=len, reverse=True)


def _units(groups: NDArray[np.object_]) -> NDArray[np.int64]:
    """Number (n,) the units that stay together: the groups and the single images."""
    numbers = pd.factorize(groups)[0]
    alone = groups == ""
    return np.unique(np.where(alone, len(groups) + np.arange(len(groups)), numbers), return_inverse=True)[1]
