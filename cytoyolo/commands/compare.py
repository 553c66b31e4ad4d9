"""`compare`: submissions, or tables of detections: with a truth which is better, without a truth how far they agree."""

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.compare_page import Couple, write_comparison_page, write_several_page
from cytoyolo.commands.evaluate import cells_of, groups_of, read_found, read_truth
from cytoyolo.commands.page_tiles import check_page_images
from cytoyolo.commands.score import read_submission, read_true_rows, warn_of_faults
from cytoyolo.detector.table import DetectionTable
from cytoyolo.errors import CytoyoloError, UsageError, check_count, check_seed, either, option
from cytoyolo.files import check_folder, new_folder, write_text
from cytoyolo.report.confusion import MAX_LABELS, draw_confusion
from cytoyolo.scoring.agreement import Agreement, Agreements, agree_in_pairs
from cytoyolo.scoring.check import findings
from cytoyolo.scoring.comparison import Comparison, compare_cells, compare_scores
from cytoyolo.scoring.ranking import Ranking, rank_cells, rank_scores
from cytoyolo.scoring.score import evaluate
from cytoyolo.scoring.table_kinds import DETECTIONS, OUT_OF_FOLD, SUBMISSION, table_kind
from cytoyolo.spec import DataSpec, load_spec
from cytoyolo.tables.table import XYXY, write_table

MAKER = "compare"
NAMES = ascii_uppercase  # of results, in the order in which they are given
PAIR = 2

Result = TypeVar("Result")


def compare(
    truth: str | Path | None,
    a: str | Path,
    b: str | Path,
    *more: str | Path,
    output: str | Path | None = None,
    images: str | Path | None = None,
    dataset: str | Path = defaults.DATASET,
    groups: str | Path | None = None,
    conf: float | None = None,
    seed: int = defaults.SEED,
    replicates: int = 1000,
    overwrite: bool = False,
    report: bool = True,
) -> Comparison | Agreement | Ranking | Agreements:
    """Compare submissions, or tables of detections.

    With a truth: by how much the figures differ, with paired bootstrap intervals; McNemar's test; and which cells only
    one of the two gets right. Without a truth: how far the two agree on the cells and on their classes. Several results
    are ranked, and each is compared with the first; without a truth each is compared with each other.

    Parameters
    ----------
    truth : str, Path or None
        The true rows of the submissions, or the label table of the images of the detections. None for no truth.
    a, b : str or Path
        Two submissions. Or two results as `evaluate` takes them: a table that `predict`, `fuse` or `crossval` (oof.csv)
        wrote, or a folder that `predict` made.
    *more : str or Path
        Further results of the same kind.
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
    Comparison, Agreement, Ranking or Agreements
        With a truth a Comparison, without a truth an Agreement. For more than two results a Ranking, and Agreements.
        Their names of the results are A, B, C and so on.

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
    paths = [Path(one) for one in (a, b, *more)]
    _check_numbers(conf, seed, replicates)
    if len(paths) > len(NAMES):
        raise UsageError(f"compare takes at most {len(NAMES)} results, and {len(paths)} are given; give fewer.")
    if output is not None:
        check_folder(Path(output), MAKER, overwrite, inputs=(truth, *paths, groups, images))
    check_page_images(images, output, report)
    spec = load_spec(dataset)
    by_rows = _are_submissions(paths, spec)
    if by_rows and conf is not None:
        raise UsageError(f"{option('conf')} is only for detections, and {paths[0]} is a submission; leave it out.")
    least = defaults.CONF if conf is None else conf
    samples = _Samples(groups, replicates, seed)
    made: Comparison | Agreement | Ranking | Agreements
    if truth is None:
        tables = [_rows(path, spec) if by_rows else _found_rows(path, spec, least) for path in paths]
        _check_images(paths, tables)
        made = _agreement(tables, spec, samples)
    elif by_rows:
        made = _compare_submissions(Path(truth), paths, spec, samples)
    else:
        made = _compare_detections(Path(truth), paths, spec, least, samples)
    if output is not None:
        page = _Page(None if truth is None else Path(truth), images) if report else None
        with new_folder(Path(output), MAKER, overwrite) as folder:
            _write(made, paths, folder, spec, page)
    return made


class _Page(NamedTuple):
    """What a page shows beside the tables: the name of the truth, and the cells of these images."""

    truth: Path | None
    images: str | Path | None


class _Samples(NamedTuple):
    """What a bootstrap draws: groups of a table or images, how often, and from which seed."""

    groups: str | Path | None
    replicates: int
    seed: int

    def drawn(self, groups: pd.Series | None) -> dict[str, Any]:
        """The same as options of the comparisons, with the group of each image."""
        return {"groups": groups, "replicates": self.replicates, "seed": self.seed}


def _check_numbers(conf: float | None, seed: int, replicates: int) -> None:
    check_seed(seed)
    if conf is not None and not 0 <= conf <= 1:
        raise UsageError("conf", conf, "give a number from 0 to 1")
    check_count("replicates", replicates)


def _are_submissions(paths: Sequence[Path], spec: DataSpec) -> bool:
    """Tell whether all tables are submissions. Raises UsageError if only some are."""
    kinds = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder; give submissions, or tables of detections.")
        kind = DETECTIONS if path.is_dir() else table_kind(path, spec)
        kinds.append(DETECTIONS if kind == OUT_OF_FOLD else kind)
    other = next((place for place, kind in enumerate(kinds) if kind != kinds[0]), 0)
    if other and SUBMISSION in (kinds[0], kinds[other]):
        first, second = (f"{paths[place]} is {kinds[place] or 'another table'}" for place in (0, other))
        raise UsageError(f"{first}, and {second}; give only submissions, or only tables of detections.")
    return kinds[0] == SUBMISSION


def _by_name(groups: str | Path | None, names: list[str], spec: DataSpec) -> pd.Series | None:
    # Results without a cell name no image that a table of groups could name.
    of_image = groups_of(groups, names, spec) if names else None
    return None if of_image is None else of_image.set_axis(names)


def _check_images(paths: Sequence[Path], tables: Sequence[pd.DataFrame]) -> None:
    """Raise CytoyoloError for two results that have no image in common. Say in how many images only one
    of them has cells."""
    for (first, a), (second, b) in combinations(zip(paths, tables, strict=True), PAIR):
        one, other = set(a["image"]), set(b["image"])
        if one and other and not one & other:
            raise CytoyoloError(
                f"{first} and {second} have no image in common (such as {min(one)} and {min(other)}); give results for "
                "the same images, with the same names."
            )
        if only := len(one ^ other):
            console.note(f"Images in which only one of {first} and {second} has cells: {only:,}.")


def _agreement(tables: list[pd.DataFrame], spec: DataSpec, samples: _Samples) -> Agreement | Agreements:
    names = list(dict.fromkeys(name for table in tables for name in table["image"]))
    of_image = _by_name(samples.groups, names, spec)
    drawn = samples.drawn(of_image)
    made = agree_in_pairs(_named(tables), **drawn)
    return made if len(tables) > PAIR else next(iter(made.agreements.values()))


def _compare_submissions(truth: Path, paths: Sequence[Path], spec: DataSpec, samples: _Samples) -> Comparison | Ranking:
    text, labels = read_true_rows(truth, spec)
    scores = []
    for path in paths:
        answer, rows = read_submission(path, spec)
        warn_of_faults(path, findings(text, answer, spec))
        scores.append(evaluate(labels, rows, seed=samples.seed, replicates=1))
        if unanswered := scores[-1].unanswered:
            console.note(f"Images without a valid row in {path} (class None): {unanswered:,}.")
        if ignored := scores[-1].ignored:
            console.note(f"Rows of {path} that were not compared (unknown image or id, or repeated id): {ignored:,}.")
    of_image = _by_name(samples.groups, list(dict.fromkeys(labels["image"])), spec)
    drawn = samples.drawn(of_image)
    return (
        compare_scores(labels, *scores, **drawn)
        if len(scores) == PAIR
        else rank_scores(labels, _named(scores), **drawn)
    )


def _compare_detections(
    truth: Path, paths: Sequence[Path], spec: DataSpec, conf: float, samples: _Samples
) -> Comparison | Ranking:
    if table_kind(truth, spec) in (DETECTIONS, OUT_OF_FOLD):
        console.warn(
            f"{truth} is a table of detections, and is taken as the truth because it comes first. If it is one of the "
            f"results, give {either('--no-truth', 'truth=None')}."
        )
    table = read_truth(truth, spec)
    found = _with_the_same_classes([read_found(path, spec) for path in paths], spec)
    cells = [cells_of(truth, table, path, one) for path, one in zip(paths, found, strict=True)]
    of_image = groups_of(samples.groups, list(table.first_rows), spec)
    drawn = samples.drawn(of_image)
    true = _true_cells(table)
    return (
        compare_cells(true, cells[0], cells[1], conf, **drawn)
        if len(cells) == PAIR
        else rank_cells(true, _named(cells), conf, **drawn)
    )


def _named(results: Sequence[Result]) -> dict[str, Result]:
    """Name results A, B, C and so on."""
    return dict(zip(NAMES, results, strict=False))


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


def _write(
    made: Comparison | Agreement | Ranking | Agreements, paths: Sequence[Path], folder: Path, spec: DataSpec,
    page: _Page | None,
) -> None:  # fmt: skip
    """Write the files of a pair, or of several results the tables of all, and a folder for each pair."""
    if isinstance(made, Comparison | Agreement):
        _write_pair(made, paths, folder, spec, page)
        return
    named = _named(paths)
    results = pd.DataFrame({"result": list(named), "path": [str(path) for path in paths]})
    results.to_csv(folder / "results.csv", index=False, lineterminator="\n", errors="backslashreplace")
    if isinstance(made, Ranking):
        write_table(folder / "ranking.csv", made.ranking)
        write_table(folder / "figures.csv", made.figures)
    else:
        write_table(folder / "pairs.csv", made.pairs)
    _write_json(made, folder / ("ranking.json" if isinstance(made, Ranking) else "agreements.json"))
    pairs = _pairs(made)
    places = {(first, second): f"{first}-{second}" for first, second in pairs}
    for (first, second), one in pairs.items():
        place = folder / places[first, second]
        place.mkdir()
        _write_pair(one, (named[first], named[second]), place, spec, page)
    if page is not None:
        write_several_page(folder, named, page.truth, made, places)


def _pairs(made: Ranking | Agreements) -> Mapping[Couple, Comparison | Agreement]:
    """Return the pairs of results that were compared, by their names."""
    if isinstance(made, Ranking):
        return {(NAMES[0], name): one for name, one in made.comparisons.items()}
    return made.agreements


def _write_pair(
    made: Comparison | Agreement, paths: Sequence[Path], folder: Path, spec: DataSpec, page: _Page | None
) -> None:
    """Write all figures in one JSON file, the tables, and the page."""
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
    _write_json(made, folder / ("comparison.json" if compared else "agreement.json"))
    if page is not None:
        write_comparison_page(folder, paths, page.truth, made, page.images)


def _write_json(made: Comparison | Agreement | Ranking | Agreements, place: Path) -> None:
    write_text(place, json.dumps(made.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
