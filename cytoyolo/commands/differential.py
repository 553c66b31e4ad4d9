"""`differential`: the leukocyte differential of stored detections, slide by slide, and its difference to a truth."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.commands.differential_folder import RECORD, UNCERTAIN_CELLS, digest, write_differential
from cytoyolo.commands.differential_slides import SlideCounter, Slides, check_cells, slides_of
from cytoyolo.commands.evaluate import cells_of, read_found, read_truth
from cytoyolo.detector.table import DetectionTable
from cytoyolo.documents import read_json
from cytoyolo.errors import CytoyoloError, UsageError, listed, option, quoted
from cytoyolo.files import check_folder, new_folder
from cytoyolo.machine import shown_date
from cytoyolo.report.page import PAGE, write_page
from cytoyolo.report.pages.differential import differential_page
from cytoyolo.scoring.cells import MATCH_IOU, match
from cytoyolo.scoring.method_comparison import MethodComparison, compare_methods
from cytoyolo.scoring.slide_differential import CountingFacts, Differential
from cytoyolo.spec import DataSpec, load_spec, parse_spec, with_shipped_flags
from cytoyolo.tables.table import XYXY, write_table

MAKER = "differential"
_DETECTIONS = "detections.csv"


@dataclass(frozen=True)
class _Record:
    """What `predict` noted beside its detections: how they were made, the images of each slide, whether slides are the
    groups of a table (None in a prediction of an older version, which does not tell), and the data set."""

    facts: CountingFacts
    images: Mapping[str, int]
    by_groups: bool | None
    whole_slides: tuple[str, ...]
    spec: DataSpec
    digest: str


def differential(
    detections: str | Path,
    *,
    groups: str | Path | None = None,
    cells: int = defaults.CELLS,
    conf: float | None = None,
    truth: str | Path | None = None,
    dataset: str | Path | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    report: bool = True,
) -> Differential:
    """Count the cells of stored detections by slide: shares of the leukocytes with intervals, flagged and uncertain
    cells, and slides with too few cells.

    Beside the detections, `predict` notes the model, the threshold, the date and the data set (differential.json). They
    are taken from there.

    Parameters
    ----------
    detections : str or Path
        The folder that `predict` made, or a table that `predict`, `fuse` or `crossval` (oof.csv) wrote.
    groups : str or Path, optional
        A table of groups (NAME,group): the slide of each image. By default each sub-folder is a slide.
    cells : int
        How many leukocytes of a slide are wanted.
    conf : float, optional
        The lowest confidence of a cell that counts, 0 to 1. By default the threshold that `predict` noted, or else
        0.25.
    truth : str or Path, optional
        A label table of the images, such as the reviewed labels. The shares are then compared slide by slide: bias and
        limits of agreement.
    dataset : str or Path, optional
        The data set, which knows the classes. By default the data set that `predict` noted, or else "cytologia".
    output : str or Path, optional
        A folder to make, with report.html (a page), the tables, the picture and differential.json.
    overwrite : bool
        Replace an existing output of `differential`.
    report : bool
        Whether to write report.html.

    Returns
    -------
    Differential

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For tables that can't be used.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.differential("found", cells=100)  # doctest: +SKIP
    >>> made.slides, made.remarks()  # doctest: +SKIP
    """
    detections = Path(detections)
    _check(conf, cells)
    if output is not None:
        check_folder(Path(output), MAKER, overwrite, inputs=(detections, groups, truth))
    stored = stored_cells(detections, conf, cells, dataset)
    table, record, spec, facts, kept = stored.table, stored.record, stored.spec, stored.facts, stored.kept
    labels = None if truth is None else read_truth(Path(truth), spec)
    every = dict.fromkeys([*stored.images, *(() if labels is None else labels.first_rows)])
    whole = tuple(name for name in stored.whole_slides if name in every)
    slides = slides_of(groups, spec, every, whole, "the images of the detections")
    noted = {} if record is None else _noted(record, slides, stored.images)
    if labels is not None and noted:
        _warn_of_more(Path(str(truth)), slides, labels.first_rows, noted)
    made = _count(kept, spec, slides, every, facts, noted)
    if labels is not None:
        made = replace(made, comparison=_compare(Path(str(truth)), labels, table, kept, slides))
    if output is not None:
        with new_folder(Path(output), MAKER, overwrite) as folder:
            write_differential(folder, made, spec, whole, table, slides.by_groups)
            uncertain = _uncertain(kept, slides)
            if len(uncertain):
                named = spec.column_map("image", *XYXY, "class")
                write_table(folder / UNCERTAIN_CELLS, uncertain.rename(columns=named))
            if report:
                write_page(folder / PAGE, differential_page(made, uncertain))
    return made


def _warn_of_more(truth: Path, slides: Slides, images: Mapping[str, Any], noted: Mapping[str, int]) -> None:
    """Say that a truth has more images of slides than `predict` searched."""
    there = Counter(map(slides.of, images))
    if more := [f"{slide}: {count:,}, {noted.get(slide, 0):,} searched" for slide, count in sorted(there.items())
                if count > noted.get(slide, 0)]:  # fmt: skip
        console.warn(
            f"{truth} has images that `predict` did not search, by the numbers of images of slides ({listed(more)}). "
            "Their cells count as missed; leave these images out of the truth."
        )


def _noted(record: _Record, slides: Slides, images: Sequence[str]) -> Mapping[str, int]:
    """The noted numbers of images, if they are of these slides. Otherwise says that images without a cell are in no
    slide, because the table does not name them."""
    # The noted numbers are of the slides of `predict`, and other slides may have their names by chance.
    unknown = not slides.by_groups and record.by_groups is None
    if not slides.by_groups and (_fits(record, slides, images) if unknown else not record.by_groups):
        return record.images
    empty = sum(record.images.values()) - len(set(images))
    if empty > 0:
        console.note(
            f"Images in which nothing was found: {empty:,}. Their names are not in the table, so no slide counts them; "
            + ("the prediction is of an older version, which did not note whether its slides are sub-folders."
               if unknown else f"`predict` {'with' if slides.by_groups else 'without'} {option('groups')} does.")
        )  # fmt: skip
    return {}


def _fits(record: _Record, slides: Slides, images: Sequence[str]) -> bool:
    """Whether all images of the table are among the noted numbers of images of their slides."""
    there = Counter(map(slides.of, images))
    return all(count <= record.images.get(slide, 0) for slide, count in there.items())


@dataclass(frozen=True)
class StoredCells:
    """Stored detections as a differential counts them.

    `kept` are the cells that count, `images` the names of all images of the `table`, and `record` what `predict` noted.
    """

    table: Path
    kept: DetectionTable
    images: tuple[str, ...]
    spec: DataSpec
    facts: CountingFacts
    record: _Record | None

    @property
    def whole_slides(self) -> tuple[str, ...]:
        """The names of whole slides among the images."""
        return () if self.record is None else self.record.whole_slides


def stored_cells(
    detections: Path, conf: float | None = None, cells: int = defaults.CELLS, dataset: str | Path | None = None
) -> StoredCells:
    """Read stored detections, and what `predict` noted of them. See `differential` for the parameters."""
    table = detections / _DETECTIONS if detections.is_dir() else detections
    record = _read_record(table)
    spec = with_shipped_flags(_spec(dataset, record))
    found = read_found(detections, spec)
    _refuse_classes(table, found, spec)
    facts = _facts(table, record, cells, conf)
    kept = found.take(found.confidence >= facts.threshold)
    if faint := len(found) - len(kept):
        console.note(f"Cells with a confidence below {facts.threshold:g}, which are not counted: {faint:,}.")
    return StoredCells(table, kept, tuple(dict.fromkeys([*found.size, *found.image])), spec, facts, record)


def _check(conf: float | None, cells: int) -> None:
    check_cells(cells)
    if conf is not None and not 0 <= conf <= 1:
        raise UsageError("conf", conf, "give a number from 0 to 1")


def _spec(dataset: str | Path | None, record: _Record | None) -> DataSpec:
    if dataset is None and record is not None:
        return record.spec
    return load_spec(defaults.DATASET if dataset is None else dataset)


def _read_record(table: Path) -> _Record | None:
    """Read what `predict` noted beside its table, if it did. Raises CytoyoloError if it can't be read."""
    path = table.with_name(RECORD)
    if table.name != _DETECTIONS or not path.is_file():
        return None
    content = read_json(path)
    try:
        return _parsed(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CytoyoloError(
            f"{path} is not what `predict` wrote; move it elsewhere, and give {option('dataset')} to count without it."
        ) from error


def _parsed(content: Any) -> _Record:
    noted, below = content["facts"], content["facts"]["uncertain_below"]
    facts = CountingFacts(
        model=str(noted["model"]),
        sha256=tuple(map(str, noted["sha256"])),
        threshold=float(noted["threshold"]),
        date=date.fromisoformat(noted["date"]).isoformat(),
        wanted=int(noted["wanted"]),
        uncertain_below=None if below is None else float(below),
        by_class=bool(noted.get("by_class", False)),
    )
    if not 0 <= facts.threshold <= 1:
        raise ValueError("the threshold is not a number from 0 to 1")
    images = {str(name): int(count) for name, count in content["slides"].items()}
    whole = tuple(map(str, content["whole_slides"]))
    by_groups = bool(content["by_groups"]) if "by_groups" in content else None
    return _Record(facts, images, by_groups, whole, parse_spec(content["dataset"]), str(content["detections_sha256"]))


def _facts(table: Path, record: _Record | None, cells: int, conf: float | None) -> CountingFacts:
    """Say how the cells are counted: as `predict` noted, or as far as the table alone tells."""
    if record is None:
        day = shown_date(date.fromtimestamp(table.stat().st_mtime))
        return CountingFacts("", (), defaults.CONF if conf is None else conf, day, cells)
    facts, least = replace(record.facts, wanted=cells), record.facts.threshold
    if digest(table) != record.digest:
        console.warn(f"{table} has changed since `predict` wrote it. Model and date are taken from {RECORD}.")
        facts = replace(facts, model=f"{facts.model}, table changed since")
    if conf is not None and conf < least:
        console.warn(f"{table} has no cells with a confidence below {least:g}, so {option('conf', conf)} adds none.")
    return replace(facts, threshold=max(least, least if conf is None else conf))


def _refuse_classes(table: Path, found: DetectionTable, spec: DataSpec) -> None:
    if unknown := sorted(set(found.classes) - set(spec.codes)):
        raise CytoyoloError(
            f"{table} has classes that data set {quoted(spec.name)} does not have ({listed(list(map(quoted, unknown)))}"
            f"); give the data set of the detections: {option('dataset')}."
        )


def _count(
    found: DetectionTable, spec: DataSpec, slides: Slides, images: Mapping[str, Any], facts: CountingFacts,
    noted: Mapping[str, int],
) -> Differential:  # fmt: skip
    """Count the cells. `noted` has the numbers of images of slides that are known better than from the detections."""
    counter = SlideCounter(replace(slides, names=sorted({*slides.names, *noted})), spec, found.marked is not None)
    counter.add(images, found)
    counter.images.update({name: max(count - counter.images[name], 0) for name, count in noted.items()})
    return counter.differential(facts, found.codes)


def _compare(truth: Path, labels: Any, detections: Path, found: DetectionTable, slides: Slides) -> MethodComparison:
    """Compare the detections in the images of a truth with its labels. Cells in ignore regions are left out."""
    cells = cells_of(truth, labels, detections, found, ranked=False)
    counted = ~match(cells, MATCH_IOU).ignored
    spec, names = labels.spec, np.array([slides.of(name) for name in labels.first_rows], object)
    places = sorted(set(names))
    slide = pd.Index(places, dtype=object).get_indexer(pd.Index(names, dtype=object))
    shape, counts = (len(places), len(spec.codes)), []
    for image, class_id in ((cells.true_image, cells.true_class), (cells.image[counted], cells.class_id[counted])):
        number = np.zeros(shape, np.int64)
        np.add.at(number, (slide[image], class_id), 1)
        counts.append(number)
    return compare_methods(places, counts[0], counts[1], spec)


def _uncertain(found: DetectionTable, slides: Slides) -> pd.DataFrame:
    """List the uncertain cells."""
    rows = found.take(found.uncertain)
    table = pd.DataFrame({"slide": [slides.of(name) for name in rows.image], "image": rows.image})
    table[XYXY] = rows.xyxy.astype(np.int64)
    table["class"], table["confidence"] = rows.classes, rows.confidence
    return table
