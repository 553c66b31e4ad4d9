"""How a cross-validation begins, or goes on: its checks, its folder and its data set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from cytoyolo import console, defaults
from cytoyolo.annotations.audit import MENDABLE
from cytoyolo.commands.class_tables import CLASSES, MATRIX, PICTURE
from cytoyolo.commands.convert import convert
from cytoyolo.commands.crossval_folder import (
    DATASET,
    ENSEMBLE,
    GROUPS,
    MAKER,
    MANIFEST,
    OOF,
    SCORE,
    check_inputs,
    check_same,
    new_manifest,
    read_manifest,
    refuse_finished,
    write_manifest,
)
from cytoyolo.commands.fold_tables import check_finished, unbegun, undone
from cytoyolo.commands.seen_images import refuse_seen_folds
from cytoyolo.commands.train_folder import RECIPE
from cytoyolo.commands.train_plan import check_cells, check_start
from cytoyolo.detector.recipes import given, load_recipe
from cytoyolo.detector.settings import TrainingSettings
from cytoyolo.detector.trained_on import check_um_per_px
from cytoyolo.detector.weights import Start, find_start
from cytoyolo.errors import UsageError, option, reworded
from cytoyolo.files import check_folder, maker_of, new_folder, write_text
from cytoyolo.locks import check_free, locked
from cytoyolo.ownership import check_parts
from cytoyolo.report.page import PAGE, PAGE_FILES
from cytoyolo.runners.ledger import FOLDER as JOBS
from cytoyolo.runners.opening import make_room
from cytoyolo.yolo.folder import Dataset, load_dataset
from cytoyolo.yolo.verify import read_listing

# The held-out fold has no influence on the training: no epoch is validated on it, and it never ends a training early.
FIXED_EPOCHS = {"val": False, "patience": 0}


@dataclass(frozen=True)
class FoldsCall:
    """What is asked of a cross-validation: see `crossval`."""

    source: Path
    folder: Path
    images: str | Path | None
    folds: int | None
    groups: str | Path | None
    dataset: str | Path | None
    config: str | Path | None
    um_per_px: float | None
    resume: bool
    overwrite: bool
    report: bool
    training: TrainingSettings

    @property
    def table(self) -> dict[str, str | Path | None]:
        """The options of a label table."""
        return {"images": self.images, "groups": self.groups, "config": self.config, "dataset": self.dataset}


@dataclass(frozen=True)
class FoldsPlan:
    """A call whose options are right.

    `ready` is its YOLO folder, if it has one, and `resolved` has all settings. `start` is what the trainings start
    from, None if the cross-validation was `begun` before.
    """

    call: FoldsCall
    ready: Dataset | None
    resolved: dict[str, Any]
    begun: bool
    start: Start | None


@dataclass(frozen=True)
class OpenFolds:
    """A cross-validation that this process has locked."""

    folder: Path
    data: Dataset
    listing: pd.DataFrame
    manifest: dict[str, Any]
    um_per_px: float | None
    own_dataset: bool
    report: bool

    @property
    def is_trained(self) -> bool:
        """Whether all folds are done."""
        made = (self.folder / OOF).is_file() and (self.folder / SCORE).is_dir()
        return made and not undone(self.folder, self.data.manifest["folds"])


def plan_folds(call: FoldsCall) -> FoldsPlan:
    """Check a call before anything is written. Raises UsageError or CytoyoloError for what is wrong."""
    ready = _ready(call.source, {**call.table, "folds": call.folds})
    check_um_per_px(call.um_per_px)
    training, folder = given(call.training), call.folder
    resolved = load_recipe(training, FIXED_EPOCHS)
    begun = call.resume or (not call.overwrite and maker_of(folder) == MAKER and (folder / MANIFEST).is_file())
    if begun:
        _check_begun(folder, call.resume)
        return FoldsPlan(call, ready, resolved, True, None)
    inputs = (call.source, call.images, call.groups, call.config, training.get("model"), training.get("recipe"))
    check_folder(folder, MAKER, call.overwrite, inputs)
    start = find_start(str(resolved["model"]), asked="model" in training)
    return FoldsPlan(call, ready, resolved, False, start)


@contextmanager
def opened(plan: FoldsPlan) -> Iterator[OpenFolds]:
    """Lock the folder of a plan until the block ends, and make it if it is not there.

    Raises CytoyoloError or UsageError if the call is not the call that the folder was begun with.
    """
    call, folder = plan.call, plan.call.folder
    with locked(folder):
        if plan.start is not None:
            _begin(plan, plan.start)
        data = plan.ready or load_dataset(folder / DATASET)
        manifest = read_manifest(folder / MANIFEST)
        if plan.begun:
            check_same(folder, manifest, data, plan.resolved, call.um_per_px)
            if plan.ready is None:
                files = {"labels": call.source, "groups": call.groups, "config": call.config}
                check_inputs(folder, data, files, call.folds, call.dataset)
            if not call.resume:
                refuse_finished(folder, manifest)
            if manifest["status"] == "finished":
                check_finished(folder, manifest["weights_sha256"])
            if unbegun(folder, manifest["folds"]):
                asked = "model" in given(call.training)
                check_start(folder, manifest, find_start(str(plan.resolved["model"]), asked=asked))
        listing = read_listing(data)
        _note_rare(data)
        yield OpenFolds(folder, data, listing, manifest, call.um_per_px, plan.ready is None, call.report)


def _check_begun(folder: Path, resume: bool) -> None:
    """Raise an error if there is no cross-validation to continue, or if another process works on it."""
    if not (folder / RECIPE).is_file():
        nothing = resume and not (folder / MANIFEST).is_file()
        advice = f"leave out {option('resume', True)}" if nothing else "give another folder"
        raise UsageError(f"{folder} has no cross-validation that can be continued; {advice}.")
    check_free(folder)
    check_parts(folder)


def _begin(plan: FoldsPlan, start: Start) -> None:
    """Make the folder with its settings. If the source is a label table, also make a data set of it.

    Raises CytoyoloError if the weights that the folds would start from have seen images of the data set.
    """
    call, ready = plan.call, plan.ready
    if call.overwrite:
        make_room(call.folder)
    count = (defaults.FOLDS if call.folds is None else call.folds) if ready is None else ready.manifest["folds"]
    with new_folder(call.folder, MAKER, call.overwrite, also=_coming(count)) as made:
        if ready is None:
            with reworded({MENDABLE: "mend or delete them, or let `cytoyolo repair` do it"}):
                convert(
                    call.source, images=call.images or "", output=made / DATASET,
                    dataset=call.dataset or defaults.DATASET, groups=call.groups, config=call.config,
                    folds=count, seed=plan.resolved["seed"],
                )  # fmt: skip
        data = ready or load_dataset(made / DATASET)
        check_cells(call.source, data, range(count))
        refuse_seen_folds(start, data)
        write_text(made / RECIPE, yaml.safe_dump(dict(plan.resolved), sort_keys=False))
        write_manifest(made, new_manifest(data, plan.resolved, call.um_per_px, start))


def _coming(folds: int) -> tuple[str, ...]:
    """What comes into the folder after it was made; anything else there is the user's."""
    of_folds = (name for fold in range(folds) for name in (f"fold{fold}.csv", f"fold{fold}/"))
    return (
        OOF,
        GROUPS,
        CLASSES,
        MATRIX,
        PICTURE,
        PAGE,
        f"{PAGE_FILES}/",
        f"{SCORE}/",
        f"{ENSEMBLE}/",
        f"{JOBS}/",
        *of_folds,
    )


def _ready(source: Path, options: Mapping[str, object]) -> Dataset | None:
    """The YOLO folder, if the source is one; with a table the options are for `convert`."""
    if not source.is_dir():
        if options["images"] is None:
            raise UsageError(f"a label table needs {option('images')}, the folder of its images.")
        return None
    data = load_dataset(source)
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"{option(name)} is only for a label table, and {source} is a folder; leave it out.")
    if not data.manifest["folds"]:
        raise UsageError(
            f"{source} has no folds; convert the label table with {option('folds')}, or give the table itself."
        )
    return data


def _note_rare(data: Dataset) -> None:
    """Say which classes have fewer rows than there are folds."""
    folds = data.manifest["folds"]
    rare = [f"{code} ({count})" for code, count in data.manifest["boxes"].items() if 0 < count < folds]
    if rare:
        console.warn(
            f"Classes with fewer rows than there are folds ({folds}), so some folds have none: {', '.join(rare)}."
        )
