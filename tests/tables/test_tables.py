"""Tables: what is read is exactly what stands in the file, and what can't be read is told in one sentence."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.spec import load_spec, parse_spec
from cytoyolo.tables.table import (
    LABEL_ROLES,
    SUBMISSION_ROLES,
    TEST_ROLES,
    check_writable,
    fingerprint,
    line,
    numbers,
    read_table,
    refuse,
    write_table,
)

SPEC = load_spec("cytologia")
HEADER = "NAME,x1,y1,x2,y2,class\n"
ROW = "a.jpg,1,2,30,40,PNN\n"
NEEDED = "needs the columns NAME,x1,y1,x2,y2,class, and its first line is"


def saved(folder: Path, content: str | bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, content: str | bytes, roles: tuple[str, ...] = LABEL_ROLES) -> list[list[str]]:
    return read_table(saved(folder, content), SPEC, roles).to_numpy().tolist()


def refusal(folder: Path, content: str | bytes, roles: tuple[str, ...] = LABEL_ROLES) -> str:
    """The sentence a table is refused with, without the folder. Fails when the table is taken."""
    with pytest.raises(CytoyoloError) as caught:
        read_table(saved(folder, content), SPEC, roles)
    sentence = str(caught.value).replace(f"{folder}/", "")
    assert caught.value.exit_code == 1
    assert "labels.csv" in sentence and sentence.endswith((".", ")")) and sentence.isprintable()
    return sentence


# Reading what is right


def test_a_table_has_the_packages_own_columns(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path, HEADER + ROW), SPEC, LABEL_ROLES)
    assert list(table.columns) == list(LABEL_ROLES)
    assert table.to_numpy().tolist() == [["a.jpg", "1", "2", "30", "40", "PNN"]]


def test_columns_may_stand_in_any_order(tmp_path: Path) -> None:
    assert read(tmp_path, "class,y2,x2,y1,x1,NAME\nPNN,40,30,2,1,a.jpg\n") == [["a.jpg", "1", "2", "30", "40", "PNN"]]


def test_columns_that_a_data_set_names_crosswise(tmp_path: Path) -> None:
    columns = {**SPEC.columns, "x1": "y1", "y1": "x1"}
    spec = parse_spec({"columns": columns, "classes": ["PNN"]})
    assert read_table(saved(tmp_path, HEADER + ROW), spec, LABEL_ROLES)["x1"].tolist() == ["2"]


@pytest.mark.parametrize("value", ["007", "NA", "None", "nan", "null", " pnn", "1.0", "1e3", "True", "#x", "é", "0x1F"])
def test_a_value_stays_as_it_is_written(tmp_path: Path, value: str) -> None:
    assert read(tmp_path, f"trustii_id,NAME\n{value},{value}\n", TEST_ROLES) == [[value, value]]


@pytest.mark.parametrize(
    ("written", "value"),
    [('"a,b.jpg"', "a,b.jpg"), ('"a ""b"".jpg"', 'a "b".jpg'), ('"a.jpg"', "a.jpg"), ('a"b.jpg', 'a"b.jpg')],
)
def test_quotes(tmp_path: Path, written: str, value: str) -> None:
    assert read(tmp_path, f"trustii_id,NAME\n1,{written}\n", TEST_ROLES) == [["1", value]]


def test_a_quoted_header(tmp_path: Path) -> None:
    assert read(tmp_path, '"trustii_id","NAME"\n1,a.jpg\n', TEST_ROLES) == [["1", "a.jpg"]]


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    assert read(tmp_path, (HEADER + ROW).replace("\n", "\r\n")) == read(tmp_path, HEADER + ROW)


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    assert read(tmp_path, (HEADER + ROW).rstrip()) == read(tmp_path, HEADER + ROW)


def test_one_empty_value_is_for_others_to_judge(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER + "a.jpg,,2,30,40,PNN\n") == [["a.jpg", "", "2", "30", "40", "PNN"]]


def test_row_numbers_are_lines_of_the_file() -> None:
    assert (line(0), line(41)) == ("line 2", "line 43")


@pytest.mark.parametrize(("name", "rows"), [("train.csv", 52_748), ("test.csv", 22_689)])
def test_the_challenges_tables(shared: Path, name: str, rows: int) -> None:
    roles = LABEL_ROLES if name == "train.csv" else TEST_ROLES
    table = read_table(shared / "cytologia" / name, SPEC, roles)
    lines = (shared / "cytologia" / name).read_text(encoding="utf-8").splitlines()
    assert len(table) == rows
    assert [",".join(row) for row in table.to_numpy().tolist()] == lines[1:]


# Refusing what is wrong


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_no_such_table_is_a_wrong_call(tmp_path: Path, kind: str) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "labels.csv"
    with pytest.raises(UsageError, match="is a folder" if kind == "folder" else r"labels\.csv: no such file"):
        read_table(path, SPEC, LABEL_ROLES)


@pytest.mark.parametrize("content", ["", "\n", " \r\n\n"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    assert refusal(tmp_path, content) == "labels.csv is empty; give a CSV with a header and rows."


@pytest.mark.parametrize("content", [HEADER, HEADER.strip(), HEADER.replace("\n", "\r\n")])
def test_a_header_without_rows(tmp_path: Path, content: str) -> None:
    sentence = "labels.csv has a header but no rows; give a table with at least one row."
    assert refusal(tmp_path, content) == sentence


@pytest.mark.parametrize(
    ("content", "number"),
    [
        ((HEADER + ROW).encode("utf-16-le"), 1),
        ((HEADER + ROW).encode() + b"b\0.jpg,1,2,3,4,PNN\n", 3),
    ],
)
def test_a_binary_file(tmp_path: Path, content: bytes, number: int) -> None:
    assert refusal(tmp_path, content).startswith(f"labels.csv holds a NUL byte in line {number}, so it is not a CSV")


def test_a_binary_file_is_not_printed_to_the_terminal(tmp_path: Path) -> None:
    refusal(tmp_path, b"PK\x03\x04\x1b[31m\n")


@pytest.mark.usefixtures("printed")
def test_the_form_of_a_table_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert read(tmp_path, (HEADER + ROW).replace(",", ";")) == [["a.jpg", "1", "2", "30", "40", "PNN"]]
    assert "labels.csv was read in its own form: semicolons stand between the columns." in capfd.readouterr().err
    read(tmp_path, (HEADER + ROW).encode("utf-8-sig"))
    assert capfd.readouterr().err == ""


def test_text_that_is_not_utf8_is_told_by_line(tmp_path: Path) -> None:
    content = (HEADER + ROW + "é.jpg,1,2,30,40,PNN\n").encode("cp850")
    assert refusal(tmp_path, content).startswith("labels.csv, line 3, is not UTF-8; save the table as UTF-8 (")


@pytest.mark.parametrize(
    "header",
    [
        "NAME,x1,y1,x2,y2,label",
        "NAME,x1,y1,x2,y2",
        "a.jpg,1,2,30,40,PNN",
        "",
    ],
)
def test_other_columns(tmp_path: Path, header: str) -> None:
    assert refusal(tmp_path, f"{header}\n{ROW}").startswith(f"labels.csv {NEEDED} '{header}'")


@pytest.mark.parametrize("header", ["NAME,NAME,x1,y1,x2,y2,class", "NAME,x1,x1,x2,y2,class"])
def test_a_column_that_is_there_twice(tmp_path: Path, header: str) -> None:
    assert "twice; keep one of them" in refusal(tmp_path, f"{header}\n{ROW}")


def test_a_long_first_line_is_cut(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, "x" * 100_000)) < 500


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("content", [HEADER + "\n" + ROW, HEADER + ROW + "\n", HEADER + ROW + ",,,,,\n  \n"])
def test_an_empty_line_is_passed_over(tmp_path: Path, content: str, end: str) -> None:
    assert read(tmp_path, content.replace("\n", end)) == read(tmp_path, HEADER + ROW)


def test_lines_are_counted_with_the_empty_ones(tmp_path: Path) -> None:
    assert "(line 4: fewer than 6 columns)" in refusal(tmp_path, HEADER + ROW + "\nb.jpg\n")
    table = read_table(saved(tmp_path, HEADER + "\n" + ROW.replace("30", "x")), SPEC, LABEL_ROLES)
    with pytest.raises(CytoyoloError, match="line 3: x2 is 'x'"):
        refuse("labels.csv", numbers(table, ["x2"])[1], "mend it", table)


@pytest.mark.parametrize("row", ["b.jpg", "b.jpg,1,2,30,40", "\x1a"])
def test_a_short_row_is_told_by_line(tmp_path: Path, row: str) -> None:
    assert "line 3: fewer than 6 columns" in refusal(tmp_path, f"{HEADER}{ROW}{row}\n{ROW}")


def test_a_short_row_of_a_group_table_is_told_by_line(tmp_path: Path) -> None:
    assert "line 3: fewer" in refusal(tmp_path, "NAME,group\na.jpg,slide 1\nb.jpg\n", ("image", "group"))


@pytest.mark.parametrize("extra", [",", ",5", ",5,6"])
def test_a_long_row_is_told_by_line(tmp_path: Path, extra: str) -> None:
    sentence = refusal(tmp_path, f"{HEADER}{ROW}{ROW}{ROW.strip()}{extra}\n{ROW}")
    assert "line 4" in sentence and "6 columns" in sentence


@pytest.mark.filterwarnings("ignore:Length of header")
@pytest.mark.parametrize("extra", [",", ",5", ",5,6"])
@pytest.mark.parametrize("repeat", [1, 3])
def test_a_long_first_row_is_told_by_line(tmp_path: Path, extra: str, repeat: int) -> None:
    assert "line 2" in refusal(tmp_path, HEADER + f"{ROW.strip()}{extra}\n" * repeat + ROW)


@pytest.mark.filterwarnings("ignore:Length of header")
def test_an_unquoted_comma_in_the_first_name(tmp_path: Path) -> None:
    refusal(tmp_path, "trustii_id,NAME\n1,a,b.jpg\n2,c.jpg\n", TEST_ROLES)


def test_an_open_quote_in_a_row(tmp_path: Path) -> None:
    refusal(tmp_path, f'{HEADER}{ROW}"b.jpg,1,2,30,40,PNN\n{ROW}')


def test_an_open_quote_is_told_by_line(tmp_path: Path) -> None:
    assert "line 3" in refusal(tmp_path, f'{HEADER}{ROW}"b.jpg,1,2,30,40,PNN\n{ROW}')


def test_an_open_quote_in_the_header_of_a_large_file(tmp_path: Path) -> None:
    refusal(tmp_path, HEADER.replace("class", '"class') + ROW * 8_000)


def test_lines_may_end_as_on_old_macs_or_are_refused(tmp_path: Path) -> None:
    try:
        assert read(tmp_path, (HEADER + ROW).replace("\n", "\r")) == read(tmp_path, HEADER + ROW)
    except CytoyoloError as error:
        assert "labels.csv" in str(error)


def test_a_lone_carriage_return_does_not_split_a_row(tmp_path: Path) -> None:
    assert re.search(r"line [23]\b", refusal(tmp_path, "trustii_id,NAME\n1,a\r.jpg\n", TEST_ROLES))


def test_a_line_break_within_quotes_belongs_to_the_value(tmp_path: Path) -> None:
    assert read(tmp_path, f'{HEADER}{ROW}"b\n.jpg",1,2,30,40,PNN\n{ROW}')[1][0] == "b\n.jpg"


def test_a_path_below_a_file_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"labels\.csv"):
        read_table(saved(tmp_path, HEADER) / "labels.csv", SPEC, LABEL_ROLES)


# Numbers


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1),
        ("-85", -85),
        ("1.5", 1.5),
        ("1e3", 1000),
        (" 12", 12),
        ("+5", 5),
        ("-0", 0),
        ("1000000", 1e6),
        (".5", 0.5),
    ],
)
def test_a_coordinate(written: str, value: float) -> None:
    values, faults = numbers(pd.DataFrame({"x1": [written]}), ["x1"])
    assert values.tolist() == [[value]]
    assert (values.dtype, faults) == (np.float64, {})


@pytest.mark.parametrize(
    "written",
    [
        *["", " ", "abc", "nan", "NaN", "inf", "-inf", "Infinity", "NA", "None", "True"],
        *["1e308", "1e999", "-1e308", "1000001", "-1000001", "1_0", "0x10", "1,5", "1 2", "１２"],  # noqa: RUF001
    ],
)
def test_not_a_coordinate(written: str) -> None:
    values, faults = numbers(pd.DataFrame({"x1": ["1", written, "2"]}), ["x1"])
    assert faults == {1: f"x1 is '{written}', not a pixel coordinate"}
    assert values[[0, 2], 0].tolist() == [1, 2] and np.isnan(values[1, 0])


def test_the_first_bad_column_of_a_row_is_named() -> None:
    table = pd.DataFrame({"x1": ["1", "a"], "y1": ["b", "2"], "x2": ["inf", "c"]})
    values, faults = numbers(table, ["x1", "y1", "x2"])
    assert faults == {0: "y1 is 'b', not a pixel coordinate", 1: "x1 is 'a', not a pixel coordinate"}
    assert np.array_equal(np.isnan(values), [[False, True, True], [True, False, True]])


def test_a_very_long_value_is_cut() -> None:
    assert len(numbers(pd.DataFrame({"x1": ["9" * 100_000]}), ["x1"])[1][0]) < 500


@given(st.lists(st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6)), min_size=1))
def test_numbers_are_pythons(values: list[float]) -> None:
    found, faults = numbers(pd.DataFrame({"x": [repr(value) for value in values]}, dtype=str), ["x"])
    assert faults == {}
    assert found[:, 0] == pytest.approx(values, rel=1e-15, abs=0)


def test_refuse_names_the_lines_in_order(tmp_path: Path) -> None:
    with pytest.raises(CytoyoloError) as caught:
        refuse(tmp_path / "a.csv", {3: "late", 0: "early"}, "mend them")
    assert str(caught.value).endswith("a.csv: 2 rows can't be used (line 2: early; line 5: late); mend them.")


def test_refuse_counts_what_it_does_not_name() -> None:
    with pytest.raises(
        CytoyoloError, match=r"1,200 rows can't be used \(line 2: x; .*line 6: x; and 1,195 more\); mend"
    ):
        refuse("a.csv", dict.fromkeys(range(1200), "x"), "mend them")


def test_refuse_knows_one_row_from_many() -> None:
    with pytest.raises(CytoyoloError, match=r"1 row can't be used"):
        refuse("a.csv", {7: "x"}, "mend it")


def test_no_faults_no_refusal() -> None:
    refuse("a.csv", {}, "mend them")
    with pytest.raises(CytoyoloError):
        refuse("a.csv", {0: ""}, "mend them")


# Writing

TABLE = pd.DataFrame([["1", "é,b.jpg"], ["2", 'c "d".jpg']], columns=["trustii_id", "NAME"])
TEXT = 'trustii_id,NAME\n1,"é,b.jpg"\n2,"c ""d"".jpg"\n'


def test_a_written_table_is_plain_utf8(tmp_path: Path) -> None:
    write_table(tmp_path / "new" / "a.csv", TABLE)
    assert (tmp_path / "new" / "a.csv").read_bytes() == TEXT.encode()
    assert os.listdir(tmp_path / "new") == ["a.csv"]  # noqa: PTH208


def test_an_existing_table_needs_overwrite(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", TABLE)
    with pytest.raises(UsageError, match=r"a\.csv exists; give another name or overwrite=True"):
        write_table(tmp_path / "a.csv", TABLE.iloc[:1])
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == TEXT
    write_table(tmp_path / "a.csv", TABLE.iloc[:0], overwrite=True)
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "trustii_id,NAME\n"


@pytest.mark.parametrize("content", [b"", b"notes\n", b"trustii_id,NAME,x1\n", b"NAME,trustii_id\n", b"\xff\x00\n"])
def test_a_foreign_file_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a table this command made"):
        write_table(path, TABLE, overwrite=True)
    assert path.read_bytes() == content


def test_a_table_edited_on_windows_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT.replace("\n", "\r\n").encode())
    write_table(tmp_path / "a.csv", TABLE, overwrite=True)
    assert (tmp_path / "a.csv").read_bytes() == TEXT.encode()


def test_a_folder_is_not_a_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; give the name of a CSV file"):
        write_table(tmp_path, TABLE, overwrite=True)


def test_before_the_work_is_told_what_the_writing_would_refuse(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", TABLE)
    check_writable(tmp_path / "a.csv", list(TABLE.columns), overwrite=True)
    check_writable(tmp_path / "new" / "b.csv", list(TABLE.columns), overwrite=False)
    assert not (tmp_path / "new").exists()
    for header, overwrite in ((list(TABLE.columns), False), (["other"], True)):
        with pytest.raises(UsageError):
            check_writable(tmp_path / "a.csv", header, overwrite)


def test_a_table_whose_column_has_a_comma_may_be_replaced(tmp_path: Path) -> None:
    table = pd.DataFrame({"left, px": ["1"]})
    write_table(tmp_path / "a.csv", table)
    write_table(tmp_path / "a.csv", table, overwrite=True)


def test_a_path_below_a_file_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(UsageError):
        check_writable(tmp_path / "a" / "b.csv", ["x"], overwrite=False)


@pytest.mark.parametrize("stop", [OSError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_the_old_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def fail(table: pd.DataFrame, path: Path, **options: object) -> None:
        Path(path).write_text("half a ta")
        raise stop

    write_table(tmp_path / "a.csv", TABLE)
    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(stop):
        write_table(tmp_path / "a.csv", TABLE, overwrite=True)
    with pytest.raises(stop):
        write_table(tmp_path / "b.csv", TABLE)
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("a.csv", TEXT)]


# A name needs a character; line breaks within a value are not for tables.
value = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r\n"), max_size=8)
rows = st.lists(st.tuples(value.map("x{}".format), *[value] * 6), min_size=1, max_size=8)


@settings(deadline=None)
@given(rows)
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.csv"
    write_table(path, pd.DataFrame(rows, columns=SPEC.column_list(*SUBMISSION_ROLES), dtype=str), overwrite=True)
    table = read_table(path, SPEC, SUBMISSION_ROLES)
    assert [tuple(row) for row in table.to_numpy().tolist()] == rows


@settings(deadline=None)
@given(
    rows.flatmap(
        lambda rows: st.tuples(st.just(rows), st.permutations(SUBMISSION_ROLES), st.sampled_from(["\n", "\r\n"]))
    )
)
def test_rows_quoted_by_hand_are_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[list[tuple[str, ...]], list[str], str]
) -> None:
    rows, order, end = case
    place = [SUBMISSION_ROLES.index(role) for role in order]
    lines = [SPEC.column_list(*order), *([row[index] for index in place] for row in rows)]
    text = end.join(",".join('"' + value.replace('"', '""') + '"' for value in values) for values in lines)
    path = tmp_path_factory.getbasetemp() / "by_hand.csv"
    path.write_bytes(text.encode())
    assert [tuple(row) for row in read_table(path, SPEC, SUBMISSION_ROLES).to_numpy().tolist()] == rows


def test_a_fingerprint_is_sha256_of_the_bytes(tmp_path: Path) -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert fingerprint(saved(tmp_path, "")) == empty
    assert fingerprint(saved(tmp_path, "\r\n")) != fingerprint(saved(tmp_path, "\n"))


@pytest.mark.parametrize("call", [fingerprint, lambda path: read_table(path, SPEC, TEST_ROLES)])
def test_a_missing_file_is_named(tmp_path: Path, call: Callable[[Path], object]) -> None:
    with pytest.raises(UsageError, match=r"nothing\.csv"):
        call(tmp_path / "nothing.csv")
