"""`select`: which images of a new laboratory to label, with the model's suggestions to correct."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console, defaults
from cytoyolo.commands.predict_sources import Images, find_images
from cytoyolo.curation.selection import Choice, at_random, representatives, uncertainty
from cytoyolo.detector.averaging import class_vectors
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.features import CellFeatures, around
from cytoyolo.detector.inference import InferenceSettings, complete, data_set_of, open_model, paths_of
from cytoyolo.detector.model import Model
from cytoyolo.detector.predict import detect_files
from cytoyolo.errors import CytoyoloError, UsageError, check_count, check_seed, either, listed, option, reworded
from cytoyolo.files import check_folder, new_folder
from cytoyolo.images.duplicates import find_duplicates
from cytoyolo.images.info import read_many
from cytoyolo.shipped import weights_path
from cytoyolo.spec import DataSpec, plain_spec
from cytoyolo.tables.table import LABEL_ROLES, XYXY, write_table
from cytoyolo.yolo.groups import grouping, read_groups

MAKER = "select"
LABELS, SELECTED, COPIES = "labels.csv", "selected.csv", "images"


@dataclass(frozen=True)
class Selected:
    """The result of `select`.

    Attributes
    ----------
    output : Path
        The output folder.
    labels : Path
        The label table to correct.
    images : int
        How many images were chosen.
    cells : int
        How many cells the model suggests in them.
    groups : int
        How many groups (slides, patients) the chosen images are of. 0 if no groups are known.
    searched : int
        How many images were searched.
    left_out : dict
        Why images could not be chosen, with the number of images for each reason.
    """

    output: Path
    labels: Path
    images: int
    cells: int
    groups: int
    searched: int
    left_out: dict[str, int]


@dataclass(frozen=True)
class _Candidates:
    """The images that can be chosen: what was found in them, how uncertain the least certain cell of each is (0 to 1),
    the features of this cell, and their groups."""

    found: list[Detections]
    uncertain: NDArray[np.float64]
    features: NDArray[np.float32]
    group: NDArray[np.object_]


def select(
    images: str | Path | Sequence[str | Path],
    *,
    weights: str | Path,
    output: str | Path,
    count: int = defaults.SELECTED,
    groups: str | Path | None = None,
    random: bool = False,
    seed: int = defaults.SEED,
    copy_images: bool = False,
    conf: float = defaults.CONF,
    device: str = defaults.DEVICE,
    overwrite: bool = False,
) -> Selected:
    """Choose the images of a new laboratory whose labels will teach a detector most: typical, and unlike each other.

    Of images that show the same, only the first can be chosen. Images in which no cell is found, and whole slides,
    can't be chosen. The chosen images are spread over groups. Without a table of groups, sub-folders are groups.

    Parameters
    ----------
    images : str, Path, or several
        Images and folders of them. An image is named by its path in the folder that holds all.
    weights : str or Path
        A detector's checkpoint (.pt), or the name of weights of this package.
    output : str or Path
        The folder to make. It contains labels.csv (the model's boxes and classes, to correct) and selected.csv.
    count : int
        How many images to choose.
    groups : str or Path, optional
        A CSV with NAME,group: the slide or patient of each image.
    random : bool
        Choose at random, for a comparison.
    seed : int
        The seed of the choice.
    copy_images : bool
        Copy the chosen images into the folder `images` of the output.
    conf : float
        The least confidence of a cell, 0 to 1.
    device : str
        "auto", "cpu", "mps" or the number of a GPU.
    overwrite : bool
        Replace an existing output of `select`.

    Returns
    -------
    Selected

    Raises
    ------
    UsageError
        For a wrong call, also for more images than can be chosen.
    CytoyoloError
        For weights or images that can't be used.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.select("slides", weights="best.pt", output="to_label", count=3, conf=0.0001, device="cpu")
    >>> made.images, made.labels.name
    (3, 'labels.csv')
    """
    detector = weights_path(weights)
    _check(detector, count, seed)
    sources, path = paths_of(images), Path(output)
    found = find_images(sources)
    check_folder(path, MAKER, overwrite, inputs=(*sources, detector, groups))
    settings = InferenceSettings(conf=conf, device=device)
    with reworded({f", and this file as {option('classifiers')}": ""}):
        model = open_model([detector], complete(settings))
    spec = data_set_of(model, None, detector) or plain_spec(model.codes)
    found.say()
    group_of = _groups(groups, spec, list(found.names))
    left_out: Counter[str] = Counter()
    candidates = _candidates(found, model, detector, group_of, left_out)
    left_out = +left_out
    _check_enough(found.shown, count, len(candidates.found), left_out)
    if random:
        rows = at_random(len(candidates.found), count, seed)
    else:
        rows = representatives(candidates.features, candidates.group, count, seed)
    chosen = [candidates.found[one.at] for one in rows]
    with new_folder(path, MAKER, overwrite) as folder:
        write_table(folder / LABELS, _label_rows(chosen, spec))
        write_table(folder / SELECTED, _selected(rows, candidates, spec))
        if copy_images:
            _copy(found.folder, folder / COPIES, [one.image for one in chosen])
    taken = {str(candidates.group[one.at]) for one in rows} - {""}
    cells, searched = sum(map(len, chosen)), len(found.names)
    return Selected(path, path / LABELS, len(rows), cells, len(taken), searched, dict(left_out))


def _check(weights: Path, count: int, seed: int) -> None:
    check_seed(seed)
    check_count("count", count)
    if weights.exists() and weights.suffix.lower() != ".pt":
        raise UsageError(f"{weights} is not a checkpoint, and its features can't be read; give the .pt of a detector.")


def _groups(path: str | Path | None, spec: DataSpec, names: list[str]) -> dict[str, str]:
    """Return the group of each image: by the table or, without a table, by its sub-folder."""
    if path is None:
        return {name: "" if (parent := str(PurePosixPath(name).parent)) == "." else parent for name in names}
    made = grouping(read_groups(path, spec, names, ()), pd.Series(names), names)
    for sentence in made.notes(path):
        console.note(sentence)
    return {str(name): str(group) for name, group in made.group.items()}


def _candidates(
    found: Images, model: Model, weights: Path, group_of: dict[str, str], left_out: Counter[str]
) -> _Candidates:
    """Search the images, and count those that can't be chosen in `left_out`."""
    names = _without_copies(found, left_out)
    features = CellFeatures(weights, model.imgsz, _device_of(model))
    side = max(model.imgsz, model.trained_on.side if model.trained_on else 0)
    several: list[Detections] = []
    unsure: list[float] = []
    seen: list[NDArray[np.float32]] = []
    with console.progress(rate=True) as progress:
        task = progress.add_task("Search", total=len(names))
        for name, one in zip(names, detect_files(model, (found.folder / name for name in names)), strict=True):
            progress.advance(task)
            if one.problem or not len(one.detections):
                left_out["can't be read" if one.problem else "have no cell that is found"] += 1
                continue
            vectors = uncertainty(class_vectors(one.detections.probabilities))
            worst = int(vectors.argmax())
            picture, box = around(one.image, one.detections.xyxy[worst].tolist(), side)
            seen.append(features.of([picture], box[None])[0])
            unsure.append(float(vectors[worst]))
            several.append(replace(one.detections, image=name))
    group = np.array([group_of[one.image] for one in several], object)
    return _Candidates(several, np.array(unsure), np.array(seen, np.float32), group)


def _device_of(model: Model) -> str:
    """Return the device of a model of one detector."""
    return str(getattr(model, "device", "cpu"))


def _without_copies(found: Images, left_out: Counter[str]) -> list[str]:
    """Return the names without images that show the same as an earlier image, and without whole slides."""
    left_out["are whole slides"] += len(found.slides)
    left_out["can't be read"] += len(found.problems)
    names = list(found.names)
    with console.progress() as progress:
        paths = [found.folder / name for name in names]
        facts = list(progress.track(read_many(paths), len(paths), description="Compare images"))
    alike = find_duplicates(facts, names=names)
    place = {name: at for at, name in enumerate(names)}
    copies: set[str] = set()
    for _, rows in alike.groupby("group"):
        copies |= set(sorted({*rows["image"], *rows["twin"]}, key=place.__getitem__)[1:])
    left_out["show the same as another image"] += len(copies)
    return [name for name in names if name not in copies]


def _check_enough(shown: str, wanted: int, there: int, left_out: Counter[str]) -> None:
    """Raise an error if fewer images can be chosen than are wanted."""
    because = f" ({listed([f'{number:,} {reason}' for reason, number in left_out.items()])})" if left_out else ""
    if not there:
        raise CytoyoloError(
            f"{shown} has no image that can be chosen{because}; give other images, or a lower "
            f"{either('--conf', 'conf')} if no cell is found."
        )
    if wanted > there:
        raise UsageError(
            f"{wanted:,} images are wanted, and {there:,} of {shown} can be chosen{because}; give "
            f"{either(f'-n {there}', f'count={there}')}, or give more images."
        )
    if left_out:
        console.note(f"Images that can't be chosen: {left_out.total():,}{because}.")


def _label_rows(chosen: Sequence[Detections], spec: DataSpec) -> pd.DataFrame:
    """Make the label rows of images: what the model suggests."""
    parts = [
        pd.DataFrame(one.pixels, columns=XYXY).astype(str).assign(image=one.image, **{"class": one.classes})
        for one in chosen
    ]
    return pd.concat(parts, ignore_index=True)[list(LABEL_ROLES)].rename(columns=dict(spec.columns))


def _selected(rows: Sequence[Choice], candidates: _Candidates, spec: DataSpec) -> pd.DataFrame:
    """List the chosen images in the order of choice."""
    table = pd.DataFrame(
        {
            "rank": range(1, len(rows) + 1),
            "image": [candidates.found[one.at].image for one in rows],
            "group": [candidates.group[one.at] for one in rows],
            "reason": [one.reason for one in rows],
            "stands_for": ["" if one.stands_for is None else one.stands_for for one in rows],
            "uncertainty": [f"{candidates.uncertain[one.at]:.4f}" for one in rows],
            "cells": [len(candidates.found[one.at]) for one in rows],
        }
    )
    return table.rename(columns={"image": spec.columns["image"]})


def _copy(source: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
