"""`join`: tables, images, groups, test rows and classes of several sources in one data set."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cytoyolo import CytoyoloError, UsageError, audit, convert, join
from cytoyolo.spec import load_spec

LAB1 = """name: lab1
classes: [{code: LY}, {code: PNN, name: neutrophil}, {code: MO}]
columns: {image: file, x1: left}
"""
LAB2 = "name: lab2\nclasses: [{code: PNN, name: neutrophil}, {code: Er, leukocyte: false}]\n"
SOURCES = """lab1: {labels: one/labels.csv, images: one/images, groups: one/slides.csv, dataset: lab1.yaml}
lab-2: {labels: two/labels.csv, images: two/images, test: two/test.csv, dataset: lab2.yaml}
"""


def paint(folder: Path, *names: str, seed: int) -> None:
    for at, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng([seed, at]).integers(0, 255, (48, 64, 3)).astype(np.uint8)
        assert cv2.imwrite(str(folder / name), noise)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two sources that share names of images and groups. The first has its own columns, commas and a row in between."""
    paint(tmp_path / "one" / "images", "a.png", "s/b.png", "unlisted.png", seed=1)
    paint(tmp_path / "two" / "images", "a.png", "c.png", "t.png", seed=2)
    (tmp_path / "one" / "labels.csv").write_text(
        "file;left;y1;x2;y2;class\nA.png;1,5;2;30;31;PNN\n;;;;;\ns\\B.PNG;3;4;35;36;LY\ns/b.png;30;2;60;40;msk\n"
    )
    (tmp_path / "one" / "slides.csv").write_text("file,group\na.png,S1\ns/b.png,S2\n")
    (tmp_path / "two" / "labels.csv").write_text("NAME,x1,y1,x2,y2,class\na.png,5,5,30,31,Er\nc.png,,,,,\n")
    (tmp_path / "two" / "test.csv").write_text("trustii_id,NAME\n7,t.png\n")
    (tmp_path / "lab1.yaml").write_text(LAB1)
    (tmp_path / "lab2.yaml").write_text(LAB2)
    (tmp_path / "sources.yaml").write_text(SOURCES)
    return tmp_path


def test_the_tables_are_one_under_new_names(place: Path) -> None:
    made = join(place / "sources.yaml", output=place / "joined")
    joined = place / "joined"
    assert (joined / "labels.csv").read_text() == (
        "NAME,x1,y1,x2,y2,class\nlab1/a.png,1.5,2,30,31,PNN\nlab1/s/b.png,3,4,35,36,LY\n"
        "lab1/s/b.png,30,2,60,40,msk\nlab-2/a.png,5,5,30,31,Er\nlab-2/c.png,,,,,\n"
    )
    assert (joined / "groups.csv").read_text() == "NAME,group\nlab1/a.png,lab1/S1\nlab1/s/b.png,lab1/S2\n"
    assert (joined / "test.csv").read_text() == "trustii_id,NAME\nlab-2/7,lab-2/t.png\n"
    files = {path.relative_to(joined / "images").as_posix() for path in (joined / "images").rglob("*.png")}
    assert files == {"lab1/a.png", "lab1/s/b.png", "lab-2/a.png", "lab-2/c.png", "lab-2/t.png"}
    for name in ("lab1/a.png", "lab-2/a.png"):
        original = place / {"lab1": "one", "lab-2": "two"}[name.split("/")[0]] / "images" / "a.png"
        assert (joined / "images" / name).is_symlink() and (joined / "images" / name).samefile(original)
    spec = load_spec(joined / "dataset.yaml")
    assert (spec.codes, spec.leukocyte) == (("LY", "PNN", "Er"), (True, True, False))
    assert spec.names == ("LY", "neutrophil", "Er")
    assert (made.rows, made.images, made.groups, made.test_images) == (5, 4, 2, 1)
    assert made.classes.to_dict("list") == {"class": ["LY", "PNN", "Er"], "lab1": [1, 1, 0], "lab-2": [0, 0, 1]}
    recorded = json.loads((joined / "sources.json").read_text())["sources"]
    assert [one["rows"] for one in recorded] == [3, 2] and str(place) not in (joined / "sources.json").read_text()


def test_the_joined_data_set_goes_through_audit_and_convert(place: Path) -> None:
    joined = place / "joined"
    join(place / "sources.yaml", output=joined, copy=True)
    assert not any(path.is_symlink() for path in (joined / "images").rglob("*"))
    tables = {"images": joined / "images", "dataset": joined / "dataset.yaml", "test": joined / "test.csv"}
    assert not audit(joined / "labels.csv", **tables).errors
    made = convert(
        joined / "labels.csv", output=place / "yolo", groups=joined / "groups.csv", repair=True, val=0.4, **tables
    )
    assert (made.images, made.boxes) == (4, 3)


def test_the_same_sources_give_the_same_bytes(place: Path) -> None:
    for name in ("one-way", "again"):
        join(place / "sources.yaml", output=place / name)
    for name in ("labels.csv", "groups.csv", "test.csv", "dataset.yaml", "sources.json"):
        assert (place / "one-way" / name).read_bytes() == (place / "again" / name).read_bytes()


def test_a_name_without_a_file_stays_and_is_said(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (place / "two" / "labels.csv").open("a") as file:
        file.write("gone.png,1,1,20,20,PNN\n")
    made = join(place / "sources.yaml", output=place / "joined")
    assert made.sources["missing"].tolist() == [0, 1]
    assert "lab-2: 1 names of images have no file" in caplog.text and "'gone.png'" in caplog.text
    assert "lab-2/gone.png" in pd.read_csv(place / "joined" / "labels.csv")["NAME"].tolist()


def test_fractions_are_not_mixed_into_pixels(place: Path) -> None:
    rows = "".join(f"{at}.png,0.1{at},0.2{at},0.5{at},0.6{at},PNN\n" for at in range(30))
    (place / "two" / "labels.csv").write_text(f"NAME,x1,y1,x2,y2,class\n{rows}")
    with pytest.raises(CytoyoloError, match=r"two/labels\.csv: its boxes are not corners in pixels"):
        join(place / "sources.yaml", output=place / "joined")
    assert not (place / "joined").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("lab1: {labels: one/labels.csv, images: one/images}", "must name at least two sources"),
        ("[1, 2]", "must name at least two sources"),
        ("a: {labels: x, images: y}\n../b: {labels: x, images: y}", "'../b' can't be the name of a source"),
        ("a: {labels: x, images: y}\nA: {labels: x, images: y}", "differ only in case"),
        ("a: {labels: x, images: y}\nb: {labels: x}", "source b has no 'images'"),
        ("a: {labels: x, images: y}\nb: {labels: x, image: y}", "unknown key 'image'"),
        ("a: {labels: x, images: y}\nb: {labels: [x], images: y}", "'labels' must be a path"),
        ("a: {labels: x, images: y}\nb: one", "source b must be a mapping"),
        ("a: {labels: x, images: y}\nb: {labels: x, images: y}", "x: no such file"),
    ],
)
def test_sources_that_cannot_be_joined_get_one_sentence(content: str, said: str, place: Path) -> None:
    (place / "sources.yaml").write_text(content)
    with pytest.raises(CytoyoloError) as caught:
        join(place / "sources.yaml", output=place / "joined")
    assert said in str(caught.value) and not (place / "joined").exists()


def test_sources_must_agree_what_a_leukocyte_is(place: Path) -> None:
    (place / "lab1.yaml").write_text(LAB1.replace("{code: MO}", "{code: Er}"))
    with pytest.raises(CytoyoloError, match="'Er' counts in the leukocyte differential of one source"):
        join(place / "sources.yaml", output=place / "joined")


@pytest.mark.parametrize(
    ("first", "second", "classes", "joined", "said"),
    [
        # The rows of the first source use code, English name, case and id; "X" is left to the audit.
        ("{code: BA, name: basophil}, LY", "MO, LY", ["basophil", "ba", "LY", "X"], ["BA", "BA", "LY", "X"], "2 rows"),
        ("PNN, LY", "LY, MO", ["0", "1", "1", "MSK"], ["PNN", "LY", "LY", "msk"], "'1' is LY"),
        # One class in two spellings becomes the first, or is told if the codes are no spellings of each other.
        ("{code: ly, name: lymphocyte}", "{code: LY, name: lymphocyte}", ["ly"], ["ly"], "'LY' is 'ly' of lab1"),
        ("{code: L, name: lymphocyte}", "{code: LY, name: Lymphocyte}", ["L"], ["L"], "'L' of lab1 and 'LY' of lab-2"),
        ("LY, ly", "LY", ["LY", "ly"], ["LY", "ly"], ""),
    ],
)
def test_classes_of_each_source_mean_what_its_data_set_says(
    first: str, second: str, classes: list[str], joined: list[str], said: str, place: Path, caplog
) -> None:
    (place / "lab1.yaml").write_text(f"name: lab1\nclasses: [{first}]\n")
    (place / "lab2.yaml").write_text(f"name: lab2\nclasses: [{second}]\n")
    rows = [f"a.png,{at},2,{at + 30},31,{value}\n" for at, value in enumerate(classes)]
    (place / "one" / "labels.csv").write_text("NAME,x1,y1,x2,y2,class\n" + "".join(rows))
    (place / "two" / "labels.csv").write_text("NAME,x1,y1,x2,y2,class\na.png,1,2,30,31,LY\n")
    (place / "one" / "slides.csv").write_text("NAME,group\na.png,S1\n")
    caplog.set_level("INFO")
    made = join(place / "sources.yaml", output=place / "joined")
    second_row = "ly" if joined == ["ly"] else "LY"
    assert pd.read_csv(place / "joined/labels.csv")["class"].tolist() == [*joined, second_row]
    known = set(joined) - {"X", "msk"} | {second_row}
    assert set(load_spec(place / "joined/dataset.yaml").codes) == set(made.classes["class"]) == known
    assert said in caplog.text and (said or not caplog.text)


def test_flags_are_joined_and_must_not_contradict_each_other(place: Path) -> None:
    two = LAB2.replace("{code: Er, leukocyte: false}", "{code: Er, leukocyte: false, flag: immature}")
    assert two != LAB2
    (place / "lab2.yaml").write_text(two)
    join(place / "sources.yaml", output=place / "joined")
    assert load_spec(place / "joined/dataset.yaml").flags == ("", "", "immature")
    (place / "lab1.yaml").write_text(LAB1.replace("{code: MO}", "{code: Er, leukocyte: false, flag: blast}"))
    with pytest.raises(CytoyoloError, match="the class 'Er' has the flag blast in one source and immature in another"):
        join(place / "sources.yaml", output=place / "again")


def test_an_output_that_holds_a_source_is_kept(place: Path) -> None:
    join(place / "sources.yaml", output=place / "joined")
    with pytest.raises(UsageError, match="exists"):
        join(place / "sources.yaml", output=place / "joined")
    inner = {"labels": place / "joined/labels.csv", "images": place / "joined/images"}
    with pytest.raises(UsageError, match="would delete"):
        join({"a": inner, "b": inner}, output=place / "joined", overwrite=True)
