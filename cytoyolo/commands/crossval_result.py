"""The end of a cross-validation: the folds' tables joined and scored, the page, the ensemble of the folds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cytoyolo.commands.class_tables import judged, write_classes
from cytoyolo.commands.crossval_folder import ENSEMBLE, GROUPS, MAKER, OOF, SCORE, write_manifest
from cytoyolo.commands.crossval_page import write_crossval_page
from cytoyolo.commands.crossval_predictions import by_group
from cytoyolo.commands.fold_tables import LAST, joined_tables, weights_hashes
from cytoyolo.commands.score import write_score
from cytoyolo.curation.predictions import read_oof
from cytoyolo.detector.ensemble_folder import write_ensemble
from cytoyolo.detector.table import OUT_OF_FOLD
from cytoyolo.files import new_folder
from cytoyolo.report.page import PAGE
from cytoyolo.scoring.rows import fill
from cytoyolo.scoring.score import Score, evaluate
from cytoyolo.tables.table import fingerprint, write_table
from cytoyolo.yolo.folder import Dataset
from cytoyolo.yolo.labels import read_labels


@dataclass(frozen=True, eq=False)
class Crossvalidated:
    """The result of `crossval`.

    Attributes
    ----------
    folder : Path
        The folder of the folds and tables.
    oof : Path
        The out-of-fold table: the detections of each image by the model that has not seen it.
    folds : int
        How many folds there are.
    score : Score
        The score of the out-of-fold detections against the labels.
    groups : DataFrame
        A row for each named group, the largest group first: group, images, rows, score, giou, macro_f1, and accuracy
        (the share of rows whose class is right). It is empty if the data set has no groups.
    classes : DataFrame
        How well each class is found by models that have not seen the cells: see
        `cytoyolo.scoring.class_summary.ClassSummary`. Average precision counts the cells of the out-of-fold table.
    ensemble : Path or None
        The folder of the ensemble, if it was asked for.
    seeds : DataFrame or None
        With several seeds: see `cytoyolo.scoring.over_seeds`. All other results are then of the first seed of the call,
        except `folder`, which holds the folders of all seeds.
    """

    folder: Path
    oof: Path
    folds: int
    score: Score
    groups: pd.DataFrame
    classes: pd.DataFrame
    ensemble: Path | None = None
    seeds: pd.DataFrame | None = None


def finish(
    folder: Path, data: Dataset, listing: pd.DataFrame, manifest: dict[str, Any], report: bool
) -> Crossvalidated:
    """Join the folds' tables in the order of the data set, and score them; safe to repeat after a kill.

    Without a `report`, an earlier page is removed, because it has other figures if a fold was predicted again.
    """
    folds = data.manifest["folds"]
    column = data.spec.columns["image"]
    whole, listing = listing, listing.drop_duplicates(column)  # the tiles of an image have rows of their own
    weights = weights_hashes(folder, folds)
    write_table(folder / OOF, joined_tables(folder, data, OUT_OF_FOLD), overwrite=True)
    predictions = read_oof(folder / OOF, data.spec, folds)
    labels = read_labels(data)
    truth = labels.assign(id=range(len(labels)))
    submission = fill(truth[["id", "image"]], [predictions], data.spec.fallback)[0]
    score = evaluate(truth, submission, seed=manifest["seed"])
    group = listing.set_index(column)["group"] if data.manifest["groups"] else pd.Series("", index=listing[column])
    groups = by_group(truth, submission, score, group)
    write_score(score, folder / SCORE, data.spec, overwrite=True)
    write_table(folder / GROUPS, groups, overwrite=True)
    compared = judged(predictions, labels, whole, data)
    write_classes(compared.summary, folder)
    if report:
        write_crossval_page(folder, score, groups, compared, data)
    else:
        (folder / PAGE).unlink(missing_ok=True)
    finished = {**manifest, "status": "finished", "weights_sha256": weights}
    finished |= {"oof_sha256": fingerprint(folder / OOF), "score": score.to_dict()}
    write_manifest(folder, finished)
    return Crossvalidated(folder, folder / OOF, folds, score, groups, compared.summary.classes)


def keep_ensemble(folder: Path, data: Dataset) -> Path:
    """Keep copies of the folds' models as an ensemble, in which all models have the same weight."""
    place = folder / ENSEMBLE
    with new_folder(place, MAKER, overwrite=True) as made:
        models = {f"fold{fold}.pt": folder / f"fold{fold}" / LAST for fold in range(data.manifest["folds"])}
        write_ensemble(made, models, {}, data.spec.codes)
    return place
