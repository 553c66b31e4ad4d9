"""Measure recall and precision of the search for images that show the same, on copies altered in known ways.

    python benchmarks/duplicates.py [--seed N] [--shifts] [--set FOLDER ...]

A set is a folder of images, or a folder that contains them in `images/`. Without --set, the sets are
../shared/data/wbc5 and pbc3, or synthetic smears if these are missing. From each set, 200 originals are drawn (150 from
pbc3). 11 JPEG copies of each original are made: re-encoded (quality 50 to 95), brightened (times 0.7 to 1.4, plus -20
to 20), resized (0.5 to 2 times), cropped (0 to 5 px on each side), in five other orientations, turned and re-encoded,
and all of these together. `find_duplicates`, with its defaults, searches all originals and copies. The files are on the
RAM disk if there is one.

Recall is the share of copies in the group of their original. The stricter recall counts only copies whose own pair with
the original passes. Precision counts the pairs that pass: a copy and its original are a correct pair. Pairs of images
of two originals are correct if the tool also groups these two originals without the copies, otherwise they count as
wrong. (No labels say which originals show the same. All groups of originals of wbc5 and pbc3 were checked by eye and
are correct; groups of other sets were not checked.) Pairs that count as wrong may still show the same cell, so their
originals are listed for a check by eye.

With --shifts, two views with 86 % of each side are cut from 100 images of each set. They lie some shares of a side
apart in any direction, and half of the second views are turned or mirrored. The output is the share of views that are
in one group, and the number of links between views of two originals, with their names (they may show the same).
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from _standins import RAM_DISK
from numpy.typing import NDArray
from PIL import Image

from cytoyolo.images import duplicates
from cytoyolo.images.hashes import HASH_BYTES, as_words, near_pairs
from cytoyolo.images.info import ImageInfo, decode, read_many
from cytoyolo.machine import cores
from cytoyolo.synthetic.smear import render_scene

DATA = Path(__file__).parents[2] / "shared" / "data"
DRAWN, DRAWN_ELSE, PAINTED = {"wbc5": 200, "pbc3": 150}, 200, 300
SHIFTS, VIEW = (0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12), 0.86
MIN_SIDE = 30  # pixels; copies of smaller images could be too small to be read
TURNS = {  # Pillow turns anticlockwise
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "upside down": Image.Transpose.FLIP_TOP_BOTTOM,
    "turned 90": Image.Transpose.ROTATE_270,
    "turned 180": Image.Transpose.ROTATE_180,
    "turned 270": Image.Transpose.ROTATE_90,
}


def altered(picture: Image.Image, rng: np.random.Generator) -> dict[str, tuple[Image.Image, int]]:
    """The altered pictures by kind, each with its JPEG quality."""

    def turned() -> Image.Image:
        return picture.transpose(list(TURNS.values())[rng.integers(len(TURNS))])

    def brightened(picture: Image.Image) -> Image.Image:
        levels = np.asarray(picture, np.float64) * rng.uniform(0.7, 1.4) + rng.uniform(-20, 20)
        return Image.fromarray(np.clip(levels, 0, 255).round().astype(np.uint8))

    def resized(picture: Image.Image) -> Image.Image:
        scale = rng.uniform(0.5, 2)
        size = max(10, round(picture.width * scale)), max(10, round(picture.height * scale))
        return picture.resize(size, Image.Resampling.BICUBIC)

    def cropped(picture: Image.Image) -> Image.Image:
        left, top, right, bottom = (int(pixels) for pixels in rng.integers(0, 6, 4))
        return picture.crop((left, top, picture.width - right, picture.height - bottom))

    return {
        "re-encoded": (picture, int(rng.integers(50, 96))),
        "brightened": (brightened(picture), 95),
        "resized": (resized(picture), 95),
        "cropped": (cropped(picture), 95),
        **{kind: (picture.transpose(turn), 95) for kind, turn in TURNS.items()},
        "turned + re-encoded": (turned(), int(rng.integers(50, 96))),
        "all at once": (brightened(resized(cropped(turned()))), int(rng.integers(50, 96))),
    }


def paint(folder: Path) -> Path:
    folder.mkdir()
    for index in range(PAINTED):
        cv2.imwrite(str(folder / f"{index:04}.jpg"), render_scene(1, index).image)
    return folder


def linked(sets: Iterable[Path], folder: Path) -> dict[Path, str]:
    """Link each file under a unique name, because `find_duplicates` returns only names. Returns the set of each file by
    its link."""
    links = {}
    for given in sets:
        files = given / "images" if (given / "images").is_dir() else given
        for path in sorted(files.iterdir()):
            links[link := folder / f"{given.resolve().name}-{path.name}"] = given.resolve().name
            link.symlink_to(path.resolve())
    return links


def make_copies(originals: Sequence[ImageInfo], sets: Sequence[str], folder: Path, seed: int) -> pd.DataFrame:
    """Draw originals, whose sets are given, and save altered copies. Returns path, original (its place), set and
    kind."""
    rng, copies = np.random.default_rng(seed), []
    for name in dict.fromkeys(sets):
        own = [at for at, other in enumerate(sets) if other == name]
        for at in sorted(rng.choice(own, min(DRAWN.get(name, DRAWN_ELSE), len(own)), replace=False).tolist()):
            path = originals[at].path
            picture = Image.fromarray(np.ascontiguousarray(decode(path)[0][..., ::-1]))
            for kind, (copy, quality) in altered(picture, rng).items():
                copies.append((folder / f"{path.name}-{kind}.jpg", at, name, kind))
                copy.save(copies[-1][0], quality=quality)
    return pd.DataFrame(copies, columns=["path", "original", "set", "kind"])


def groups_of(facts: Sequence[ImageInfo]) -> NDArray[np.int64]:
    """The number of each image's group (n,). An image without a group has its own negative number."""
    links = duplicates.find_duplicates(facts)
    group = {name: row.group for row in links.itertuples() for name in (row.image, row.twin)}
    return np.array([group.get(found.path.name, -1 - at) for at, found in enumerate(facts)], np.int64)


def passing(facts: Sequence[ImageInfo], original: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pairs (m, 2) that pass: an original and its copy, or images of two originals."""
    words = as_words([found.hash or bytes(HASH_BYTES) for found in facts])
    first, second, _, orientation = near_pairs(words, duplicates.MAX_DISTANCE)
    others = original[first] != original[second]
    near = list(zip(first[others], second[others], orientation[others], strict=True))
    for at, own in enumerate(original):  # one by one: near_pairs pairs only one of several equal hashes with others
        if at != own:
            near += [(own, at, turn) for turn in near_pairs(words[[own, at]], duplicates.MAX_DISTANCE).orientation]
    picture = cache(lambda at: duplicates.small_gray(facts[at]))

    def passes(pair: tuple[int, int, int]) -> bool:
        one, other = picture(pair[0]), picture(pair[1])
        assert one is not None and other is not None, "both were read before"
        return duplicates.detail_correlation(duplicates.turned(one, pair[2]), other) >= duplicates.MIN_CORRELATION

    with ThreadPoolExecutor(cores()) as pool:
        return np.array(near, np.int64).reshape(-1, 3)[np.fromiter(pool.map(passes, near), bool), :2]


def print_recall(table: pd.DataFrame) -> None:
    """Print the recall. `table` has a row for each copy: set, kind, and whether it was found by group and by pair."""
    every = pd.concat([table, table.assign(set="all")])
    every = pd.concat([every, every.assign(kind="all")])
    shares = every.pivot_table(["group", "pair"], "kind", "set", sort=False).swaplevel(axis=1)[[*every["set"].unique()]]
    print("\nrecall: copies in the group of their original, and whose pair with it passes")
    print(shares.to_string(float_format="{:.4f}".format))
    print(f"copies missed by group: {(~table['group']).sum()}, by pair: {(~table['pair']).sum()}")


def print_precision(own: int, natural: int, unrelated: Counter[tuple[str, str]]) -> None:
    """Print how many pairs pass, for each sort of pair. `unrelated` holds the pairs by the names of their originals."""
    wrong = unrelated.total()
    print(f"""
precision of pairs that pass: {(own + natural) / max(own + natural + wrong, 1):.4f}
{own:>6,} of a copy and its original
{natural:>6,} of images of two originals that the tool groups by nature, counted as true (wbc5 and pbc3: judged by eye)
{wrong:>6,} of images of other originals, counted as unrelated; by originals:""")
    for names, pairs in unrelated.most_common():
        print(f"{pairs:>12,}", *names)


def measure_shifts(sets: Sequence[Path], seed: int, folder: Path) -> None:
    """Print how many pairs of views of one picture are found, by the distance between the views."""
    for given in sets:
        files = sorted((given / "images" if (given / "images").is_dir() else given).iterdir())
        rng = np.random.default_rng(seed)
        drawn = [files[at] for at in sorted(rng.permutation(len(files))[:100])]
        for shift in SHIFTS:
            paths = [path for at, file in enumerate(drawn) for path in cut_twice(file, shift, folder / f"{at:03}", rng)]
            links = duplicates.find_duplicates(list(read_many(paths)))
            group = {name: row.group for row in links.itertuples() for name in (row.image, row.twin)}
            found = sum(group.get(f"{at:03}a.png", -1) == group.get(f"{at:03}b.png", -2) for at in range(len(drawn)))
            others = [(drawn[int(row.image[:3])].name, drawn[int(row.twin[:3])].name, round(row.correlation, 2))
                      for row in links.itertuples() if row.image[:3] != row.twin[:3]]  # fmt: skip
            print(f"{given.name}, {shift:.0%} apart: {found} of {len(drawn)} found; links of two originals: {others}")


def cut_twice(file: Path, shift: float, stem: Path, rng: np.random.Generator) -> tuple[Path, Path]:
    """Save two views of a picture. They are `shift` of a side apart along one axis, and up to `shift` along the other
    axis."""
    picture = Image.fromarray(np.ascontiguousarray(decode(file)[0][..., ::-1]))
    apart = np.array([rng.uniform(-shift, shift), rng.choice([-shift, shift])])[:: rng.choice([-1, 1])] * VIEW
    paths = Path(f"{stem}a.png"), Path(f"{stem}b.png")
    for path, sign in zip(paths, (0.5, -0.5), strict=True):
        left, top = np.array(picture.size) * ((1 - VIEW) / 2 + sign * apart)
        view = picture.crop(
            (round(left), round(top), round(left + VIEW * picture.width), round(top + VIEW * picture.height))
        )
        turn = path == paths[1] and rng.random() < 0.5
        (view.transpose(list(TURNS.values())[rng.integers(len(TURNS))]) if turn else view).save(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=3, help="seed of the draw and of the changes")
    parser.add_argument("--set", type=Path, nargs="+", dest="sets", metavar="FOLDER", help="folders of images")
    parser.add_argument("--shifts", action="store_true", help="measure shifted views instead")
    wanted = parser.parse_args()
    sets = wanted.sets or [DATA / name for name in DRAWN if (DATA / name).is_dir()]
    with tempfile.TemporaryDirectory(dir=RAM_DISK if RAM_DISK.is_dir() else None) as name:
        (folder := Path(name) / "all").mkdir()
        if wanted.shifts:
            measure_shifts(sets or [paint(Path(name) / "painted")], wanted.seed, folder)
            return
        set_of = linked(sets or [paint(Path(name) / "painted")], folder)
        originals = [found for found in read_many(set_of) if min(found.width, found.height) >= MIN_SIDE]
        if not originals:
            parser.error(f"no images of {MIN_SIDE} px or more")
        copies = make_copies(originals, [set_of[found.path] for found in originals], folder, wanted.seed)
        started = time.perf_counter()
        facts = [*originals, *read_many(copies["path"])]
        read = time.perf_counter()
        group = groups_of(facts)
        searched = time.perf_counter()
        by_nature = groups_of(originals)
        original = np.array([*range(len(originals)), *copies["original"]], np.int64)
        pairs = passing(facts, original)
    sizes = np.bincount(by_nature[by_nature >= 0])
    print(f"seed {wanted.seed}; {len(originals):,} originals of {len(set_of):,} files, {len(copies):,} copies")
    print(f"groups of originals by nature: {len(sizes)}, of {sizes.sum()} images")
    print(f"seconds: {read - started:.1f} to read the copies, {searched - read:.1f} to find duplicates of all")
    ends = np.sort(original[pairs], axis=1)
    own, true = ends[:, 0] == ends[:, 1], by_nature[ends[:, 0]] == by_nature[ends[:, 1]]
    by_group = (group == group[original])[len(originals) :]
    by_pair = np.isin(np.arange(len(originals), len(facts)), pairs[own, 1])
    print_recall(copies[["set", "kind"]].assign(group=by_group, pair=by_pair))
    unrelated = Counter((originals[one].path.name, originals[other].path.name) for one, other in ends[~true])
    print_precision(own.sum(), true.sum() - own.sum(), unrelated)


if __name__ == "__main__":
    main()
