"""A label table, and what cross-validations of it predicted, opened and checked against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cytoyolo import console
from cytoyolo.annotations.background import BACKGROUND
from cytoyolo.annotations.policy import load_policy
from cytoyolo.annotations.table import LabelTable
from cytoyolo.annotations.trainable import trainable
from cytoyolo.commands.crossval_folder import MANIFEST, OOF, read_manifest
from cytoyolo.commands.fold_tables import check_unchanged
from cytoyolo.curation.predictions import pool_classes, read_oof
from cytoyolo.detector.table import DetectionTable
from cytoyolo.errors import CytoyoloError, UsageError, listed, option
from cytoyolo.images.names import match_names
from cytoyolo.images.samples import White, parse_white
from cytoyolo.spec import parse_spec
from cytoyolo.tables.kinds import labels_fault
from cytoyolo.tables.table import note_form


@dataclass(frozen=True)
class CurationInputs:
    """The inputs of a curation.

    `given` is the label table as it is in the file, and `table` is the table as a training takes it. `predictions` are
    the pooled predictions of the out-of-fold tables (`sources`). `weights` are the SHA-256 of the weights of each fold
    of the first cross-validation, and `white` is the range in which its images of more than 8 bits are shown.
    """

    given: LabelTable
    table: LabelTable
    sources: tuple[Path, ...]
    predictions: DetectionTable
    weights: list[str]
    white: White


def read_inputs(labels: Path, oof: str | Path | Sequence[str | Path]) -> CurationInputs:
    """Read a label table, and the out-of-fold tables (or folders of `crossval`) that were made from it.

    Raises UsageError or CytoyoloError if a table can't be used, or if the tables don't belong together.
    """
    several = [oof] if isinstance(oof, str | Path) else oof
    sources = tuple(Path(one) / OOF if Path(one).is_dir() else Path(one) for one in several)
    manifests = [_finished(source) for source in sources]
    if not manifests:
        raise UsageError(f"{option('oof')} is missing; give the out-of-fold table that crossval made.")
    given = LabelTable.from_csv(labels, parse_spec(manifests[0]["dataset"]["spec"]))
    note_form(labels, given.records)
    _check_same_table(labels, given.sha256, sources, manifests)
    tables, table = [], given
    for source, manifest in zip(sources, manifests, strict=True):
        tables.append(read_oof(source, given.spec, manifest["folds"]))
        table = _with_names_of(table, tables[-1])
        _check_images(labels, source, manifest["dataset"], table, tables[-1])
        if not len(tables[-1].image):
            raise CytoyoloError(
                f"{source} holds no detection at all: its models have learned nothing; train them longer."
            )
    _check_same_images(sources, tables)
    predictions = pool_classes(tables[0], tables[1:])
    table = _without_leaks(labels, table, predictions)
    # The sizes come from the cross-validation, so that no image must be read.
    table = trainable(labels, table.with_sizes(predictions.size), load_policy(), repair=False).table
    first = manifests[0]
    white = parse_white(first["dataset"].get("white"))
    return CurationInputs(given, table, sources, predictions, first["weights_sha256"], white)


def _finished(source: Path) -> dict[str, Any]:
    """Return the manifest of a cross-validation. Raises UsageError if there is none, and CytoyoloError if it is not
    finished, or its table has changed since."""
    path = source.with_name(MANIFEST)
    if not path.exists():
        named = source.parent if source.name == OOF and source.parent.is_dir() else source
        found = f"no {MANIFEST} is there" if named.exists() else "no such file or folder"
        raise UsageError(
            labels_fault(named) or f"{named}: {found}; give the folder that crossval made, or the {OOF} in it."
        )
    manifest = read_manifest(path)
    if manifest["status"] != "finished":
        raise CytoyoloError(f"{source.parent} is not finished; the same call of crossval goes on with it.")
    if source.is_file() and (sha256 := manifest.get("oof_sha256")):
        check_unchanged(source, sha256)
    return manifest


def _check_same_table(
    labels: Path, fingerprint: str, sources: Sequence[Path], manifests: Sequence[dict[str, Any]]
) -> None:
    """Raise CytoyoloError for cross-validations of another table or data set, and UsageError for one that is given
    twice."""
    for number, (source, manifest) in enumerate(zip(sources, manifests, strict=True)):
        if fingerprint != manifest["labels_sha256"]:
            raise CytoyoloError(
                f"{labels} is not the table that the folds of {source.parent} were made of (its fingerprint differs); "
                "give that one, or run crossval on this one."
            )
        if manifest["dataset"]["spec"] != manifests[0]["dataset"]["spec"]:
            raise CytoyoloError(
                f"{source.parent} is of another data set than {sources[0].parent}; give cross-validations of one."
            )
        for earlier in range(number):
            if manifest["weights_sha256"] == manifests[earlier]["weights_sha256"]:
                raise UsageError(
                    f"{source} and {sources[earlier]} are of the same models; run crossval with another "
                    f"{option('seed')}."
                )


def _with_names_of(table: LabelTable, predictions: DetectionTable) -> LabelTable:
    """Return the table with the image names of a cross-validation, which are the names of the files."""
    found = match_names([*table.first_rows, *table.text["image"][table.ignore_regions]], predictions.fold)
    rows = np.flatnonzero(table.holds("image", found.how))
    names = [found.file[name] for name in table.text["image"][rows]]
    return table.rewritten(rows, {"image": names}) if names else table


def _check_images(
    labels: Path, source: Path, dataset: dict[str, Any], table: LabelTable, predictions: DetectionTable
) -> None:
    """Raise CytoyoloError if the two tables have different images, and `convert` is not the reason.

    With a test table it leaves out images that leak. With a list of images without cells it adds images.
    """
    if (missing := _missing(table, predictions)) and not dataset.get("test"):
        remedy = "run crossval on this table"
        if dataset.get("repair"):
            remedy = "its folds were made with a repair, so run `cytoyolo repair`, and convert and crossval its result"
        raise CytoyoloError(f"{source} has nothing of images of {labels} ({listed(missing)}); {remedy}.")
    foreign = [name for name in predictions.fold if name not in table.first_rows]
    if foreign and not dataset.get(BACKGROUND):
        raise CytoyoloError(
            f"{source} has images that {labels} has not ({listed(foreign)}); run crossval on this table."
        )


def _missing(table: LabelTable, predictions: DetectionTable) -> list[str]:
    return [name for name in table.first_rows if name not in predictions.fold]


def _check_same_images(sources: Sequence[Path], tables: Sequence[DetectionTable]) -> None:
    """Raise CytoyoloError for cross-validations of different images."""
    for source, one in zip(sources, tables, strict=True):
        if other := sorted(one.fold.keys() ^ tables[0].fold.keys()):
            raise CytoyoloError(
                f"{source} and {sources[0]} are of different images ({listed(other)}); give cross-validations of one "
                "folder of convert."
            )


def _without_leaks(labels: Path, table: LabelTable, predictions: DetectionTable) -> LabelTable:
    """Return the table without the images that leaked into the test table, which no model was trained or asked on."""
    leaked = _missing(table, predictions)
    if leaked:
        console.note(
            f"Images of {labels} that also are in the test table of convert: {len(leaked):,} ({listed(leaked, 3)}). No "
            "model has searched them, so their rows stay as they are."
        )
    return table.without(np.flatnonzero(table.holds("image", leaked)))
