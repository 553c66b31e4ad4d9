"""Rules of images that show the same: copies, near duplicates, labels that differ, and leaks into the test part."""

from collections import Counter
from collections.abc import Iterator

import pandas as pd

from cytoyolo import boxes
from cytoyolo.annotations.rules.registry import DROP, ERROR, REVIEW, WARNING, Findings, Threshold, by_image, rule
from cytoyolo.annotations.table import LabelTable
from cytoyolo.images.duplicates import MAX_DISTANCE, MIN_CORRELATION
from cytoyolo.images.names import match_names

# Boxes of the same picture agree if their IoU is at least this.
SAME_BOX = 0.8


def _copies(table: LabelTable, *kinds: str) -> pd.DataFrame:
    """Return the labelled images that show the same as an earlier labelled image, of these kinds of copies."""
    found = table.copies
    labelled = found["image"].isin(table.first_rows) & found["twin"].isin(table.first_rows)
    return found[labelled & found["kind"].isin(kinds)]


@rule("same-bytes", WARNING, "group", after="many-boxes", about="image", needs="images", sheet="pair", copies="bytes")
def same_bytes(table: LabelTable) -> Iterator[Findings]:
    """The file has the same bytes as another file. Both images stay in the same part of a split."""
    found = _copies(table, "bytes")
    yield from by_image(table, {image: (twin, "the same bytes") for image, twin in found[["image", "twin"]].to_numpy()})


@rule("same-pixels", WARNING, "group", after="same-bytes", about="image", needs="images", sheet="pair", copies="pixels")
def same_pixels(table: LabelTable) -> Iterator[Findings]:
    """The picture has the same pixels as another picture, but the bytes of the files differ. Both images stay in the
    same part of a split."""
    found = _copies(table, "pixels")
    yield from by_image(
        table, {image: (twin, "the same pixels") for image, twin in found[["image", "twin"]].to_numpy()}
    )


@rule(
    "near-duplicate",
    WARNING,
    "group",
    after="same-pixels",
    about="image",
    needs="images",
    sheet="pair",
    copies="near",
    distance=MAX_DISTANCE,
    correlation=Threshold(MIN_CORRELATION, most=1),
)
def near_duplicate(table: LabelTable, distance: float, correlation: float) -> Iterator[Findings]:
    """The picture shows the same as another picture, which was compressed again, made brighter, resized, cropped,
    shifted, mirrored or turned. Their 256-bit perceptual hashes differ by at most `distance` bits, and their
    correlation after alignment is at least `correlation`. Both images stay in the same part of a split."""
    found = _copies(table, "near")
    found = found[(found["distance"] <= distance) & (found["correlation"] >= correlation)]
    how = zip(found["turn"], found["distance"], found["correlation"], strict=True)
    details = [f"{turn or 'upright'}, {bits} of 256 bits, correlation {value:.3f}" for turn, bits, value in how]
    yield from by_image(table, dict(zip(found["image"], zip(found["twin"], details, strict=True), strict=True)))


@rule(
    "duplicate-labels",
    ERROR,
    REVIEW,
    after="near-duplicate",
    about="image",
    needs="images",
    sheet="pair",
    iou=Threshold(SAME_BOX, most=1),
)
def duplicate_labels(table: LabelTable, iou: float) -> Iterator[Findings]:
    """The image shows the same as another image, but their labels differ. They have other classes or another number of
    labels. If the pixels are the same, it is also a fault that a box has no match (IoU >= `iou`) in the other image."""
    copies = _copies(table, "bytes", "pixels", "near")[["image", "twin", "kind"]]
    rows_of: dict[str, list[int]] = {}
    for row in table.where(table.holds("image", {*copies["image"], *copies["twin"]})).tolist():
        rows_of.setdefault(table.text["image"][row], []).append(row)
    found = {}
    for image, twin, kind in copies.to_numpy():
        here, there = rows_of.get(image, []), rows_of.get(twin, [])
        ours, theirs = (Counter(table.text["class"][rows]) for rows in (here, there))
        if ours != theirs:
            found[image] = (twin, f"{_counted(ours)} here, {_counted(theirs)} there")
        elif kind != "near" and here:
            best = boxes.iou(table.xyxy[here][:, None], table.xyxy[there][None]).max(axis=1)
            if (best < iou).any():
                found[image] = (twin, f"a box here has IoU {best.min():.2f} at best with those there")
    yield from by_image(table, found)


def _counted(classes: "Counter[str]") -> str:
    return " ".join(f"{count} {code}" for code, count in sorted(classes.items())) or "no cells"


@rule("leak", ERROR, DROP, after="duplicate-labels", about="image", needs="test", sheet="pair")
def leak(table: LabelTable) -> Iterator[Findings]:
    """The image is in the test table, or shows the same as an image of the test table. The score would be too high."""
    test = set(table.test or ())
    found = {name: (name, "is in the test table") for name in table.first_rows if name in test}
    if table.folder is None:  # with a folder, the names of both tables are names of its files
        meant = match_names([name for name in table.first_rows if name not in test], test)
        alike = [name for name, how in meant.how.items() if how in ("spelling", "case")]
        found |= {name: (meant.file[name], "is in the test table under this name") for name in alike}
    if table.folder is not None and len(table.copies):
        names = [*table.copies["image"], *table.copies["twin"]]
        group = dict(zip(names, [*table.copies["group"], *table.copies["group"]], strict=True))
        tested = {number: name for name, number in group.items() if name in test}
        for name, number in group.items():
            if name in table.first_rows and name not in test and number in tested:
                found[name] = (tested[number], "shows the same as this test image")
    yield from by_image(table, found)
