"""The inputs of a review, opened and checked against each other: a table, its images, findings and groups."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo import console
from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations.changes import read_log
from cytoyolo.annotations.policy import load_policy
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.audit import FINDINGS, SUMMARY
from cytoyolo.commands.curate import CHANGES, SCORES, SUGGESTIONS
from cytoyolo.commands.curate import FINDINGS as CURATED
from cytoyolo.commands.differential_slides import slides_of
from cytoyolo.commands.review_cells import DETECTIONS
from cytoyolo.documents import read_json
from cytoyolo.errors import CytoyoloError, UsageError, call, listed, option, quoted
from cytoyolo.files import read_bytes
from cytoyolo.images.folder import match_in_folder, note_renamed
from cytoyolo.images.names import match_names
from cytoyolo.reviewing.decisions import Box
from cytoyolo.reviewing.items import Item, examples, of_audit, of_curation, of_every_label, of_scores, rules_to_ask
from cytoyolo.reviewing.store import CELLS, LABELS, About, Store
from cytoyolo.spec import DataSpec
from cytoyolo.tables.table import XYXY, fingerprint, note_form
from cytoyolo.text import counted
from cytoyolo.yolo.groups import read_groups

_AUDITED = ["line", "image", "rule", "severity", "value", "action", "detail"]
_CURATED = ["line", "image", "rule", "value", "action", "detail"]
_SCORED = ["rank", "line", "image", "class", "score", "predicted", "findings"]


@dataclass(frozen=True)
class _Findings:
    """Items, and how certain the curation was of each row, if it is known."""

    items: list[Item]
    scores: Mapping[int, float]


def begin_labels(
    labels: Path, images: Path, findings: Path | None, groups: Path | None, spec: DataSpec
) -> tuple[About, list[Item]]:
    """Read what a review of labels is about, and what there is to decide. Raises UsageError or CytoyoloError."""
    table = LabelTable.from_csv(labels, spec, images=images)
    note_form(labels, table.records)
    found = _Findings(of_every_label(table), {}) if findings is None else _read(findings, labels, table)
    if not found.items:
        raise CytoyoloError(
            f"{findings or labels} leaves nothing to decide; there are no findings about labels or images."
        )
    known = table.listing or frozenset()
    of = read_groups(groups, spec, [*table.first_rows], known).of if groups is not None else {}
    return About(
        LABELS, str(labels.resolve()), table.sha256, str(images.resolve()),
        "" if findings is None else str(findings.resolve()), "" if findings is None else _digest(findings), spec,
        table.records.to_bytes(), examples(table, found.items, found.scores), dict(of),
    ), found.items  # fmt: skip


def check_same(path: Path, about: About, source: Path, findings: Path | None) -> None:
    """Refuse a table that was changed since the review began, and other findings."""
    if (source.is_dir()) != (about.kind == CELLS):
        raise UsageError(f"{path} is a review of {about.source}; give another name with {option('output')}.")
    if fingerprint(source / DETECTIONS if source.is_dir() else source) != about.sha256:
        if source.resolve() != Path(about.source):
            raise UsageError(
                f"{path} is a review of {about.source}, which is not the same as {source}; give another name with "
                f"{option('output')}."
            )
        raise CytoyoloError(
            f"{source} has changed since the review {path} began. Nothing that was decided is lost: "
            f"{call('review', path, export='changes.csv')} writes it for the table as it was, and "
            f"{option('output')} with another name begins a review of the new table."
        )
    if findings is not None and _digest(findings) != about.findings_sha256:
        raise CytoyoloError(
            f"{path} is a review of other findings than {findings}; leave {option('findings')} out to go on with it, "
            f"or give another name with {option('output')}."
        )


def check_same_groups(store: Store, groups: Path) -> None:
    """Refuse a table that gives other groups to the images than the review has."""
    about = store.about
    if about.kind == CELLS:
        slide = slides_of(groups, about.spec, about.groups, (), "the images of the review").of
        same = all(slide(name) == group for name, group in about.groups.items())
    else:
        table = LabelTable.parse(Path(about.source), about.table, about.spec)
        other = {*about.groups, *(item.image for item in store.items)}
        same = read_groups(groups, about.spec, [*table.first_rows], other).of == about.groups
    if not same:
        raise UsageError(
            f"{store.path} has other groups than {groups} gives; leave {option('groups')} out to go on with it, or "
            f"give another name with {option('output')}."
        )


def images_of(store: Store, table: LabelTable) -> list[str]:
    """The names of the images of a review; for a prediction, also of the images without a cell that counts."""
    without_cells = store.about.groups if store.about.kind == CELLS else ()
    of_items = (item.image for item in store.items)
    return [
        name for name in dict.fromkeys([*map(str, table.text["image"][table.alive]), *of_items, *without_cells]) if name
    ]


def files_of(images: Path, names: Collection[str], beside: Collection[str] = ()) -> dict[str, str]:
    """The file of the image folder that each name means. Says which of `names` are missing. The images `beside`, such
    as the images of a test table, may be elsewhere."""
    from cytoyolo.images.folder import folder_files
    from cytoyolo.images.info import check_image_folder

    check_image_folder(images)
    matched = match_in_folder([*names, *beside], frozenset(folder_files(images)))
    note_renamed({name: matched.file[name] for name in matched.how})
    if missing := [name for name in names if name not in matched.file]:
        console.warn(f"{images} lacks {counted(len(missing), 'image')} of the review ({listed(missing)}).")
    return matched.file


def _digest(findings: Path) -> str:
    return fingerprint(findings / FINDINGS if findings.is_dir() else findings)


def _read(findings: Path, labels: Path, table: LabelTable) -> _Findings:
    path = findings / FINDINGS if findings.is_dir() else findings
    if findings.is_dir() and not path.is_file():
        raise UsageError(f"{findings} holds no {FINDINGS}; give a folder that `audit` made, or a table of `curate`.")
    rows = _texts(path, table)
    if set(_AUDITED) <= set(rows.columns):
        return _audited(path, _with_lines(path, rows, table), labels, table)
    if set(_SCORED) <= set(rows.columns):
        _check_log(path, SCORES, labels, table)
        rows = _with_lines(path, rows, table, images=False)
        _check_rows(path, rows, table)
        scores = _by_row(path, rows, "score")
        return _Findings(of_scores(table, rows, table.spec.codes), scores)
    if set(_CURATED) <= set(rows.columns):
        return _curated(path, _with_lines(path, rows, table), labels, table)
    raise CytoyoloError(
        f"{path} is not a table of findings; give the folder of `audit`, or .findings.csv or .scores.csv of `curate`."
    )


def _texts(path: Path, table: LabelTable, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table of `audit` or `curate` as text. The columns of images and classes are named so.

    Raises CytoyoloError if it is none, or lacks one of the columns.
    """
    read_bytes(path)  # says what is wrong with the path
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise CytoyoloError(
            f"{path} is not a table of findings; give the one that `audit` or `curate` wrote."
        ) from error
    if lacking := [name for name in columns if name not in rows.columns]:
        raise CytoyoloError(f"{path} lacks the columns {listed(lacking)}; give the table that `curate` wrote.")
    return rows.rename(columns={table.spec.columns[role]: role for role in ("image", "class")})


def _by_row(path: Path, rows: pd.DataFrame, column: str) -> dict[int, float]:
    """Return the numbers of a column by row of the label table. Raises CytoyoloError for a text that is no number."""
    values = pd.to_numeric(rows[column], errors="coerce")
    if values.isna().any():
        at = int(values.isna().to_numpy().argmax())
        raise CytoyoloError(
            f"{path}, line {at + 2}: {column} is {quoted(rows[column].iloc[at])}, and not a number; give the table "
            "that `curate` wrote."
        )
    return {int(line) - 2: float(value) for line, value in zip(rows["line"], values, strict=True)}


def _with_lines(path: Path, rows: pd.DataFrame, table: LabelTable, images: bool = True) -> pd.DataFrame:
    """Return findings with each line as a whole number, or "" for a finding about an image if `images` may have some.

    Raises CytoyoloError for lines that the table does not have.
    """
    empty = (rows["line"] == "").to_numpy() & images
    line = pd.to_numeric(rows["line"], errors="coerce").to_numpy(np.float64)
    fine = empty | ((line == np.floor(line)) & (line >= 1) & (line < len(table.alive) + 2))
    if not fine.all():
        at = int(np.argmin(fine))
        raise CytoyoloError(
            f"{path}, line {at + 2}: the table has no line {quoted(rows['line'].iloc[at])}; give the findings of this "
            "table."
        )
    return rows.assign(line=["" if none else str(int(one)) for none, one in zip(empty, line, strict=True)])


def _check_rows(path: Path, rows: pd.DataFrame, table: LabelTable, boxes: bool = False) -> None:
    """Refuse findings of another table: those whose lines have other images or classes in this table.

    With `boxes`, the value of a finding is the box of its row, as `curate` writes it. Of a table whose rows were sorted
    or deleted, nearly every line exists, and what was found would stand at wrong labels.
    """
    of_rows = rows[(rows["line"] != "") & (rows["line"] != "1")]
    at = of_rows["line"].to_numpy(np.int64) - 2
    for role in ("image", "class"):
        if role not in of_rows.columns:
            continue
        given, own = of_rows[role].to_numpy(object), table.text[role][at]
        other = (given != own) & (given != "")
        if role == "image" and other.any():  # a table may name a file in another way
            meant = match_names(set(given[other]), frozenset(table.text["image"])).file
            other &= np.array([meant.get(one) for one in given], dtype=object) != own
        _refuse_other(path, of_rows, other, role, given, own)
    if boxes:
        given, own = of_rows["value"].to_numpy(object), np.array([table.box(row) for row in at], dtype=object)
        pairs = zip(map(_numbers, given), map(_numbers, own), strict=True)
        other = np.array([None not in pair and pair[0] != pair[1] for pair in pairs], dtype=bool)
        _refuse_other(path, of_rows, other, "box", given, own)


def _numbers(box: str) -> list[float] | None:
    """The four numbers of a box; None if the text is not a box, as a spreadsheet may leave it."""
    try:
        found = [float(text) for text in box.split(",")]
    except ValueError:
        return None
    return found if len(found) == len(XYXY) else None


def _refuse_other(
    path: Path, rows: pd.DataFrame, other: np.ndarray, what: str, given: np.ndarray, own: np.ndarray
) -> None:
    """Refuse the first finding that is about something other than its row of the table."""
    if other.any():
        first = int(other.argmax())
        raise CytoyoloError(
            f"{path}, line {rows.index[first] + 2}: the {what} is {quoted(given[first])}, but line "
            f"{rows['line'].iloc[first]} of the table has {quoted(own[first])}; give the table that was audited or "
            "curated, or make the findings again."
        )


def _audited(path: Path, rows: pd.DataFrame, labels: Path, table: LabelTable) -> _Findings:
    summary = path.with_name(SUMMARY)
    if summary.is_file():
        try:
            made_of = read_json(summary)["labels"]["sha256"]
        except (KeyError, TypeError) as error:
            raise CytoyoloError(f"{summary} is not what `audit` wrote; make the audit again.") from error
        if made_of != table.sha256:
            raise CytoyoloError(f"{path} is an audit of another table than {labels}; make the audit again.")
    else:
        _check_rows(path, rows, table)
    policy = load_policy()
    audited = auditing.run(table, policy, only=rules_to_ask(rows, policy))
    items, whole = of_audit(table, rows, audited)
    if whole:
        console.note(f"Findings about the table as a whole, which this review leaves out: {whole:,}.")
    return _Findings(items, {})


def _curated(path: Path, rows: pd.DataFrame, labels: Path, table: LabelTable) -> _Findings:
    """Read the findings of a curation, with the tables beside them as far as they are there."""
    beside = {suffix: _beside(path, CURATED, suffix) for suffix in (SUGGESTIONS, CHANGES, SCORES)}
    changes = _check_log(path, CURATED, labels, table)
    _check_rows(path, rows, table, boxes=True)
    boxes = {} if changes is None else _boxes(beside[CHANGES], changes, rows, table)
    classes, scores = dict[int, str](), dict[int, float]()
    if beside[SUGGESTIONS].is_file():
        suggested = _texts(beside[SUGGESTIONS], table, ["line", "suggested"])
        suggested = _with_lines(beside[SUGGESTIONS], suggested, table, images=False)
        _check_rows(beside[SUGGESTIONS], suggested, table)
        known = suggested[suggested["suggested"].isin(table.spec.codes)]
        classes = {int(line) - 2: code for line, code in zip(known["line"], known["suggested"], strict=True)}
    if beside[SCORES].is_file():
        scored = _with_lines(beside[SCORES], _texts(beside[SCORES], table, ["line", "score"]), table, images=False)
        _check_rows(beside[SCORES], scored, table)
        scores = _by_row(beside[SCORES], scored, "score")
    return _Findings(of_curation(table, rows, classes, boxes), scores)


def _beside(path: Path, ending: str, suffix: str) -> Path:
    """A table that `curate` wrote beside another one, whose name has an ending."""
    stem = path.name.removesuffix(ending) if path.name.endswith(ending) else path.stem
    return path.with_name(f"{stem}{suffix}")


def _check_log(path: Path, ending: str, labels: Path, table: LabelTable) -> pd.DataFrame | None:
    """Return the change log beside a table of `curate`, if it is there. Raises CytoyoloError if it is the log of
    another label table."""
    log = _beside(path, ending, CHANGES)
    if not log.is_file():
        return None
    changes = read_log(log)
    if not len(changes) or changes["before"].iloc[0] != table.sha256:
        raise CytoyoloError(f"{log} belongs to another table than {labels}; give the table that was curated.")
    return changes


def _boxes(log: Path, changes: pd.DataFrame, rows: pd.DataFrame, table: LabelTable) -> dict[int, Box]:
    """The boxes that the curation gave to rows with a finding, from its change log."""
    records, found = table.records, dict[int, Box]()
    place, rules = records.columns.place, set(rows["rule"])
    for line, rule, text in zip(changes["line"], changes["rule"], changes["after"], strict=True):
        row = line - 2
        if rule not in rules or not text or not 0 <= row < len(table.alive):
            continue
        values = records.dialect.split(text)
        try:
            x1, y1, x2, y2 = (float(values[place[side]].replace(",", ".")) for side in XYXY)
        except (ValueError, IndexError) as error:
            raise CytoyoloError(
                f"{log} holds {quoted(text)} for line {line}, which has no box; give the log that `curate` wrote."
            ) from error
        if [x1, y1, x2, y2] != table.xyxy[row].tolist():
            found[row] = (x1, y1, x2, y2)
    return found
