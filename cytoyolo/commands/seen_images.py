"""What is said where a result is about images that the weights were trained on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo.detector.seen import Seen
from cytoyolo.detector.weights import Start, load_checkpoint, seen_of
from cytoyolo.errors import CytoyoloError, listed, option
from cytoyolo.files import read_bytes, write_text
from cytoyolo.images.folder import folder_files, match_in_folder
from cytoyolo.images.info import digest
from cytoyolo.text import counted
from cytoyolo.yolo.folder import SOURCE, STAGED, Dataset, held_out
from cytoyolo.yolo.verify import read_listing

# While a training runs, this file in the run folder keeps what the weights that it started from had seen.
START_SEEN = "start_seen.txt"
_SHOWN = 3


def refuse_seen_folds(start: Start, data: Dataset) -> None:
    """Raise CytoyoloError if the start of a cross-validation has seen an image that a fold holds out.

    The only purpose of a cross-validation is that each image is predicted by a model that has not seen it.
    """
    listing = read_listing(data)
    names = _seen_names(start.seen, data, listing)
    if not names and not _knows_data_set(start.seen, data):
        return
    which, remedy = "these images", ""
    if names:
        which = f"{len(names):,} of the {counted(_images(data, listing), 'image')} ({listed(names, _SHOWN)})"
        remedy = ", or leave these images out"
    raise CytoyoloError(
        f"{start.name} was trained on {which}, so the models of the folds would know images that they must not know, "
        "and the out-of-fold predictions would be too good; start from weights that have not seen the images, such as "
        f"{option('model', 'yolo11n.yaml')}{remedy}."
    )


def seen_in_validation(start: Start, data: Dataset, fold: int | None) -> str:
    """Say how many images of the validation part the start of a training has seen, "" if it has seen none."""
    part = _held_out(data, fold)
    names = _seen_names(start.seen, data, part)
    if not names:
        return ""
    return (
        f"{start.name} was trained on {len(names):,} of the {counted(_images(data, part), 'validation image')} "
        f"({listed(names, _SHOWN)}), so the figures of this training are too good; hold out other images, or start "
        "from weights that have not seen them."
    )


def _seen_names(seen: Seen, data: Dataset, listing: pd.DataFrame) -> list[str]:
    """Return the names of the listed images that were seen. Tiles count as their image."""
    pairs = zip(listing[SOURCE], listing[STAGED], strict=True)
    known = np.array([seen.has(source) or seen.has(staged) for source, staged in pairs], bool)
    return list(dict.fromkeys(listing[data.spec.columns["image"]][known]))


def _held_out(data: Dataset, fold: int | None) -> pd.DataFrame:
    """Return the rows of images.csv of the validation part."""
    listing = read_listing(data)
    return listing[held_out(listing["part"].to_numpy(np.int64), fold)]


def _images(data: Dataset, listing: pd.DataFrame) -> int:
    return int(listing[data.spec.columns["image"]].nunique())


def _knows_data_set(seen: Seen, data: Dataset) -> bool:
    """Tell whether weights were trained on a data set of these images or of this label table, as older weights say."""
    same = (seen.dataset == data.manifest["images_sha256"], seen.labels == data.manifest["labels"]["sha256"])
    return not seen.images and any(same)


def write_start_seen(run: Path, start: Start) -> None:
    """Keep what the start of a training has seen, so that the weights of the run carry it, also after a kill."""
    if start.seen.images:
        write_text(run / START_SEEN, "".join(f"{one}\n" for one in sorted(start.seen.images)))


def seen_facts(run: Path, data: Dataset, fold: int | None) -> dict[str, list[str]]:
    """Return what the weights of a run carry about the images that they, and their start, were trained on."""
    path, listing = run / START_SEEN, read_listing(data)
    before = read_bytes(path).decode().split() if path.is_file() else []
    trained = listing[~held_out(listing["part"].to_numpy(np.int64), fold)]
    return Seen(frozenset(before)).and_images([*trained[SOURCE], *trained[STAGED]])


def seen_in_folder(weights: Sequence[Path], names: Sequence[str], folder: Path) -> str:
    """Say how many of the named images of a folder checkpoints were trained on, "" if they have seen none."""
    seen = _seen_by(weights)
    if not seen.images:
        return ""
    file = match_in_folder(names, frozenset(folder_files(folder))).file
    files = {name: folder / file[name] for name in names if name in file}
    known = [name for name, path in files.items() if path.is_file() and seen.has(digest(read_bytes(path)))]
    return _told(known, len(files))


def seen_in_held_out(weights: Sequence[Path], data: Dataset) -> str:
    """Say how many images of the validation part checkpoints were trained on, "" if they have seen none."""
    part = _held_out(data, None)
    return _told(_seen_names(_seen_by(weights), data, part), _images(data, part))


def _seen_by(weights: Sequence[Path]) -> Seen:
    """Return what any of the checkpoints has seen. Exported weights do not know what they have seen."""
    known = [path for path in weights if path.is_file() and path.suffix.lower() == ".pt"]
    return Seen(frozenset[str]().union(*(seen_of(load_checkpoint(path)).images for path in known)))


def _told(names: list[str], count: int) -> str:
    return f"{len(names):,} of the {counted(count, 'image')} ({listed(names, _SHOWN)})" if names else ""
