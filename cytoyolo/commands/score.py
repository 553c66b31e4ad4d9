"""`score`: the challenge's score of a submission."""

import json
from pathlib import Path

import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.boxes import Boxes
from cytoyolo.errors import CytoyoloError, check_count, check_seed
from cytoyolo.files import check_folder, new_folder
from cytoyolo.report.confusion import MAX_LABELS, draw_confusion
from cytoyolo.report.page import PAGE, write_page
from cytoyolo.report.pages.matrix import Pair
from cytoyolo.report.pages.scoring import score_page
from cytoyolo.report.parts import Tile
from cytoyolo.scoring.check import Finding, findings, unscorable, unusable
from cytoyolo.scoring.score import Score, evaluate
from cytoyolo.scoring.table_kinds import SUBMISSION, kind_named, score_remedies
from cytoyolo.spec import MASK, DataSpec, load_spec
from cytoyolo.tables.frame import AnyTable, Frame, file_of, given
from cytoyolo.tables.table import SUBMISSION_ROLES, XYXY, have_only_a_name, read_table, refuse
from cytoyolo.text import kind_of, listed_by_kind

MAKER = "score"
_TRUTH = "a truth"


def score(
    truth: AnyTable,
    submission: AnyTable,
    output: str | Path | None = None,
    *,
    images: str | Path | None = None,
    dataset: str | Path = defaults.DATASET,
    seed: int = defaults.SEED,
    replicates: int = 1000,
    overwrite: bool = False,
    report: bool = True,
) -> Score:
    """Score a submission as the CytologIA challenge does.

    Faulty rows (an inverted box, a repeated id) are scored as the challenge scores them, and a message counts what
    `check` would say of them.

    Parameters
    ----------
    truth, submission : str, Path or DataFrame
        Tables with the columns trustii_id,NAME,x1,y1,x2,y2,class. Row 0 of a DataFrame is line 2.
    output : str or Path, optional
        A folder to make, with report.html (a page of all figures), confusion.png, confusion.csv, classes.csv,
        matches.csv and score.json.
    images : str or Path, optional
        The folder of the images: the page then shows cells and the worst images.
    dataset : str or Path
        The data set, which knows the names of the columns. Any classes are scored.
    seed : int
        Seed of the bootstrap.
    replicates : int
        Number of bootstrap samples of images for the 95 % interval.
    overwrite : bool
        Replace an existing output of `score`.
    report : bool
        Whether to write report.html.

    Returns
    -------
    Score

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For tables that can't be scored.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = ["trustii_id", "NAME", "x1", "y1", "x2", "y2", "class"]
    >>> truth = pd.DataFrame([[1, "a.png", 0, 0, 10, 10, "PNN"], [2, "b.png", 0, 0, 10, 10, "LY"]], columns=columns)
    >>> round(score(truth, truth).score, 3)
    1.0
    """
    check_seed(seed)
    check_count("replicates", replicates)
    true, answered = given(truth, "the truth"), given(submission, "the submission")
    if output is not None:
        check_folder(Path(output), MAKER, overwrite, inputs=(file_of(true), file_of(answered), images))
    if images is not None:
        from cytoyolo.commands.page_tiles import check_page_images  # here, because a score alone needs no OpenCV

        check_page_images(images, output, report)
    spec = load_spec(dataset)
    right, labels = read_true_rows(true, spec)
    answer, rows = read_submission(answered, spec)
    result = evaluate(labels, rows, seed=seed, replicates=replicates)
    warn_of_faults(answered, findings(right, answer, spec))
    if output is not None:
        with new_folder(Path(output), MAKER, overwrite) as folder:
            _write(result, folder, spec)
            if report:
                about = f"{answered.name} against {true.name}"
                _write_page(folder, about, result, labels, rows, images)
    return result


def _read(path: Path | Frame, spec: DataSpec, what: str) -> pd.DataFrame:
    """A table in the columns of a submission; `what` it is given as, in words."""
    with kind_named(path, spec, SUBMISSION, score_remedies(spec), what):
        return read_table(path, spec, SUBMISSION_ROLES)


def read_true_rows(path: Path | Frame, spec: DataSpec) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a truth: as strings, and its labels with numeric boxes. Raises CytoyoloError for rows that can't be used."""
    labels = _labels(path, _read(path, spec, _TRUTH), spec)
    return labels, _with_boxes(path, labels, unusable(labels, spec))


def read_submission(path: Path | Frame, spec: DataSpec) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a submission: as strings, and with numeric boxes. Raises CytoyoloError for rows that can't be scored."""
    text = _read(path, spec, SUBMISSION)
    return text, _with_boxes(path, text, unscorable(text, spec))


def _labels(path: Path | Frame, truth: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    """A truth without its rows of images without cells. The challenge's score does not know them, and no ignore
    regions."""
    empty = have_only_a_name(truth, spec.codes)
    if empty.all():
        raise CytoyoloError(f"{path} has only images without cells; give a truth with labels.")
    if empty.any():
        console.note(f"Images without cells in {path}, which a score leaves out: {empty.sum():,}.")
    if masks := int((truth["class"] == MASK).sum()):
        console.note(f"Ignore regions in {path}, which are scored as cells of a class {MASK}: {masks:,}.")
    return truth[~empty]


def _with_boxes(path: Path | Frame, table: pd.DataFrame, judged: tuple[Boxes, dict[int, str]]) -> pd.DataFrame:
    """A table with numeric boxes. Raises CytoyoloError that names the rows that can't be scored."""
    xyxy, faults = judged
    refuse(path, faults, "mend them", table)
    made = table.reset_index(drop=True)
    made[XYXY] = xyxy
    return made


def warn_of_faults(submission: Path | Frame, found: list[Finding]) -> None:
    """Say how many faulty rows a submission has. They are scored all the same."""
    if found:
        faults = "1 fault" if len(found) == 1 else f"{len(found):,} faults"
        named = listed_by_kind([str(one) for one in found], [kind_of(one.message) for one in found])
        console.warn(f"{submission} has {faults} that `cytoyolo check` names ({named}); it was scored as it is.")


def write_score(result: Score, output: Path, spec: DataSpec, overwrite: bool) -> None:
    """Make the folder of a score: confusion.png, confusion.csv, classes.csv, matches.csv and score.json."""
    with new_folder(output, MAKER, overwrite) as folder:
        _write(result, folder, spec)


def _write(result: Score, folder: Path, spec: DataSpec) -> None:
    confusion = result.confusion()
    matches = result.matches.rename(columns={role: spec.columns[role] for role in ("id", "image")})
    if len(result.classes) <= MAX_LABELS:
        title = f"Score {result.score:.4f}, macro F1 {result.macro_f1:.4f}"
        draw_confusion(confusion, folder / "confusion.png", title)
    else:
        console.warn(
            f"The tables hold {len(result.classes):,} different classes, too many for the picture of confusions (at "
            f"most {MAX_LABELS}). confusion.csv has them all. Check the class columns if there should be fewer."
        )
    confusion.to_csv(folder / "confusion.csv", lineterminator="\n")
    result.classes.to_csv(folder / "classes.csv", index=False, lineterminator="\n")
    matches.to_csv(folder / "matches.csv", index=False, lineterminator="\n")
    text = json.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "score.json").write_text(text + "\n", encoding="utf-8")


def _write_page(
    folder: Path, about: str, made: Score, truth: pd.DataFrame, submission: pd.DataFrame, images: str | Path | None
) -> None:
    """Write the page. `truth` and `submission` are the scored rows. Without images it has no pictures."""
    shown: dict[Pair, list[Tile]] = {}
    worst: list[Tile] = []
    if images is not None:
        from cytoyolo.commands.score_tiles import score_tiles  # here, because a score alone needs no OpenCV
        from cytoyolo.report.pictures import Pictures

        shown, worst = score_tiles(made, truth, submission, Path(images), Pictures(folder / PAGE))
    without = "" if images is not None else "Without the image folder there are no pictures of the cells."
    write_page(folder / PAGE, score_page(about, made, shown, worst, without))
