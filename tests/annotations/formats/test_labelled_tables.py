"""Labelled tables: columns of other names, boxes in other forms, workbooks, and what can't be read."""

from pathlib import Path

import cv2
import numpy as np
import openpyxl
import pytest

from cytoyolo.annotations.formats import labelled_tables
from cytoyolo.annotations.formats.table_columns import columns_of
from cytoyolo.errors import CytoyoloError, UsageError

ROBOFLOW = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,100,50,LY,10,20.5,30,40\nb.jpg,100,50,,,,,\n"
MAPPING = "image=filename,x1=xmin,y1=ymin,x2=xmax,y2=ymax,class=class,width=width,height=height"


def read(path: Path, content: str | bytes, mapping: str | None = MAPPING):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return labelled_tables.read(path, None, mapping)


def test_other_names_of_columns_and_an_image_without_labels(tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv", ROBOFLOW)
    assert found.boxes.iloc[0, :6].tolist() == ["a.jpg", 10, 20.5, 30, 40, "LY"] and not found.problems
    assert found.images.iloc[:, :3].values.tolist() == [["a.jpg", 100, 50], ["b.jpg", 100, 50]]
    assert found.empty_images == ["b.jpg"]


@pytest.mark.parametrize("nothing", ["NaN", "nan", " ", "NULL", "<NA>"])
def test_a_row_of_nothing_is_an_image_without_cells(nothing: str, tmp_path: Path) -> None:
    row = ",".join([nothing] * 7)
    found = read(tmp_path / "t.csv", f"{ROBOFLOW}c.jpg,{row}\nd.jpg,9,8,NA,1,2,3,4\n")
    assert found.empty_images == ["b.jpg", "c.jpg"] and not found.problems
    assert found.images.iloc[2, :3].tolist() == ["c.jpg", 0, 0] and found.codes == ("LY", "NA")


def test_groups_confidences_and_unknown_sizes(tmp_path: Path) -> None:
    content = "n,c,p,q,r,s,W,H,centre,score\na.jpg,LY,1,2,3,4,,,Lyon,0.5\nb.jpg,LY,1,2,3,4,9,8,,7\n"
    mapping = "image=n,class=c,x1=p,y1=q,x2=r,y2=s,width=W,height=H,group=centre,confidence=score"
    found = read(tmp_path / "t.csv", content, mapping)
    assert found.images.iloc[:, :4].values.tolist() == [["a.jpg", 0, 0, "Lyon"], ["b.jpg", 9, 8, ""]]
    assert found.boxes["confidence"].fillna(-1).tolist() == [0.5, -1]
    assert found.problems == (("line 3", "the confidence is 7.0, not a number from 0 to 1; it is left out"),)


def test_size_and_group_may_stand_in_any_row_of_an_image(tmp_path: Path) -> None:
    mapping = "image=n,class=c,x1=p,y1=q,x2=r,y2=s,width=W,height=H,group=g,unit=fractions"
    rows = ["a.jpg,LY,0,0,1,1,,,", "a.jpg,LY,0,0,1,1,9,8,s1", "a.jpg,LY,0,0,1,1,9.0,8,s1", "a.jpg,LY,0,0,1,1,,,s1"]
    found = read(tmp_path / "t.csv", "\n".join(["n,c,p,q,r,s,W,H,g", *rows]), mapping)
    assert found.images.values.tolist() == [["a.jpg", 9, 8, "s1", ""]] and not found.problems
    assert found.boxes[["x2", "y2"]].values.tolist() == [[9, 8]] * 4


def test_two_sizes_and_two_groups_of_an_image_are_findings(tmp_path: Path) -> None:
    mapping = "image=n,class=c,x1=p,y1=q,x2=r,y2=s,width=W,height=H,group=g"
    rows = [f"a.jpg,LY,0,0,1,1,{told}" for told in ("9,8,s1", "9,8,s2", "7,8,s1", "9,8,s2", "9,8,s1")]
    found = read(tmp_path / "t.csv", "\n".join(["n,c,p,q,r,s,W,H,g", *rows]), mapping)
    assert found.images.values.tolist() == [["a.jpg", 9, 8, "s1", ""]] and len(found.boxes) == 5
    assert found.problems == (
        ("line 3", "the group is 's2', and before it was 's1'"),
        ("line 4", "the size is 7x8, and before it was 9x8"),
    )


def test_sizes_of_files_turn_fractions_into_pixels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    assert cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((50, 100, 3), np.uint8))
    (tmp_path / "t.csv").write_text("n,c,p,q,r,s\na.png,LY,0.1,0.4,0.3,0.8\nb.png,LY,0.1,0.4,0.3,0.8\n")
    mapping = "image=n,class=c,x1=p,y1=q,x2=r,y2=s,unit=fractions"
    found = labelled_tables.read(tmp_path / "t.csv", tmp_path / "images", mapping)
    assert found.boxes.iloc[0, 1:5].astype(float).round(9).tolist() == [10, 20, 30, 40]
    what = "its box is in fractions, and the size of the image is not known; it is left out"
    assert found.problems[0] == ("line 3", what) and list(found.images["image"]) == ["a.png"]


@pytest.mark.parametrize(
    ("row", "mapping"),
    [
        ("10,20,20,20", "x=p,y=q,w=r,h=s"),
        ("20,30,20,20", "cx=p,cy=q,w=r,h=s"),
        ("0.1,0.4,0.3,0.8", "x1=p,y1=q,x2=r,y2=s,width=W,height=H,unit=fractions"),
        ("20,60,20,40", "cx=p,cy=q,w=r,h=s,width=W,height=H,unit=percent"),
    ],
)
def test_the_forms_of_a_box(row: str, mapping: str, tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv", f"n,c,p,q,r,s,W,H\na.jpg,LY,{row},100,50\n", f"image=n,class=c,{mapping}")
    assert found.boxes.iloc[0, 1:5].astype(float).round(9).tolist() == [10, 20, 30, 40]


@pytest.mark.parametrize(
    "content",
    [
        ROBOFLOW.replace(",", ";").replace("20.5", "20,5"),
        "\ufeff" + ROBOFLOW,
        ROBOFLOW.replace(",", "\t"),
        ROBOFLOW.encode("utf-16"),
        ROBOFLOW.replace("filename", " FileName "),
    ],
)
def test_the_ways_in_which_spreadsheets_write_a_table(content, tmp_path: Path) -> None:
    assert read(tmp_path / "t.csv", content).boxes.iloc[0, :6].tolist() == ["a.jpg", 10, 20.5, 30, 40, "LY"]


def workbook(path: Path, **sheets: str) -> None:
    book = openpyxl.Workbook()
    for title, content in sheets.items():
        sheet = book.create_sheet(title)
        for line in content.splitlines():
            values = [float(part) if part.replace(".", "").isdigit() else part or None for part in line.split(",")]
            sheet.append(values)
    book.save(path)


def test_an_excel_workbook(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    workbook(path, boxes=f"\n{ROBOFLOW}")
    found = labelled_tables.read(path, None, MAPPING)
    assert found.boxes.equals(read(tmp_path / "t.csv", ROBOFLOW).boxes) and found.empty_images == ["b.jpg"]


@pytest.mark.parametrize(
    ("unit", "number_format", "value"),
    [
        ("percent", "0.0%", 0.125),
        ("percent", "0.00\\ %", 0.125),
        ("percent", '0.0" %"', 12.5),
        ("percent", "General", 12.5),
        ("fractions", "0%", 0.125),
        ("fractions", "General", 0.125),
    ],
)
def test_a_cell_in_percent_is_the_number_that_excel_shows(
    unit: str, number_format: str, value: float, tmp_path: Path
) -> None:
    path = tmp_path / "t.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["n", "c", "x", "y", "w", "h", "W", "H", "score"])
    book.active.append(["a.jpg", "LY", value, value, 0.07, value, 200, 400, 0.5])
    for cell in book.active[2][2:6]:
        cell.number_format = number_format
    book.active["E2"].number_format = book.active["I2"].number_format = "0%"
    book.save(path)
    mapping = f"image=n,class=c,x=x,y=y,w=w,h=h,width=W,height=H,confidence=score,unit={unit}"
    found = labelled_tables.read(path, None, mapping)
    assert found.boxes.iloc[0, 1:5].astype(float).round(9).tolist() == [25, 50, 39, 100] and not found.problems
    assert found.boxes["confidence"].tolist() == [0.5]


def test_numbers_with_a_mark_of_percent(tmp_path: Path) -> None:
    mapping = "image=n,class=c,x1=p,y1=q,x2=r,y2=s,width=W,height=H,confidence=g"
    content = "n;c;p;q;r;s;W;H;g\na.jpg;LY;12,5%;12.5 %;50\u00a0%;100%;200;400;95,5%\n"
    for unit in ("percent", "fractions"):
        found = read(tmp_path / "t.csv", content, f"{mapping},unit={unit}")
        assert found.boxes.iloc[0, 1:5].tolist() == [25, 50, 100, 400] and not found.problems
        assert found.boxes["confidence"].tolist() == [0.955]
    found = read(tmp_path / "t.csv", content, mapping)
    assert found.problems[0].what.startswith("the box nan,nan,nan,nan has a number that is not a coordinate in pixels")


def test_findings_name_the_rows_of_a_sheet_that_begins_with_empty_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    workbook(path, boxes=f"\n\n\n{ROBOFLOW}\nc.jpg,9,8,,1,2,3,4")
    found = labelled_tables.read(path, None, MAPPING)
    assert found.problems[0] == ("line 8", "it has a box and no class; it is left out") and len(found.boxes) == 1


def test_a_workbook_that_can_t_be_read_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    workbook(path, a=ROBOFLOW, b=ROBOFLOW)
    with pytest.raises(CytoyoloError, match=r"has 2 sheets with rows \('a'; 'b'\); save the sheet with the boxes"):
        labelled_tables.read(path, None, MAPPING)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CytoyoloError, match="can't be read as an Excel workbook"):
        labelled_tables.read(path, None, MAPPING)
    workbook(path, a="")
    with pytest.raises(CytoyoloError, match="holds no rows; fill its sheet"):
        labelled_tables.read(path, None, MAPPING)


def test_tables_in_sub_folders(tmp_path: Path) -> None:
    for name in ("train", "valid"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "_annotations.csv").write_text(ROBOFLOW)
    found = labelled_tables.read(tmp_path, None, MAPPING)
    assert list(found.images["image"]) == ["train/a.jpg", "train/b.jpg", "valid/a.jpg", "valid/b.jpg"]


def test_an_unusual_form_is_noted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for name in ("train", "valid"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.csv").write_text(ROBOFLOW.replace(",", ";").replace("20.5", "20,5"))
    labelled_tables.read(tmp_path, None, MAPPING.replace(",width=width,height=height", ""))
    (noted,) = caplog.messages
    form = "semicolons stand between the columns; decimals have a comma; columns are not used (width; height)"
    assert noted == f"{tmp_path}/train/t.csv was read in its own form: {form}."


def test_absolute_paths_do_not_start_at_the_folder_of_their_table(tmp_path: Path) -> None:
    for name in ("s1", "s2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.csv").write_text(f"n,c,p,q,r,s\nC:\\img\\{name}\\a.jpg,LY,1,2,3,4\n")
    found = labelled_tables.read(tmp_path, None, "image=n,class=c,x1=p,y1=q,x2=r,y2=s")
    assert list(found.images["image"]) == list(found.images["group"] + "/a.jpg") == ["s1/a.jpg", "s2/a.jpg"]


def test_columns_that_are_not_named_are_shown(tmp_path: Path) -> None:
    with pytest.raises(CytoyoloError) as refused:
        read(tmp_path / "t.csv", ROBOFLOW, None)
    assert str(refused.value) == (
        f"{tmp_path}/t.csv has no column NAME, x1, y1, x2, y2; say which of its columns "
        "(filename; width; height; class; xmin; ymin; xmax; ymax) is which, such as "
        "columns='image=filename,x1=xmin,y1=ymin,x2=xmax,y2=ymax,class=class'."
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "a.jpg,1,2,3,4,LY\nb.jpg,1,2,3,4,LY\n",
            "is already a row; put the names of its columns above it as the first",
        ),
        (
            "Cells of May;;;;;\nNAME;x1;y1;x2;y2;class\na.jpg;1;2;3;4;LY\n",
            "its columns are named in line 2, so delete the",
        ),
        ('Cells\n\nfile,xmin,ymin,xmax,ymax,label\n"a', "in its first line; delete the lines above line 3, its header"),
        ("filename,file_size,region_id,region_shape_attributes,a,b\na.jpg,1,0,{},c,d\n", "is a table of VIA"),
        ("Cells\na.jpg\n", "rename, add or delete columns"),
    ],
)
def test_a_first_line_that_is_no_header_is_told(content: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(CytoyoloError) as refused:
        read(tmp_path / "t.csv", content, None)
    assert words in str(refused.value) and "image=" not in str(refused.value)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("a.jpg,100,50,LY,10,left,30,40", "the box 10,nan,30,40 has a number that is not a coordinate in pixels"),
        ("a.jpg,100,50,LY,,,,", "the box nan,nan,nan,nan has a number that is not a coordinate in pixels"),
        ("a.jpg,100,50,,10,20,30,40", "it has a box and no class"),
        (",100,50,LY,10,20,30,40", "it names no image"),
        ("a.jpg,100,50,LY,10,20,30,40,50", "more than 8 columns"),
    ],
)
def test_a_faulty_row_is_a_finding(line: str, what: str, tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv", f"{ROBOFLOW.splitlines()[0]}\n{line}\nc.jpg,1,1,LY,0,0,1,1\n")
    assert found.problems[0] == ("line 2", f"{what}; it is left out") and len(found.boxes) == 1
    assert list(found.images["image"]) == ["c.jpg"]


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("", "give each role once with its column"),
        ("image", "give each role once with its column"),
        ("image=a,image=b", "give each role once with its column"),
        ("image=a,x1=b,y1=c,x2=d,y2=e", "give image, class and four sides of the box"),
        ("image=a,x1=b,y1=c,x2=d,y2=e,class=f,colour=g", "'colour' is not one of the roles"),
        ("image=a,x1=b,y1=c,x2=d,y2=e,class=e", "give a different column for each role"),
        ("image=a,x1=b,y1=c,x2=d,y2=e,class=f,unit=inches", "give unit=pixels, unit=fractions, unit=percent"),
    ],
)
def test_what_is_no_mapping_of_columns_is_one_sentence(mapping: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        columns_of(mapping)
