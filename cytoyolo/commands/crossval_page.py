"""The page of `crossval`: the folds, the score, the classes, and the images behind them."""

from pathlib import Path

import pandas as pd

from cytoyolo.commands.class_tables import Judged
from cytoyolo.commands.train_page import draw_judged
from cytoyolo.report.page import PAGE, write_page
from cytoyolo.report.pages.crossvalidation import Fold, crossval_page
from cytoyolo.scoring.class_summary import class_remarks
from cytoyolo.scoring.score import Score
from cytoyolo.yolo.folder import Dataset


def write_crossval_page(folder: Path, score: Score, groups: pd.DataFrame, judged: Judged, data: Dataset) -> None:
    """Write the page into the folder of a cross-validation; safe to repeat after a kill."""
    folds = [_fold(folder, fold, judged.listing) for fold in range(data.manifest["folds"])]
    tiles = draw_judged(folder, judged, data)
    summary = judged.summary
    remarks = class_remarks(summary.classes)
    page = crossval_page(data.spec.name, folds, score, groups, summary, remarks, tiles.cells, tiles[1:])
    write_page(folder / PAGE, page)


def _fold(folder: Path, fold: int, listing: pd.DataFrame) -> Fold:
    run = folder / f"fold{fold}"
    curves = pd.read_csv(run / "metrics.csv") if (run / "metrics.csv").is_file() else pd.DataFrame()
    path = f"fold{fold}/{PAGE}" if (run / PAGE).is_file() else ""
    return Fold(int((listing["part"] == str(fold)).sum()), curves, path)
