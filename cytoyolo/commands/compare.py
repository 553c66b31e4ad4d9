"""`compare`: two submissions, or two tables of detections: with a truth which is better, without one how far they
agree."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.compare_page import write_comparison_page
from cytoyolo.commands.evaluate import cells_of, groups_of, read_found, read_truth
from cytoyolo.commands.page_tiles import check_page_images
from cytoyolo.commands.score import read_submission, read_true_rows, warn_of_faults
from cytoyolo.detector.table import DetectionTable
from cytoyolo.errors import UsageError, check_seed, option
from cytoyolo.files import check_folder, new_folder, write_text
from cytoyolo.report.confusion import MAX_LABELS, draw_confusion
from cytoyolo.scoring.agreement import Agreement, agree
from cytoyolo.scoring.check import findings
from cytoyolo.scoring.comparison import Comparison, compare_cells, compare_scores
from cytoyolo.scoring.score import evaluate
from cytoyolo.scoring.table_kinds import DETECTIONS, OUT_OF_FOLD, SUBMISSION, table_kind
from cytoyolo.spec import DataSpec, load_spec
from cytoyolo.tables.table import XYXY, write_table

MAKER = "compare"
_SHOWN = 3


def compare(
    truth: str | Path | None,
    a: str | Path,
    b: str | Path,
    *,
    output: str | Path | None = None,
    images: str | Path | None = None,
    dataset: str | Path = defaults.DATASET,
    groups: str | Path | None = None,
    conf: float | None = None,
    seed: int = defaults.SEED,
    replicates: int = 1000,
    overwrite: bool = False,
    report: bool = True,
) -> Comparison | Agreement:
    """Compare two submissions, or two tables of detections.

    With a truth: by how much the figures differ, with paired bootstrap intervals; McNemar's test; and which cells only
    one of the two gets right. Without a truth: how far the two agree on the cells and on their classes.

    Parameters
    ----------
    truth : str, Path or None
        The true rows of the submissions, or the label table of the images of the detections. None for no truth.
    a, b : str or Path
        Two submissions. Or two results as `evaluate` takes them: a table that `predict`, `fuse` or `crossval` (oof.csv)
        wrote, or a folder that `predict` made.
    output : str or Path, optional
        A folder to make, with report.html (a page), and all figures and cells as tables.
    images : str or Path, optional
        The folder of the images: the page then shows the cells that tell A and B apart.
    dataset : str or Path
        The data set, which knows the classes and the names of the columns.
    groups : str or Path, optional
        A table of groups (NAME,group), such as slides: intervals over groups, and with a truth figures by group.
    conf : float, optional
        The confidence from which detections count, 0 to 1. By default 0.25. Submissions have no confidence.
    seed, replicates : int
        Seed and number of the bootstrap samples.
    overwrite : bool
        Replace an existing output of `compare`.
    report : bool
        Whether to write report.html.

    Returns
    -------
    Comparison or Agreement
        With a truth a Comparison, without a truth an Agreement.

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For tables that can't be compared.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.compare("truth.csv", "first.csv", "second.csv", dataset="wbc5")  # doctest: +SKIP
    >>> made.figures  # doctest: +SKIP
    >>> cytoyolo.compare(None, "first.csv", "second.csv", dataset="wbc5").figures  # doctest: +SKIP
    """
    paths = Path(a), Path(b)
    _check_numbers(conf, seed, replicates)
    if output is not None:
        check_folder(Path(output), MAKER, overwrite, inputs=(truth, *paths, groups, images))
    check_page_images(images, output, report)
    spec = load_spec(dataset)
    by_rows = _are_submissions(paths, spec)
    if by_rows and conf is not None:
        raise UsageError(f"{option('conf')} is only for detections, and {paths[0]} is a submission; leave it out.")
    least = defaults.CONF if conf is None else conf
    made: Comparison | Agreement
    if truth is None:
        tables = [_rows(path, spec) if by_rows else _found_rows(path, spec, least) for path in paths]
        names = list(dict.fromkeys([*tables[0]["image"], *tables[1]["image"]]))
        made = agree(*tables, groups=_by_name(groups, names, spec), replicates=replicates, seed=seed)
    elif by_rows:
        made = _compare_submissions(Path(truth), paths, spec, groups, replicates, seed)
    else:
        made = _compare_detections(Path(truth), paths, spec, groups, least, replicates, seed)
    if output is not None:
        with new_folder(Path(output), MAKER, overwrite) as folder:
            _write(made, folder, spec)
            if report:
                write_comparison_page(folder, paths, None if truth is None else Path(truth), made, images)
    return made


def _check_numbers(conf: float | None, seed: int, replicates: int) -> None:
    check_seed(seed)
    if conf is not None and not 0 <= conf <= 1:
        raise UsageError("conf", conf, "give a number from 0 to 1")
    if replicates < 1:
        raise UsageError("replicates", replicates, "give 1 or more")


def _are_submissions(paths: tuple[Path, Path], spec: DataSpec) -> bool:
    """Tell whether both tables are submissions. Raises UsageError for one of each kind."""
    kinds = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder; give two submissions, or two tables of detections.")
        kind = DETECTIONS if path.is_dir() else table_kind(path, spec)
        kinds.append(DETECTIONS if kind == OUT_OF_FOLD else kind)
    if SUBMISSION in kinds and kinds[0] != kinds[1]:
        first, second = (f"{path} is {kind or 'another table'}" for path, kind in zip(paths, kinds, strict=True))
        raise UsageError(f"{first}, and {second}; give two submissions, or two tables of detections.")
    return kinds[0] == SUBMISSION


def _by_name(groups: str | Path | None, names: list[str], spec: DataSpec) -> pd.Series | None:
    of_image = groups_of(groups, names, spec)
    return None if of_image is None else of_image.set_axis(names)


def _compare_submissions(
    truth: Path, paths: tuple[Path, Path], spec: DataSpec, groups: str | Path | None, replicates: int, seed: int
) -> Comparison:
    text, labels = read_true_rows(truth, spec)
    scores = []
    for path in paths:
        answer, rows = read_submission(path, spec)
        warn_of_faults(path, findings(text, answer, spec))
        scores.append(evaluate(labels, rows, seed=seed, replicates=1))
        if unanswered := scores[-1].unanswered:
            console.note(f"Images without a valid row in {path} (class None): {unanswered:,}.")
        if ignored := scores[-1].ignored:
            console.note(f"Rows of {path} that were not compared (unknown image or id, or repeated id): {ignored:,}.")
    of_image = _by_name(groups, list(dict.fromkeys(labels["image"])), spec)
    return compare_scores(labels, *scores, groups=of_image, replicates=replicates, seed=seed)


def _compare_detections(
    truth: Path, paths: tuple[Path, Path], spec: DataSpec, groups: str | Path | None, conf: float, replicates: int,
    seed: int,
) -> Comparison:  # fmt: skip
    table = read_truth(truth, spec)
    found = _with_the_same_classes([read_found(path, spec) for path in paths], spec)
    a, b = (cells_of(truth, table, path, one) for path, one in zip(paths, found, strict=True))
    of_image = groups_of(groups, list(table.first_rows), spec)
    return compare_cells(_true_cells(table), a, b, conf, groups=of_image, replicates=replicates, seed=seed)


def _with_the_same_classes(found: list[DetectionTable], spec: DataSpec) -> list[DetectionTable]:
    codes = tuple(dict.fromkeys([*spec.codes, *(code for one in found for code in one.codes)]))
    return [one.with_classes(codes) for one in found]


def _true_cells(table: LabelTable) -> pd.DataFrame:
    rows = np.flatnonzero(table.labels)
    text = {role: table.text[role][rows] for role in ("image", "class")}
    cells = pd.DataFrame(table.xyxy[rows], columns=XYXY).assign(**text)
    return cells[["image", *XYXY, "class"]]


def _rows(path: Path, spec: DataSpec) -> pd.DataFrame:
    """Return the cells of a submission. A row whose box has no area is no cell."""
    rows = read_submission(path, spec)[1]
    sides = rows[["x2", "y2"]].to_numpy() - rows[["x1", "y1"]].to_numpy()
    boxes = (sides > 0).all(axis=1)
    if not boxes.all():
        console.note(f"Rows of {path} whose box has no area, left out: {int((~boxes).sum()):,}.")
    cells: pd.DataFrame = rows.loc[boxes, ["image", *XYXY, "class"]]
    return cells


def _found_rows(path: Path, spec: DataSpec, conf: float) -> pd.DataFrame:
    found = read_found(path, spec)
    table: pd.DataFrame = found.take(found.confidence >= conf).to_pandas()
    return table[["image", *XYXY, "class"]]


def _write(made: Comparison | Agreement, folder: Path, spec: DataSpec) -> None:
    """Write all figures in one JSON file, and the tables."""
    compared = isinstance(made, Comparison)
    names = ("figures", "classes", "groups", "mcnemar") if compared else ("figures", "classes")
    cells = made.true_cells if isinstance(made, Comparison) else made.cells
    columns = {role: spec.columns[role] for role in ("id", "image") if role in cells}
    for name in names:
        if len(table := getattr(made, name)):
            write_table(folder / f"{name}.csv", table)
    write_table(folder / "cells.csv", cells.rename(columns=columns))
    if isinstance(made, Agreement):
        made.confusion.to_csv(folder / "confusion.csv", lineterminator="\n")
        if len(made.confusion) <= MAX_LABELS:
            draw_confusion(made.confusion, folder / "confusion.png", "Cells by their class in A and in B")
    text = json.dumps(made.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder / ("comparison.json" if compared else "agreement.json"), text + "\n")
