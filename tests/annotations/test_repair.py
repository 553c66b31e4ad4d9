"""Repair, undo and replay of any table, in memory."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations.audit import Audited, load_policy
from cytoyolo.annotations.repair import repair, replay, undo
from cytoyolo.annotations.rules.registry import REVIEW, STOP
from cytoyolo.annotations.view import View
from cytoyolo.classes import load_spec
from cytoyolo.errors import CytoyoloError
from cytoyolo.records import Records, parse_records
from cytoyolo.tables import LABEL_ROLES, role_table

SPEC = load_spec("cytologia")
HEADER = "NAME,x1,y1,x2,y2,class"
POLICY = load_policy()
# Nothing stops, so that every table is repaired as far as it can be.
GOING_ON = load_policy(skip=tuple(name for name, rule in POLICY.items() if rule.action == STOP and name != "schema"))


def audited(data: bytes, policy: dict[str, auditing.Rule] = GOING_ON) -> tuple[Records, Audited]:
    records = parse_records(Path("t.csv"), data, SPEC.column_list(*LABEL_ROLES))
    table = role_table(records, SPEC, LABEL_ROLES)
    text = {role: table[role].to_numpy(object) for role in LABEL_ROLES}
    return records, auditing.run(View(SPEC, text, records.broken, np.ones(len(table), dtype=bool)), policy)


def repaired(data: bytes) -> tuple[bytes, pd.DataFrame]:
    records, found = audited(data)
    return repair(records, found.edits, SPEC)


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
    if first is not None:
        lines = [(",".join(first[column] for column in columns), end), *lines]
    text = ",".join(columns) + end + "".join(line + tail for line, tail in lines)
    return (text.rstrip("\r\n") if cut and lines[-1][0] else text).encode()


@settings(max_examples=400, deadline=None)
@given(TABLE)
def test_any_table_is_repaired_and_comes_back_byte_for_byte(
    table: tuple[list[tuple[str, str]], str, list[str], bool],
) -> None:
    data = file_of(table)
    clean, changes = repaired(data)
    assert undo(clean, changes) == data
    assert replay(data, changes) == clean


@settings(max_examples=400, deadline=None)
@given(TABLE)
def test_repairing_the_result_changes_nothing(table: tuple[list[tuple[str, str]], str, list[str], bool]) -> None:
    clean, _ = repaired(file_of(table, SOUND))
    again, changes = repaired(clean)
    assert again == clean
    assert len(changes) == 1


@settings(max_examples=200, deadline=None)
@given(TABLE)
def test_an_audit_of_a_repaired_table_finds_nothing_left_to_do(
    table: tuple[list[tuple[str, str]], str, list[str], bool],
) -> None:
    clean, _ = repaired(file_of(table, SOUND))
    assert set(audited(clean)[1].findings["action"]) <= {"keep", REVIEW}


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
        with pytest.raises(CytoyoloError, match="not what this change log made"):
            undo(wrong, changes)
    with pytest.raises(CytoyoloError, match="not the one this change log was made for"):
        replay(clean, changes)


@pytest.mark.parametrize("column", ["before", "after", "line"])
def test_a_log_that_was_changed_is_refused(column: str) -> None:
    data, clean, changes = log_of("a.jpg,-5,2,30,40,PNN\nb.jpg,1,2,3,x,EO\n")
    changed = changes.copy()
    changed.loc[2, column] = 7 if column == "line" else "c.jpg,1,2,30,40,PNN"
    with pytest.raises(CytoyoloError, match="was changed since"):
        undo(clean, changed)
    with pytest.raises(CytoyoloError, match="was changed since"):
        replay(data, changed)
    with pytest.raises(CytoyoloError, match="no fingerprints"):
        undo(clean, changes.iloc[1:])
