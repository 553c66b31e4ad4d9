"""`smear`: the embedded data set, synthetic blood smears in the challenge's form."""

import shutil
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console, defaults
from cytoyolo.errors import UsageError, check_count, check_seed
from cytoyolo.files import check_folder, new_folder
from cytoyolo.machine import cores
from cytoyolo.spec import DataSpec, load_spec
from cytoyolo.synthetic.faults import check_rate, inject, kinds
from cytoyolo.synthetic.smear import CODES, EXAMPLES, kind_sheet, kind_tile, render_scene
from cytoyolo.tables.table import LABEL_ROLES, SUBMISSION_ROLES, TEST_ROLES, XYXY, write_table
from cytoyolo.workers import caller_hidden, end_with_parent, interrupts_ignored

JPEG_QUALITY = 92
# The first scenes are on the sheet of all kinds, also if there are fewer images.
_ON_SHEET = EXAMPLES * len(CODES)
MAKER = "smear"


@dataclass(frozen=True)
class Smeared:
    """The result of `smear`.

    Attributes
    ----------
    folder : Path
        The folder with images/ and the tables.
    train_images, test_images : int
        How many images without a fault there are for training and test.
    cells : int
        How many cells are in these images.
    faults : int
        How many faults were put into the table and its images.
    """

    folder: Path
    train_images: int
    test_images: int
    cells: int
    faults: int = 0


def smear(
    *,
    output: str | Path,
    images: int = defaults.SMEAR_IMAGES,
    test: float = defaults.SMEAR_TEST,
    seed: int = defaults.SEED,
    faults: float | None = None,
    overwrite: bool = False,
) -> Smeared:
    """Draw synthetic smears: images/, train.csv, test.csv, test_truth.csv, and kinds.png with all 23 kinds of cells.

    Parameters
    ----------
    output : str or Path
        The folder to make.
    images : int
        How many images to draw.
    test : float
        The share of the images for the test, 0 to 1.
    seed : int
        The same seed gives the same bytes.
    faults : float, optional
        The share of the training images that get a fault in their table row or their file, at most 0.5. Then train.csv
        is faulty, train_clean.csv is the table without faults, faults.csv lists the faults, and stops/ contains tables
        that must stop an audit.
    overwrite : bool
        Replace an existing output of `smear`.

    Returns
    -------
    Smeared

    Raises
    ------
    UsageError
        If the training or the test would be empty, or there are too few images for one fault of each kind.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.smear(output="smears", images=46, test=0.5)
    >>> made.train_images, made.test_images
    (23, 23)
    """
    held_out = check_numbers(images, test, seed, faults)
    folder = Path(output)
    check_folder(folder, MAKER, overwrite)
    spec = load_spec("cytologia")
    with new_folder(folder, MAKER, overwrite) as made:
        painted = made / ("images" if faults is None else "painted")
        painted.mkdir()
        tables, tiles, codes = _render(painted, images, seed)
        # The classes come round in the order of the index, so the last images are as balanced as the first.
        train, truth = pd.concat(tables[:-held_out]), pd.concat(tables[-held_out:])
        truth.insert(0, "id", np.random.default_rng(seed).permutation(len(truth)) + 1)
        labels = made / ("train.csv" if faults is None else "train_clean.csv")
        _write(labels, train, LABEL_ROLES, spec)
        _write(made / "test_truth.csv", truth, SUBMISSION_ROLES, spec)
        _write(made / "test.csv", truth, TEST_ROLES, spec)
        sheet = kind_sheet(tiles, codes, dict(zip(spec.codes, spec.names, strict=True)))
        (made / "kinds.png").write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
        listed = 0
        if faults is not None:
            listed = len(inject(labels, painted, made, spec=spec, rate=faults, seed=seed, test=made / "test.csv"))
            shutil.rmtree(painted)
    return Smeared(folder, images - held_out, held_out, len(train) + len(truth), listed)


def check_numbers(images: int, test: float, seed: int, faults: float | None) -> int:
    """How many images are held out for the test. Raises UsageError for numbers that `smear` can't do with."""
    check_seed(seed)
    check_count("images", images)
    held_out = round(images * test) if 0 < test < 1 else 0
    if not 0 < held_out < images:
        raise UsageError(f"{images} images with a test share of {test} leave nothing to train on or nothing to test.")
    if faults is not None:
        check_rate(faults, images - held_out, kinds(test=True))
    return held_out


def _write(path: Path, table: pd.DataFrame, roles: tuple[str, ...], spec: DataSpec) -> None:
    write_table(path, table[list(roles)].rename(columns=spec.columns))


def _render(folder: Path, images: int, seed: int) -> tuple[list[pd.DataFrame], list[NDArray[np.uint8]], list[str]]:
    """Render on all cores: the labels of each image, and the tiles of the sheet of all kinds with their classes."""
    total = max(images, _ON_SHEET)
    with interrupts_ignored(), caller_hidden():
        # Spawned, not forked: OpenCV's and torch's threads do not survive a fork.
        pool = get_context("spawn").Pool(cores(), initializer=end_with_parent)
    with pool, console.progress() as progress:
        done = pool.imap(partial(_render_one, folder, seed, images), range(total), chunksize=16)
        tables, tiles = zip(*progress.track(done, total, description="Paint smears"), strict=True)
    codes = [str(table["class"].iloc[0]) for table in tables[:_ON_SHEET]]
    return list(tables[:images]), list(tiles[:_ON_SHEET]), codes


def _render_one(folder: Path, seed: int, images: int, index: int) -> tuple[pd.DataFrame, NDArray[np.uint8] | None]:
    """Render a scene, and write it if it is one of the images. A scene of the sheet has a tile."""
    scene = render_scene(seed, index)
    name = f"smear-{seed}-{index:05d}.jpg"
    if index < images:
        encoded = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        (folder / name).write_bytes(encoded.tobytes())
    table = pd.DataFrame(scene.xyxy, columns=XYXY).assign(image=name, **{"class": list(scene.codes)})
    return table, kind_tile(scene) if index < _ON_SHEET else None
