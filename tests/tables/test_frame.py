"""A DataFrame in place of a CSV file: read with the same rules, its lines counted as a file's."""

import io
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, settings
from hypothesis import given as any_of
from hypothesis import strategies as st

from cytoyolo.commands.audit import audit
from cytoyolo.commands.check import check
from cytoyolo.commands.score import score
from cytoyolo.errors import CytoyoloError
from cytoyolo.spec import load_spec
from cytoyolo.tables.frame import Frame
from cytoyolo.tables.table import SUBMISSION_ROLES, read_table
from tests.pictures import photo

COLUMNS = load_spec("cytologia").column_list(*SUBMISSION_ROLES)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
TRUTH = "1,a.jpg,10,10,50,60,PNN\n2,a.jpg,60,10,90,40,LY\n3,b.jpg,5,5,45,45,EO\n"
ANSWER = "1,a.jpg,12,10,50,58,PNN\n2,a.jpg,60,12,90,40,MO\n3,b.jpg,5,5,45,45,EO\n"


def table(rows: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(",".join(COLUMNS) + "\n" + rows))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, 2], ["1", "2"]),
        ([1.0, np.nan], ["1", ""]),
        ([1.5, -0.25], ["1.5", "-0.25"]),
        ([2.0**60, 1e300], ["1.152921504606847e+18", "1e+300"]),
        ([np.inf, -np.inf], ["inf", "-inf"]),
        (["a,b", None], ["a,b", ""]),
        (['say "so"', " a "], ['say "so"', " a "]),
        (["two\nlines", "one"], ["two\nlines", "one"]),
        (pd.array([3, None], dtype="Int64"), ["3", ""]),
        (pd.array(["x", None], dtype="string"), ["x", ""]),
        (pd.Categorical(["x", None]), ["x", ""]),
        ([np.float32(0.5), np.int8(7)], ["0.5", "7"]),
        ([Decimal("1.10"), True], ["1.10", "True"]),
        ([pd.NaT, pd.NA], ["", ""]),
    ],
)
def test_values_of_any_type_are_text(values: object, text: list[str]) -> None:
    frame = pd.DataFrame({"trustii_id": ["k", "k"], "NAME": values}, index=[7, 3])
    read = read_table(Frame(frame, "the table"), load_spec("cytologia"), ("id", "image"))
    assert read["image"].tolist() == text and read.index.tolist() == [0, 1]


@settings(deadline=None)
@any_of(st.lists(st.tuples(TEXT, TEXT), min_size=1))
def test_any_text_comes_through(rows: list[tuple[str, str]]) -> None:
    expected = [row for row in rows if any(value.strip() for value in row)]
    assume(expected)
    frame = pd.DataFrame(rows, columns=["trustii_id", "NAME"])
    read = read_table(Frame(frame, "the table"), load_spec("cytologia"), ("id", "image"))
    assert list(read.itertuples(index=False, name=None)) == expected


def test_a_score_is_that_of_the_files(tmp_path: Path) -> None:
    paths = [tmp_path / "truth.csv", tmp_path / "answer.csv"]
    for path, rows in zip(paths, (TRUTH, ANSWER), strict=True):
        table(rows).to_csv(path, index=False)
    of_files = score(*paths)
    frames = [table(TRUTH).set_index(pd.Index([9, 8, 7])), table(ANSWER).astype({"x1": float})]
    before = [frame.copy() for frame in frames]
    for truth, answer in ([*frames], [paths[0], frames[1]], [frames[0], paths[1]]):
        made = score(truth, answer, output=tmp_path / "out", overwrite=True)
        assert made.to_dict() == of_files.to_dict() and made.matches.equals(of_files.matches)
    for frame, same in zip(frames, before, strict=True):
        pd.testing.assert_frame_equal(frame, same)


def test_check_names_the_lines_of_a_data_frame() -> None:
    test = table(TRUTH)[["trustii_id", "NAME"]]
    assert check(test, table(TRUTH)) == []
    found = check(test, table(TRUTH.replace("EO", "XX")))
    assert [(one.row, one.line) for one in found] == [(2, 4)] and "class 'XX' is not one of" in found[0].message


@pytest.mark.parametrize(
    ("truth", "answer", "words"),
    [
        (TRUTH, ANSWER.replace("60,12,90", "60,left,90"), "submission (row 0 is line 2): 1 row can't be used (line 3"),
        (TRUTH.replace("10,10,50", ",10,50"), ANSWER, "truth (row 0 is line 2): 1 row can't be used (line 2"),
        (TRUTH, "", "the submission (row 0 is line 2) has a header but no rows"),
    ],
)  # fmt: skip
def test_a_fault_is_one_sentence(truth: str, answer: str, words: str) -> None:
    with pytest.raises(CytoyoloError, match=re.escape(words)) as refused:
        score(table(truth), table(answer))
    assert "\n" not in str(refused.value)


def test_a_column_that_is_missing_or_twice_is_one_sentence() -> None:
    with pytest.raises(CytoyoloError, match=re.escape("the truth (row 0 is line 2)") + ".*x2"):
        score(table(TRUTH).drop(columns="x2"), table(ANSWER))
    twice = pd.concat([table(TRUTH), table(TRUTH)[["x1"]]], axis=1)
    with pytest.raises(CytoyoloError, match=re.escape("the truth (row 0 is line 2)") + ".*x1"):
        score(twice, table(ANSWER))
    with pytest.raises(CytoyoloError, match=re.escape("the truth (row 0 is line 2) is empty")):
        score(pd.DataFrame(), table(ANSWER))


def test_a_table_of_another_kind_is_named() -> None:
    with pytest.raises(CytoyoloError, match=r"the submission \(row 0 is line 2\) is a test table, not a submission"):
        score(table(TRUTH), table(TRUTH)[["trustii_id", "NAME"]])


LABELS = (
    "NAME,x1,y1,x2,y2,class\na.jpg,10,10,60,55,PNN\na.jpg,10,10,60,55,PNN\nb.jpg,80,20,30,70,LY\nb.jpg,,1,2,3,LY\n"
    "c.jpg,,,,,\nd.jpg,1,2,3.5,40,pnn\n"
)


def test_an_audit_finds_the_same_in_a_data_frame(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(LABELS)
    (tmp_path / "test.csv").write_text("trustii_id,NAME\n1,a.jpg\n")
    frames = [pd.read_csv(tmp_path / name) for name in ("labels.csv", "test.csv")]
    assert frames[0]["x1"].dtype == float
    of_files = audit(tmp_path / "labels.csv", test=tmp_path / "test.csv", output=tmp_path / "files")
    made = audit(frames[0].set_index("class", drop=False), test=frames[1], output=tmp_path / "frames")
    pd.testing.assert_frame_equal(made.findings, of_files.findings)
    assert made.counts.equals(of_files.counts) and made.not_run == of_files.not_run
    assert (tmp_path / "frames" / "findings.csv").read_bytes() == (tmp_path / "files" / "findings.csv").read_bytes()
    assert made.summary["labels"]["name"] == "the table" and made.summary["test"]["name"] == "the test table"
    assert made.summary["labels"]["rows"] == of_files.summary["labels"]["rows"] == 6


def test_a_data_frame_that_is_no_label_table_is_a_finding() -> None:
    (finding,) = audit(pd.DataFrame({"a": [1]})).findings.to_dict("records")
    assert finding["rule"] == "schema" and finding["detail"].startswith("the table needs the columns NAME,x1,y1,x2,y2,")
    with pytest.raises(CytoyoloError, match=r"the test table \(row 0 is line 2\)"):
        audit(pd.read_csv(io.StringIO(LABELS)), test=pd.DataFrame({"a": [1]}))


def test_an_audit_of_a_data_frame_sees_the_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    photo(50, 60).save(tmp_path / "images" / "a.jpg")
    findings = audit(pd.read_csv(io.StringIO(LABELS)), images=tmp_path / "images").findings
    seen = set(zip(findings["line"], findings["rule"], strict=True))
    assert seen >= {(2, "overhang"), (4, "missing-image")}
