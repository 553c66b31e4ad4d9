"""`convert`: a label table and its images become a YOLO folder."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from cytoyolo import __version__, console
from cytoyolo.annotations import labels as label_rules
from cytoyolo.annotations.images import ImageFacts, check_image_folder, digest, read_many
from cytoyolo.classes import DataSpec, load_spec
from cytoyolo.dataset import yolo
from cytoyolo.dataset.split import class_sets, split
from cytoyolo.dataset.staging import stage, staged_name
from cytoyolo.errors import CytoyoloError, UsageError, check_seed, listed
from cytoyolo.files import check_folder, new_folder
from cytoyolo.tables import LABEL_ROLES, fingerprint, line, read_table, refuse

MAKER = "convert"
DEFAULT_VAL = 0.05


@dataclass(frozen=True)
class Converted:
    """What `convert` made: the folder, and how many images and boxes it holds and had to mend."""

    folder: Path
    images: int
    boxes: int
    clipped: int
    rounded: int
    repaired: int


def convert(
    labels: str | Path,
    *,
    images: str | Path,
    output: str | Path,
    dataset: str | Path = "cytologia",
    val: float | None = None,
    folds: int | None = None,
    groups: str | Path | None = None,
    copy: bool = False,
    seed: int = 0,
    overwrite: bool = False,
) -> Converted:
    """Turn a label table and its image folder into a YOLO folder that `yolo train data=...` takes.

    val is the share of images held out for validation (0.05 when neither val nor folds is given); folds makes that
    many cross-validation splits instead; groups is a CSV (NAME, group) whose groups stay on one side. Images are
    linked, or copied with copy; files that Ultralytics would rewrite or drop are mended in a staged copy. Raises
    UsageError for a wrong call and CytoyoloError for rows or images that can't be used, naming them.
    """
    labels, images, output = Path(labels), Path(images), Path(output)
    check_seed(seed)
    shares = _shares(val, folds)
    spec = load_spec(dataset)
    check_folder(output, MAKER, overwrite, inputs=(labels, images, groups))
    check_image_folder(images)
    table = read_table(labels, spec, LABEL_ROLES)
    xyxy, class_id, faults, rounded = label_rules.parse(table, spec)
    refuse(labels, faults, "mend or delete them, or describe other classes with --dataset")
    group = _read_groups(groups, spec, pd.Index(table["image"].unique()))
    facts = _read_images(images.resolve(), table["image"])
    size = np.array([(facts[name].width, facts[name].height) for name in table["image"]], dtype=np.int64)
    xyxy, clipped, faults = label_rules.fit(xyxy, size)
    refuse(labels, faults, "mend or delete them")

    strata = class_sets(table["image"], class_id)
    part = split(strata.to_numpy(object), group.to_numpy(object), shares, seed)
    listing = _listing(facts, strata.index, part, group)
    settings = {"val": None if folds else shares[1], "folds": folds, "copy": copy, "seed": seed}
    manifest = _manifest(spec, labels, groups, listing, facts, class_id, settings)
    with new_folder(output, MAKER, overwrite, also=(yolo.LABEL_CACHE,)) as folder:
        listing["image_blake2b"] = _stage_images(folder / "images", facts, copy)
        listing["labels_blake2b"] = _write_labels(
            folder / "labels", yolo.label_texts(table["image"], class_id, xyxy, size)
        )
        _write_lists(folder, spec, listing["file"], part, folds)
        listing.rename(columns={"image": spec.columns["image"]}).to_csv(
            folder / yolo.LISTING, index=False, lineterminator="\n"
        )
        (folder / yolo.MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False), encoding="utf-8")
    repaired = int((listing["repairs"] != "").sum())
    return Converted(output, len(listing), len(table), int(clipped.sum()), rounded, repaired)


def _shares(val: float | None, folds: int | None) -> list[float]:
    """The shares of the parts: training and validation, or one for each fold."""
    if val is not None and folds is not None:
        raise UsageError("--val and --folds exclude each other; give one of them.")
    if folds is not None:
        if folds < 2:
            raise UsageError(f"--folds is {folds}; give 2 or more.")
        return [1 / folds] * folds
    val = DEFAULT_VAL if val is None else val
    if not 0 < val < 1:
        raise UsageError(f"--val is {val}; give a share between 0 and 1, such as {DEFAULT_VAL}.")
    return [1 - val, val]


def _read_images(folder: Path, image: pd.Series) -> dict[str, ImageFacts]:
    """Facts of every image of the table by NAME. Raises CytoyoloError that names those that can't be used."""
    names = image.drop_duplicates()
    facts = {}
    with console.progress() as progress:
        for found in progress.track(read_many(folder / name for name in names), len(names), description="Read images"):
            facts[found.path.name] = found
    first_rows = dict(zip(names, names.index.tolist(), strict=True))
    problems = [
        f"{name} ({line(row)}) {facts[name].problem}" for name, row in first_rows.items() if facts[name].problem
    ]
    if problems:
        raise CytoyoloError(
            f"{folder}: {len(problems):,} of {len(names):,} images can't be used ({listed(problems)}); "
            "replace the files or take their rows out of the table."
        )
    return facts


def _read_groups(path: str | Path | None, spec: DataSpec, names: pd.Index) -> pd.Series:
    """The group of each image, "" when it has none."""
    if path is None:
        return pd.Series("", index=names)
    table = read_table(path, spec, ("image", "group")).drop_duplicates()
    repeated = table["image"].duplicated()
    if repeated.any():
        row = int(table.index[repeated][0])
        raise CytoyoloError(f"{path}, {line(row)}: {table['image'][row]} is in two groups; keep one of its rows.")
    group = table.set_index("image")["group"].reindex(names)
    if group.notna().sum() == 0:
        raise CytoyoloError(f"{path} names none of the images of the label table; give the groups of these images.")
    return group.fillna("")


def _listing(facts: dict[str, ImageFacts], names: pd.Index, part: np.ndarray, group: pd.Series) -> pd.DataFrame:
    """images.csv: one row an image, in the order of the table."""
    rows = [facts[name] for name in names]
    return pd.DataFrame(
        {
            "image": names,
            "file": [staged_name(row) for row in rows],
            "width": [row.width for row in rows],
            "height": [row.height for row in rows],
            "part": part,
            "group": group.to_numpy(),
            "repairs": ["; ".join(row.repairs) for row in rows],
        }
    )


def _stage_images(folder: Path, facts: dict[str, ImageFacts], copy: bool) -> list[str]:
    """Stage all images, in the order of the table, and return the staged files' digests."""
    folder.mkdir()
    with console.progress() as progress:
        tracked = progress.track(facts.values(), description="Stage images")
        return [stage(found, folder / staged_name(found), copy) for found in tracked]


def _write_labels(folder: Path, texts: Iterable[tuple[str, str]]) -> list[str]:
    """Write the label files, in the order of the table, and return their digests."""
    folder.mkdir()
    digests = []
    for name, text in texts:
        (folder / f"{PurePath(name).stem}.txt").write_bytes(text.encode())
        digests.append(digest(text.encode()))
    return digests


def _write_lists(folder: Path, spec: DataSpec, file: pd.Series, part: np.ndarray, folds: int | None) -> None:
    """List files and YAMLs; with folds, data.yaml is that of fold 0."""
    for name, text in yolo.list_files(file, part, folds):
        (folder / name).write_text(text, encoding="utf-8")
    if folds is None:
        (folder / "data.yaml").write_text(yolo.data_yaml(spec, *yolo.list_names(None)), encoding="utf-8")
        return
    for fold in range(folds):
        text = yolo.data_yaml(spec, *yolo.list_names(fold))
        (folder / f"fold{fold}.yaml").write_text(text, encoding="utf-8")
    (folder / "data.yaml").write_bytes((folder / "fold0.yaml").read_bytes())


def _manifest(
    spec: DataSpec,
    labels: Path,
    groups: str | Path | None,
    listing: pd.DataFrame,
    facts: dict[str, ImageFacts],
    class_id: np.ndarray,
    settings: Mapping[str, object],
) -> dict[str, object]:
    """How the data set was made and from what; names and hashes only, no path of this machine."""
    return {
        "cytoyolo": __version__,
        **settings,
        "labels": {"name": labels.name, "sha256": fingerprint(labels)},
        "groups": None if groups is None else {"name": Path(groups).name, "sha256": fingerprint(groups)},
        "images": len(listing),
        "images_sha256": yolo.images_fingerprint((name, found.digest) for name, found in facts.items()),
        "boxes": dict(zip(spec.codes, np.bincount(class_id, minlength=len(spec.codes)).tolist(), strict=True)),
        "spec": spec.to_dict(),
    }
