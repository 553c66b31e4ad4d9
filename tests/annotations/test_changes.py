"""Repair, undo and apply of any table, in memory."""

import re
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations.audit import Audited
from cytoyolo.annotations.changes import apply, change_log, undo
from cytoyolo.annotations.lines import Edit
from cytoyolo.annotations.policy import load_policy
from cytoyolo.annotations.rules.registry import REVIEW, STOP
from cytoyolo.annotations.table import LabelTable
from cytoyolo.errors import CytoyoloError
from cytoyolo.spec import load_spec
from cytoyolo.tables.records import parse_records
from cytoyolo.tables.table import LABEL_ROLES, XYXY
from tests.properties import examples

SPEC = load_spec("cytologia")
HEADER = "NAME,x1,y1,x2,y2,class"
POLICY = load_policy()
# Nothing stops, so that every table is repaired as far as it can be.
GOING_ON = load_policy(skip=tuple(name for name, rule in POLICY.items() if rule.action == STOP and name != "schema"))


def table_of(data: bytes) -> LabelTable:
    return LabelTable.parse(Path("t.csv"), data, SPEC)


def audited(data: bytes, policy: dict[str, auditing.Rule] = GOING_ON) -> Audited:
    return auditing.run(table_of(data), policy)


def repaired(data: bytes) -> tuple[bytes, pd.DataFrame]:
    return change_log(audited(data).table.lines)


def edited(data: bytes, *edits: Edit) -> tuple[bytes, pd.DataFrame]:
    return change_log(reduce(LabelTable.edited, edits, table_of(data)).lines)


NAMES = st.sampled_from(["a.jpg", "b.jpg", "A.JPG", "a.png", "../x.jpg", "", " ", "c d.jpg", '"q.jpg"'])
NUMBERS = st.one_of(
    st.integers(-90, 400).map(str),
    st.floats(allow_nan=True, allow_infinity=True, width=16).map(str),
    st.sampled_from(["", "x", "1e9", " 5", "0", "-0", "1e2", "3.5", "007"]),
)
CLASSES = st.sampled_from(["PNN", "pnn", " PNN", "EO", "XYZ", "", "BA", "MO,"])
ROW = st.tuples(NAMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS, CLASSES).map(",".join)
GOOD_ROW = st.tuples(
    st.sampled_from(["a.jpg", "b.jpg"]),
    *(st.integers(-20, 60).map(str) for _ in range(4)),
    st.sampled_from(["PNN", "EO", "eo"]),
).map(",".join)
ANYTHING = st.text(st.characters(blacklist_characters="\0\r\n\ufeff", blacklist_categories=("Cs",)), max_size=12)
LINE = st.one_of(GOOD_ROW, GOOD_ROW, ROW, ANYTHING)
TABLE = st.tuples(
    st.lists(st.tuples(LINE, st.sampled_from(["\n", "\r\n", "\r"])), min_size=1, max_size=14),
    st.sampled_from(["\n", "\r\n"]),
    st.permutations(HEADER.split(",")),
    st.booleans(),
)


# A row that any repair leaves in a table, whatever the order of its columns.
SOUND = {"NAME": "z.jpg", "x1": "10", "y1": "10", "x2": "40", "y2": "40", "class": "PNN"}


def file_of(table: tuple[list[tuple[str, str]], str, list[str], bool], first: dict[str, str] | None = None) -> bytes:
    """A CSV of random lines, line ends and column order, that may lack the end of its last line."""
    lines, end, columns, cut = table
    assume(first is not None or any(re.search(r'[^\s,"]', line) for line, _ in lines))  # else it has no rows
    if first is not None:
        lines = [(",".join(first[column] for column in columns), end), *lines]
    text = ",".join(columns) + end + "".join(line + tail for line, tail in lines)
    return (text.rstrip("\r\n") if cut and lines[-1][0] else text).encode()


@examples(400)
@given(TABLE)
def test_any_table_is_repaired_and_comes_back_byte_for_byte(
    table: tuple[list[tuple[str, str]], str, list[str], bool],
) -> None:
    data = file_of(table)
    clean, changes = repaired(data)
    assert undo(clean, changes) == data
    assert apply(data, changes) == clean


@examples(400)
@given(TABLE)
def test_repairing_the_result_changes_nothing(table: tuple[list[tuple[str, str]], str, list[str], bool]) -> None:
    clean, _ = repaired(file_of(table, SOUND))
    again, changes = repaired(clean)
    assert again == clean
    assert len(changes) == 1


@examples(200)
@given(TABLE)
def test_an_audit_of_a_repaired_table_finds_nothing_left_to_do(
    table: tuple[list[tuple[str, str]], str, list[str], bool],
) -> None:
    clean, _ = repaired(file_of(table, SOUND))
    assert set(audited(clean).findings["action"]) <= {"keep", REVIEW}


def log_of(text: str) -> tuple[bytes, bytes, pd.DataFrame]:
    data = f"{HEADER}\n{text}".encode()
    clean, changes = repaired(data)
    return data, clean, changes


def test_a_log_says_what_stood_there_and_why() -> None:
    _, clean, changes = log_of("a.jpg,-5,2,30,40,pnn\nb.jpg,1,2,3,x,EO\r\nc.jpg,30,2,3,40,EO")
    assert clean.decode() == f"{HEADER}\na.jpg,0,2,30,40,PNN\nc.jpg,3,2,30,40,EO"
    rows = changes.iloc[1:].to_dict("records")
    assert [(row["line"], row["rule"], row["before"], row["after"], row["line_end"]) for row in rows] == [
        (3, "number", "b.jpg,1,2,3,x,EO", "", "CRLF"),
        (2, "class-variant", "a.jpg,-5,2,30,40,pnn", "a.jpg,-5,2,30,40,PNN", ""),
        (4, "inverted", "c.jpg,30,2,3,40,EO", "c.jpg,3,2,30,40,EO", ""),
        (2, "overhang", "a.jpg,-5,2,30,40,PNN", "a.jpg,0,2,30,40,PNN", ""),
    ]
    assert all(row["reason"] for row in rows)


def test_lines_without_a_change_keep_their_form() -> None:
    text = '"a.jpg", 1,2.0,30,"40",PNN\nb.jpg,-1,2.0,+30,40,EO\n'
    assert log_of(text)[1].decode() == f"{HEADER}\n" + '"a.jpg", 1,2.0,30,"40",PNN\nb.jpg,0,2.0,+30,40,EO\n'


def test_the_log_of_another_table_is_refused() -> None:
    data, clean, changes = log_of("a.jpg,-5,2,30,40,PNN\n")
    for wrong in (clean + b"a.jpg,1,2,3,40,EO\n", data, b""):
        with pytest.raises(CytoyoloError, match="this change log does not belong to the table"):
            undo(wrong, changes)
    with pytest.raises(CytoyoloError, match="this change log was made for another table"):
        apply(clean, changes)


@pytest.mark.parametrize("column", ["before", "after", "line"])
def test_a_log_that_was_changed_is_refused(column: str) -> None:
    data, clean, changes = log_of("a.jpg,-5,2,30,40,PNN\nb.jpg,1,2,3,x,EO\n")
    changed = changes.copy()
    changed.loc[2, column] = 7 if column == "line" else "c.jpg,1,2,30,40,PNN"
    with pytest.raises(CytoyoloError, match="was changed since"):
        undo(clean, changed)
    with pytest.raises(CytoyoloError, match="was changed since"):
        apply(data, changed)
    with pytest.raises(CytoyoloError, match="no fingerprints"):
        undo(clean, changes.iloc[1:])


@pytest.mark.parametrize("rows", ["bad\n\rz.jpg,1,2,30,40,PNN\nbad\n\n", "a.jpg,1,2,30,40,PNN\rbad\n\n\r\nbad\r\n\n"])
def test_line_ends_that_would_become_one_stay_apart(rows: str) -> None:
    data = f"{HEADER}\n{rows}".encode()
    clean, log = repaired(data)
    assert undo(clean, log) == data and apply(data, log) == clean
    assert len(audited(clean).table.records.cells) == len(audited(data).table.records.cells) - (len(log) - 1)


# New rows

QUOTED = st.sampled_from(["a.jpg", "b c.jpg", '"a,1.jpg"', '"q""q.jpg"', " a.jpg", "x"])
CELLS = st.tuples(QUOTED, *(st.integers(-9, 99).map(str) for _ in range(4)), st.sampled_from(["PNN", "EO", '"EO"', ""]))
CHANGE = st.tuples(st.integers(0, 7), st.sampled_from(["drop", "mask", "box", "box and mask"]))
NEW_CELLS = st.fixed_dictionaries(
    {"image": st.sampled_from(["a.jpg", "b,c.jpg", 'q"q.jpg'])}
    | {side: st.integers(0, 99).map(str) for side in ("x1", "y1", "x2", "y2")}
    | {"class": st.just("msk")}
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@examples(300)
@given(
    st.lists(st.tuples(CELLS.map(",".join), ENDS), min_size=1, max_size=8),
    ENDS,
    st.booleans(),
    st.lists(CHANGE, max_size=6, unique_by=lambda change: change[0]),
    st.lists(NEW_CELLS, max_size=4),
)
def test_new_changed_and_dropped_rows_come_back_byte_for_byte(rows, end, cut, changes, new) -> None:
    if cut:
        rows = [*rows[:-1], (rows[-1][0], "")]
    data = (HEADER + end + "".join(line + tail for line, tail in rows)).encode()
    afters = {
        "drop": {},
        "mask": {"class": ["msk"]},
        "box": {side: ["7"] for side in ("x1", "y1", "x2", "y2")},
        "box and mask": {"class": ["msk"], "x1": ["0"]},
    }
    edits = [Edit("rule", np.array([row]), afters[how], ["why"]) for row, how in changes if row < len(rows)]
    if new:
        after = {role: [one[role] for one in new] for role in LABEL_ROLES}
        edits.append(Edit("overlooked", np.arange(len(rows), len(rows) + len(new)), after, ["why"] * len(new)))
    clean, log = edited(data, *edits)
    assert undo(clean, log) == data
    assert apply(data, log) == clean
    dropped = sum(not edit.after for edit in edits)
    if new or dropped < len(rows):
        found = parse_records(Path("clean.csv"), clean, SPEC.column_map(*LABEL_ROLES), XYXY)
        assert len(found.cells) == len(rows) - dropped + len(new)
        assert found.cells[len(rows) - dropped :] == [[one[role] for role in LABEL_ROLES] for one in new]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_new_rows_stand_at_the_end_and_end_as_the_others_do(end: str, last: bool) -> None:
    lines = [HEADER, "a.jpg,1,2,30,40,PNN", '"b.jpg", 1,2.0,30,40,EO']
    data = (end.join(lines) + end * last).encode()
    box = {"x1": ["3", "4"], "y1": ["5", "6"], "x2": ["7", "8"], "y2": ["9", "10"]}
    after = {"image": ["a.jpg", 'q",.jpg'], **box, "class": ["msk", "msk"]}
    clean, log = edited(data, Edit("overlooked", np.array([2, 3]), after, ["one", "two"]))
    new = ["a.jpg,3,5,7,9,msk", '"q"",.jpg",4,6,8,10,msk']
    assert clean.decode() == end.join([*lines, *new]) + end * last
    entries = log.iloc[1:].to_dict("records")
    assert [(one["line"], one["before"], one["after"], one["line_end"]) for one in entries] == [
        (4, "", new[0], ""),
        (5, "", new[1], ""),
    ]
    assert undo(clean, log) == data


def test_new_rows_keep_the_order_of_the_tables_columns() -> None:
    data = b"class,y2,x2,y1,x1,NAME\nPNN,40,30,2,1,a.jpg\n"
    after = {role: [value] for role, value in zip(LABEL_ROLES, ("a.jpg", "1", "2", "3", "4", "msk"), strict=True)}
    clean, log = edited(data, Edit("overlooked", np.array([1]), after, ["why"]))
    assert clean == data + b"msk,4,3,2,1,a.jpg\n" and undo(clean, log) == data


@pytest.mark.parametrize("change", ["another new row", "one less", "one more", "moved"])
def test_a_log_whose_new_rows_were_changed_is_refused(change: str) -> None:
    data = f"{HEADER}\na.jpg,1,2,30,40,PNN\n".encode()
    after = {role: [value] * 2 for role, value in zip(LABEL_ROLES, ("a.jpg", "1", "2", "3", "4", "msk"), strict=True)}
    after["x1"] = ["0", "1"]
    clean, log = edited(data, Edit("overlooked", np.array([1, 2]), after, ["why"] * 2))
    changed = {
        "another new row": log.replace("a.jpg,0,2,3,4,msk", "a.jpg,0,2,3,5,msk"),
        "one less": log.iloc[:-1],
        "one more": pd.concat([log, log.iloc[-1:]], ignore_index=True),
        "moved": log.iloc[[0, 2, 1]],
    }[change]
    with pytest.raises(CytoyoloError, match="was changed since"):
        undo(clean, changed)
    with pytest.raises(CytoyoloError, match="was changed since"):
        apply(data, changed)


# Tables in forms of their own

TEXTS = st.text(st.characters(exclude_characters="\0\ufeff\r\n", max_codepoint=0x24F), max_size=6)
FORM = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "comma": st.booleans(),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
        "sep": st.booleans(),
        "quoted": st.booleans(),
        "end": ENDS,
        "cut": st.booleans(),
        "extra": st.lists(st.sampled_from(["note", "", "width", "Größe"]), max_size=2),
        "rename": st.booleans(),
    }
)
OWN_ROW = st.tuples(
    st.sampled_from(["a.jpg", "b.jpg", "é.jpg", "c.jpg"]),
    *(st.sampled_from(["-4.5", "7.25", "12", "30.5", "60", "0", "x"]) for _ in range(4)),
    st.sampled_from(["PNN", "eo", "Neutrophil", "XYZ", ""]),
    st.one_of(TEXTS, st.sampled_from(["", "one\ntwo", 'a "b"', "1,5", "é", "two\r\nlines\n"])),
)
OWN_LINE = st.one_of(OWN_ROW, OWN_ROW, OWN_ROW, st.just(None), st.just("broken"), st.just('"open'))


def own_file(form: dict[str, object], rows: list[object]) -> bytes:
    """A table in a form of its own; None is a row without values, a text stands for itself."""
    mark, end, quoted = str(form["delimiter"]), str(form["end"]), bool(form["quoted"])

    def line(values: list[str]) -> str:
        special = (mark, '"', "\n", "\r")
        texts = [
            '"' + one.replace('"', '""') + '"' if quoted or any(s in one for s in special) else one for one in values
        ]
        return mark.join(texts)

    extra = list(form["extra"])
    names = ["Name", "X1", "y1", "x2", "y2", "CLASS"] if form["rename"] else HEADER.split(",")
    lines = [line([*names, *extra])]
    for row in [("z.jpg", "10.5", "10", "40", "40", "PNN", ""), *rows]:
        if row is None or isinstance(row, str):
            lines.append(mark * (5 + len(extra)) if row is None else row)
            continue
        name, *box, code, note = row
        box = [side.replace(".", ",") if form["comma"] else side for side in box]
        lines.append(line([name, *box, code, *[note] * len(extra)]))
    text = (f"sep={mark}{end}" if form["sep"] else "") + end.join(lines) + ("" if form["cut"] else end)
    return text.encode(str(form["encoding"]), "replace")


@examples(200)
@given(FORM, st.lists(OWN_LINE, max_size=6))
def test_a_table_in_its_own_form_keeps_it_and_comes_back_byte_for_byte(form, rows) -> None:
    data = own_file(form, rows)
    try:
        found = audited(data)
    except CytoyoloError as error:  # letters of Windows that other encodings have too
        assert form["encoding"] == "cp1252" and "is not UTF-8" in str(error)
        return
    records, lines = found.table.records, found.table.lines
    clean, changes = change_log(lines)
    assert undo(clean, changes) == data
    assert apply(data, changes) == clean
    again_found = audited(clean)
    again, left = again_found.table.records, again_found.table.lines
    assert (again.dialect.delimiter, again.header, again.sheet.preamble) == (
        *(records.dialect.delimiter, records.header, records.sheet.preamble),
    )
    assert again.dialect.bom == records.dialect.bom
    assert not left.changes and not again.broken
    kept = sorted(set(range(len(records.cells))) - {change.row for change in lines.changes if not change.after})
    extra = range(6, 6 + len(form["extra"]))
    assert [[row[at] for at in extra] for row in again.cells] == [
        [records.cells[row][at] for at in extra] for row in kept
    ]


def test_changed_rows_have_the_form_of_the_table() -> None:
    data = (
        'sep=;\r\nNAME;x1;y1;x2;y2;class;note\r\na.jpg;-5,5;2;30,5;40;pnn;"x;y"\r\nb.jpg;1,5;2;30;40;EO;\r\n;;;;;;\r\n'
    )
    clean, log = repaired(data.encode("utf-8-sig"))
    assert clean.decode("utf-8-sig") == data.replace("-5,5", "0").replace("pnn", "PNN")
    assert undo(clean, log) == data.encode("utf-8-sig")


def test_a_letter_that_only_the_dropped_row_had_comes_back() -> None:
    data = f"{HEADER}\na.jpg,1,2,30,40,PNN\né.jpg,1,2,30,40,XYZ\n".encode("cp1252")
    clean, log = repaired(data)
    assert clean.isascii() and undo(clean, log) == data


NEW_ROW = {"image": ["a.jpg"], "x1": ["5"], "y1": ["6"], "x2": ["50"], "y2": ["60.125"], "class": ["msk"]}
SEMICOLONS = HEADER.replace(",", ";")


@pytest.mark.parametrize(
    ("table", "new"),
    [
        (f"{HEADER}\n1,a.jpg,1,2,30,40,PNN\n2,b.jpg,3,4,3,4,EO\n3,c.jpg,5,6,50,60,EO\n", "4,a.jpg,5,6,50,60.1250,msk"),
        (f"{HEADER}\n2,b.jpg,3,4,3,4,EO\n7,c.jpg,5,6,50,60,EO\n", "8,a.jpg,5,6,50,60.1250,msk"),
        (f"{HEADER}\nb.jpg,3,4,3,4,EO,\nc.jpg,5,6,50,60,EO,\n", "a.jpg,5,6,50,60.1250,msk,"),
        (f"{SEMICOLONS}\nb.jpg;3;4;3;4;EO\nc.jpg;5;6;50;60;EO\n", "a.jpg;5;6;50;60.1250;msk"),
        (
            f"{SEMICOLONS}\nb.jpg;3,5;4,5;3,5;4,5;EO\nc.jpg;5,125;6,125;50,125;6,500;EO\n",
            "a.jpg;5,0;6,0;50,0;60,125;msk",
        ),
        (f"{SEMICOLONS}\nb.jpg;3.500;4.5;3.5;4;EO\nc.jpg;5.125;6.12;50.125;6;EO\n", "a.jpg;5;6;50;60.1250;msk"),
    ],
)
def test_a_table_of_any_form_is_read_back_after_rows_were_dropped_and_added(table: str, new: str) -> None:
    dropped = Edit("zero-side", np.array([table.count("\n") - 3]), {}, ["why"])
    added = Edit("overlooked", np.array([table.count("\n") - 1]), NEW_ROW, ["why"])
    for edits in ([dropped], [dropped, added]):
        made, log = edited(table.encode(), *edits)
        read = table_of(made)
        assert not read.broken and read.text["image"][len(read.alive) - len(edits)] == "c.jpg"
        assert undo(made, log) == table.encode() and apply(table.encode(), log) == made
    assert made.decode().splitlines()[-1] == new and read.xyxy[-1].tolist() == [5, 6, 50, 60.125]


@pytest.mark.parametrize("left", ['""', '"x"'])
def test_one_row_of_r_is_left_with_an_empty_last_column(left: str) -> None:
    header = '"NAME","x1","y1","x2","y2","class","note"'
    table = f'{header}\n"1","0.png",1,2,30,40,"PNN",{left}\n"2","ghost.png",1,2,30,40,"PNN","x"\n'.encode()
    made, log = edited(table, Edit("rule", np.array([1]), {}, ["why"]))
    assert made == f'{header}\n"1","0.png",1,2,30,40,"PNN",{left}\n'.encode()
    assert table_of(made).text["image"].tolist() == ["0.png"] and undo(made, log) == table


def test_a_table_whose_form_only_a_dropped_row_showed_is_refused() -> None:
    table = f"{SEMICOLONS}\na.jpg;3;4;30,5;40;EO\nb.jpg;5,125;6;50;60;EO\n".encode()
    assert table_of(table).xyxy[1, 0] == 5.125
    with pytest.raises(CytoyoloError, match="read in another way after these changes"):
        edited(table, Edit("rule", np.array([0]), {}, ["why"]))
