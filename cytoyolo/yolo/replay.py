"""Images of an earlier data set beside the training images of a new one, so that a training does not forget them."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.errors import CytoyoloError, UsageError, listed
from cytoyolo.files import write_text
from cytoyolo.images.duplicates import find_duplicates
from cytoyolo.images.info import read_many
from cytoyolo.tables.table import LABEL_ROLES, XYXY, fingerprint, write_table
from cytoyolo.yolo import folder as yolo
from cytoyolo.yolo.folder import SOURCE, STAGED, Dataset, held_out
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.staging import links_work
from cytoyolo.yolo.verify import read_listing, verify
from cytoyolo.yolo.writing import write_labels, write_lists

REPLAY = "replay"
_SHOWN = 6


def check_replay(data: Dataset, codes: tuple[str, ...]) -> None:
    """Raise an error if a data set can't be replayed to weights with the classes `codes`."""
    if yolo.TILES in data.manifest:
        raise UsageError(
            f"{data.folder} holds tiles of images, which can't be replayed; give a data set without tiles."
        )
    if other := sorted(set(read_labels(data)["class"]) - set(codes)):
        raise CytoyoloError(
            f"{data.folder} has classes that the weights do not know ({listed(other, _SHOWN)}); give a data set that "
            "the weights were trained on."
        )
    verify(data, 0 if data.manifest["folds"] else None)


def with_replay(data: Dataset, other: Dataset, folder: Path, seed: int) -> int:
    """Make a YOLO folder of all images of a data set and of some of another's, and return how many these are.

    As many images of `other` are drawn as `data` has training images. Images of rare classes are drawn more often.
    All are trained on. Images of `other` that are images of `data` too, or show the same as one, are left out.
    `check_replay` allows the call.
    """
    mine, theirs = read_listing(data), read_listing(other)
    column = data.spec.columns["image"]
    theirs = theirs.rename(columns={other.spec.columns["image"]: column})
    if other.manifest["folds"] is None:
        theirs = theirs[~held_out(theirs["part"].to_numpy(np.int64), None)]
    theirs = theirs[~theirs[SOURCE].isin(mine[SOURCE])]
    theirs = theirs[~_shown_in(_staged(data, mine), _staged(other, theirs))]
    labels = read_labels(other)
    trained = int((~held_out(mine["part"].to_numpy(np.int64), None)).sum())
    theirs = theirs.iloc[_drawn(theirs[column], labels, trained, seed)]
    labels = labels[labels["image"].isin(theirs[column])]
    prefix = _unused(f"{REPLAY}/", mine[column])
    sources = _staged(data, mine) + _staged(other, theirs)
    theirs = theirs.assign(
        **{column: prefix + theirs[column]}, file=_unused(f"{REPLAY}__", mine["file"]) + theirs["file"], part="0",
        group="",
    )  # fmt: skip
    listing = pd.concat([mine, theirs], ignore_index=True)[list(mine)]
    rows = pd.concat([read_labels(data), labels.assign(image=prefix + labels["image"])], ignore_index=True)
    record = {"images": len(theirs), **{key: other.manifest[key] for key in ("labels", "images_sha256")}}
    _write(folder, data, listing, rows, sources, record)
    return len(theirs)


def _staged(data: Dataset, listing: pd.DataFrame) -> list[Path]:
    """Return the files of listed images."""
    return [data.folder / "images" / file for file in listing["file"]]


def _shown_in(mine: Sequence[Path], theirs: Sequence[Path]) -> NDArray[np.bool_]:
    """Tell which of their files show the same as one of mine."""
    with console.progress() as progress:
        facts = progress.track(read_many([*mine, *theirs]), len(mine) + len(theirs), description="Compare images")
        alike = find_duplicates(list(facts), names=[str(place) for place in range(len(mine) + len(theirs))])
    group = dict(zip([*alike["image"], *alike["twin"]], [*alike["group"]] * 2, strict=True))
    shown = {group.get(str(place)) for place in range(len(mine))} - {None}
    return np.array([group.get(str(len(mine) + place)) in shown for place in range(len(theirs))], bool)


def _drawn(names: pd.Series, labels: pd.DataFrame, count: int, seed: int) -> NDArray[np.int64]:
    """Draw up to `count` images, without repeats, and return their places in order. An image is drawn the more often,
    the rarer its rarest class is."""
    if not len(names):
        return np.zeros(0, np.int64)
    rarity = 1 / labels["class"].map(labels["class"].value_counts())
    weight = rarity.groupby(labels["image"]).max().reindex(names).fillna(rarity.min() if len(labels) else 1.0)
    shares = (weight / weight.sum()).to_numpy()
    drawn = np.random.default_rng(seed).choice(len(names), size=min(count, len(names)), replace=False, p=shares)
    return np.sort(drawn).astype(np.int64)


def _unused(prefix: str, names: pd.Series) -> str:
    """Return a prefix that no name has."""
    while names.str.casefold().str.startswith(prefix).any():
        prefix = f"_{prefix}"
    return prefix


def _write(
    folder: Path,
    data: Dataset,
    listing: pd.DataFrame,
    rows: pd.DataFrame,
    sources: list[Path],
    record: Mapping[str, object],
) -> None:
    """Write the files of the folder. `record` says in the manifest what is replayed."""
    column, spec = data.spec.columns["image"], data.spec
    (folder / "images").mkdir(parents=True)
    linked = links_work(sources[0], folder)
    for source, file in zip(sources, listing["file"], strict=True):
        if linked:
            (folder / "images" / file).symlink_to(source.resolve())
        else:
            shutil.copyfile(source, folder / "images" / file)
    class_id = pd.Index(spec.codes).get_indexer(pd.Index(rows["class"])).astype(np.int64)
    size = listing.set_index(column)[["width", "height"]].astype(np.int64).loc[rows["image"]].to_numpy()
    texts = dict(yolo.label_texts(rows["image"], class_id, rows[XYXY].to_numpy(np.float64), size))
    files = dict(zip(listing[column], listing["file"], strict=True))
    listing = listing.assign(labels_blake2b=write_labels(folder / "labels", texts, files))
    write_table(folder / yolo.LISTING, listing)
    empty = pd.DataFrame({"image": [name for name in files if name not in texts]}, columns=list(LABEL_ROLES))
    table = pd.concat([rows.astype(str), empty], ignore_index=True)[list(LABEL_ROLES)].fillna("")
    write_table(folder / yolo.LABELS, table.rename(columns=dict(spec.columns)))
    write_lists(folder, spec, listing["file"], listing["part"].to_numpy(np.int64), None)
    counts = np.bincount(class_id, minlength=len(spec.codes)).tolist()
    manifest = {
        **data.manifest,
        "images": len(listing),
        "images_sha256": yolo.images_fingerprint(zip(listing[column], listing[STAGED], strict=True)),
        "boxes": dict(zip(spec.codes, counts, strict=True)),
        REPLAY: record,
        yolo.ROWS: {"name": yolo.LABELS, "sha256": fingerprint(folder / yolo.LABELS)},
    }
    write_text(folder / yolo.MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False))
