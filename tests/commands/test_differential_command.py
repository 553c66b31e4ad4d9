"""`differential`: stored detections by slide, the notes of `predict`, a truth, and tables that can't be used."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from cytoyolo import CytoyoloError, UsageError, differential
from cytoyolo.spec import load_spec

HEADER = "NAME,x1,y1,x2,y2,class,confidence,second_class,margin"
DAY = 1764374400  # 29 November 2025


def box(name: str, code: str, confidence: float = 0.9, at: int = 10) -> str:
    return f"{name},{at},{at},{at + 20},{at + 20},{code},{confidence},LY,0.5"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Detections of two sub-folders and of the top folder, one of them faint."""
    rows = [box(f"a/{number}.jpg", "PNN") for number in range(6)]
    rows += [box("a/0.jpg", "LY", at=50), box("b/0.jpg", "MBL"), box("b/0.jpg", "Er", at=50), box("c.jpg", "LY", 0.1)]
    path = tmp_path / "found.csv"
    path.write_text("\n".join([HEADER, *rows, ""]))
    os.utime(path, (DAY, DAY))
    return path


def predicted(table: Path, **facts: object) -> Path:
    """The same table in a folder as `predict` leaves it."""
    folder = table.parent / "results"
    folder.mkdir()
    (folder / "detections.csv").write_bytes(table.read_bytes())
    noted = {"model": "best.pt", "sha256": ["ab" * 32], "threshold": 0.1, "date": "2025-01-31", "wanted": 200}
    from cytoyolo.commands.differential_folder import digest

    record = {
        "facts": noted | {"uncertain_below": None} | facts, "by_groups": False,
        "slides": {"a": 7, "b": 1, "c.jpg": 1, "(top folder)": 1, "empty": 3},
        "whole_slides": ["c.jpg"], "dataset": load_spec("cytologia").to_dict(), "detections_sha256": digest(table),
    }  # fmt: skip
    (folder / "differential.json").write_text(json.dumps(record))
    return folder


def test_a_table_alone_tells_slides_threshold_and_date(table: Path) -> None:
    made = differential(table, cells=7)
    assert made.slides[["slide", "images", "cells", "leukocytes", "enough"]].to_numpy().tolist() == [
        ["(top folder)", 1, 0, 0, "no"], ["a", 6, 7, 7, "yes"], ["b", 1, 2, 1, "no"],
    ]  # fmt: skip
    assert made.caption() == "confidence from 0.25; 2025-11-29; 9 cells, 8 of them leukocytes"
    assert made.remarks()[1] == "Blasts: 1 (MBL: 1), in 1 of 3 slides (b: 1): look at them."
    assert differential(table, conf=0).cells == 10


@pytest.mark.parametrize(("epoch", "day"), [("86400", "1970-01-02"), (None, "2025-11-30")])
def test_the_day_of_a_table_is_that_of_the_environment_if_it_is_set(
    table: Path, monkeypatch: pytest.MonkeyPatch, epoch: str | None, day: str
) -> None:
    os.utime(table, (DAY + 129_600, DAY + 129_600))  # noon, in UTC
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    if epoch is not None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    assert differential(table).facts.date == day


def test_what_predict_noted_is_used(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = predicted(table)
    made = differential(folder)
    assert made.facts.model == "best.pt" and made.facts.date == "2025-01-31" and made.cells == 10
    assert dict(zip(made.slides["slide"], made.slides["images"], strict=True)) == {
        "(top folder)": 1, "a": 7, "b": 1, "c.jpg": 1, "empty": 3,
    }  # fmt: skip
    assert not made.facts.by_class
    assert differential(folder / "detections.csv", conf=0.5).facts.threshold == 0.5
    with (folder / "detections.csv").open("a") as file:
        file.write(box("b/0.jpg", "LY", at=90) + "\n")
    assert "best.pt, table changed since" in differential(folder, conf=0.01).caption()
    assert "has changed since" in caplog.text and "conf=0.01 adds none" in caplog.text


def test_images_of_a_truth_that_were_not_searched_are_told(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, rows = predicted(table), [f"a/{number}.jpg,10,10,30,30,PNN" for number in range(8)]
    (table.parent / "truth.csv").write_text("\n".join(["NAME,x1,y1,x2,y2,class", *rows, "n/0.jpg,1,1,9,9,LY", ""]))
    differential(folder, truth=table.parent / "truth.csv")
    assert "images that `predict` did not search" in caplog.text
    assert "(a: 8, 7 searched; n: 1, 0 searched)" in caplog.text


@pytest.mark.parametrize("change", [{"date": "soon"}, {"threshold": 7}, {"sha256": 3}, {"model": None, "date": 1}])
def test_a_damaged_note_is_refused(table: Path, change: dict[str, object]) -> None:
    with pytest.raises(CytoyoloError, match=r"differential\.json is not what `predict` wrote; move it"):
        differential(predicted(table, **change))


def test_groups_are_slides(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    groups = table.with_name("slides.csv")
    groups.write_text("NAME,group\na/0.jpg,<script>\nb/0.jpg,\u05e9\u05e7\ngone.jpg,x\n")
    with caplog.at_level("INFO", "cytoyolo"):
        made = differential(table, groups=groups)
    assert dict(zip(made.slides["slide"], made.slides["cells"], strict=True)) == {
        "(no group)": 5, "<script>": 2, "\u05e9\u05e7": 2,
    }  # fmt: skip
    assert "1 of 3 names match none of the images of the detections ('gone.jpg')" in caplog.text
    assert "counted as the slide (no group): 6" in caplog.text


def test_an_output_holds_tables_picture_and_record(table: Path, tmp_path: Path, cytoyolo) -> None:
    text = table.read_text().splitlines()
    marked = [f"{line},{'yes' if 'LY,0.9' in line else 'no'}" for line in text[1:]]
    table.write_text("\n".join([f"{text[0]},uncertain", *marked, ""]))
    done = cytoyolo("differential", table, "-o", tmp_path / "out")
    assert done.returncode == 0 and "Too few cells" in done.stdout, done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert names == {
        "report.html", "differential.csv", "differential.json", "differential.png", "slide_classes.csv", "slides.csv",
        "uncertain.csv",
    }  # fmt: skip
    unsure = pd.read_csv(tmp_path / "out" / "uncertain.csv")
    assert unsure[["slide", "NAME", "x1", "class"]].to_numpy().tolist() == [["a", "a/0.jpg", 50, "LY"]]
    assert pd.read_csv(tmp_path / "out" / "slides.csv")["uncertain"].tolist() == [0, 1, 0]
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    differential(table, output=tmp_path / "out", overwrite=True)
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert cytoyolo("differential", table, "-o", tmp_path / "out").returncode == 2


@pytest.mark.slow
def test_a_truth_is_compared_slide_by_slide(table: Path, tmp_path: Path, cytoyolo) -> None:
    truth = tmp_path / "labels.csv"
    rows = ["NAME,x1,y1,x2,y2,class", *(f"a/{number}.jpg,10,10,30,30,PNN" for number in range(6))]
    rows += ["a/0.jpg,50,50,70,70,MO", "a/1.jpg,80,80,99,99,LY", "b/0.jpg,10,10,30,30,MBL", "d/0.jpg,1,1,9,9,LY"]
    truth.write_text("\n".join([*rows, ""]))
    made = differential(table, truth=truth)
    pairs = made.comparison.pairs.set_index(["slide", "class"])
    assert pairs.loc[("a", "LY"), ["true_count", "found_count"]].tolist() == [1, 1]
    assert pairs.loc[("a", "MO"), "difference"] == pytest.approx(-1 / 8, abs=1e-6)
    assert pairs.loc[("d", "LY"), "found_count"] == 0 and ("b", "Er") not in pairs.index
    bias = made.comparison.bias.set_index("class")
    assert bias["slides"].unique().tolist() == [2]  # slide d has no detection, so that it has no shares
    assert bias.loc["MO", "bias"] == pytest.approx(-1 / 16, abs=1e-6)
    done = cytoyolo("differential", table, "--truth", truth, "-o", tmp_path / "out")
    assert "limits of agreement" in done.stdout and "-6.2" in done.stdout, done.stderr
    assert len(pd.read_csv(tmp_path / "out" / "bias.csv")) == 21 and (tmp_path / "out" / "pairs.csv").is_file()
    truth.write_text("\n".join([rows[0], *rows[1:7], rows[9], "b/0.jpg,45,45,75,75,msk", ""]))
    assert differential(table, truth=truth).comparison.pairs["found_count"].sum() == 8
    truth.write_text("\n".join(rows[:7]) + "\n")
    assert differential(table, truth=truth).remarks()[-1] == (
        "Limits of agreement need two slides with leukocytes in both tables. Such slides here: 1."
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEADER}\n{box('a.jpg', 'PNN', float('nan'))}\n", "confidence is 'nan', not a number from 0 to 1"),
        (f"{HEADER}\n{box('a.jpg', 'RBC')}\n", r"has classes that data set 'cytologia' does not have \('RBC'\)"),
        (f"{HEADER},uncertain\n{box('a.jpg', 'LY')},perhaps\n", "uncertain is 'perhaps', not yes or no"),
        ("NAME,x1,y1,x2,y2,class\na.jpg,1,1,9,9,LY\n", "is a label table, not a table of detections"),
        ("class,name,count,share,leukocyte_share\nLY,x,1,1,1\n", "is a differential, not a table of detections"),
        ("", "empty"),
    ],
)
def test_a_table_that_cannot_be_counted_gets_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "found.csv").write_text(text)
    with pytest.raises(CytoyoloError, match=said) as caught:
        differential(tmp_path / "found.csv", output=tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_no_detection_at_all_and_one_class(tmp_path: Path) -> None:
    (tmp_path / "found.csv").write_text(f"{HEADER}\n")
    made = differential(tmp_path / "found.csv", output=tmp_path / "out")
    assert (made.cells, len(made.slides), len(made.overall)) == (0, 0, 23)
    assert (tmp_path / "out" / "differential.png").stat().st_size > 0
    (tmp_path / "one.yaml").write_text("classes: [cell]\n")
    (tmp_path / "found.csv").write_text(
        f"NAME,x1,y1,x2,y2,class,confidence,second_class,margin\n{box('a.jpg', 'cell')}\n"
    )
    assert differential(tmp_path / "found.csv", dataset=tmp_path / "one.yaml").leukocytes == 1


@pytest.mark.parametrize(("given", "said"), [({"conf": 2}, "0 to 1"), ({"cells": 0}, "1 or more")])
def test_a_wrong_call(table: Path, given: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        differential(table, **given)
    with pytest.raises(UsageError, match="no such file"):
        differential(table.with_name("gone.csv"))


def test_groups_do_not_know_images_without_a_cell(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    groups = table.parent / "groups.csv"
    groups.write_text("NAME,group\n" + "".join(f"a/{number}.jpg,A\n" for number in range(6)))
    differential(predicted(table), groups=groups)
    assert "Images in which nothing was found: 5. Their names are not in the table" in caplog.text


@pytest.mark.parametrize(
    ("noted", "said"),
    [
        ({"by_groups": True}, "`predict` without `groups` does"),
        ({}, "the prediction is of an older version"),
        ({"slides": {"a": 5, "b": 1, "c.jpg": 4}}, "the prediction is of an older version"),
    ],
)
def test_slides_that_predict_made_otherwise_are_not_counted(
    table: Path, caplog: pytest.LogCaptureFixture, noted: dict[str, object], said: str
) -> None:
    caplog.set_level("INFO")
    folder = predicted(table)
    record = json.loads((folder / "differential.json").read_text())
    del record["by_groups"]
    record |= {"slides": {"a": 9, "PatB": 1}, **noted}
    (folder / "differential.json").write_text(json.dumps(record))
    (table.parent / "truth.csv").write_text("NAME,x1,y1,x2,y2,class\na/0.jpg,10,10,30,30,PNN\n")
    made = differential(folder, truth=table.parent / "truth.csv")
    assert dict(zip(made.slides["slide"], made.slides["images"], strict=True)) == {"a": 6, "b": 1, "c.jpg": 1}
    assert "nothing was found: 2." in caplog.text and said in caplog.text
    assert caplog.text.count("`predict` ") == ("by_groups" in noted) and "did not search" not in caplog.text


def test_a_prediction_of_an_older_version_keeps_its_images_without_cells(
    table: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    folder = predicted(table)
    as_noted = differential(folder).slides
    record = json.loads((folder / "differential.json").read_text())
    del record["by_groups"]
    (folder / "differential.json").write_text(json.dumps(record))
    assert differential(folder).slides.equals(as_noted) and as_noted["images"].sum() == 13
    assert "nothing was found" not in caplog.text


def test_an_output_notes_whether_slides_are_groups(table: Path, tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("NAME,group\na/0.jpg,A\n")
    for name, groups in (("by", tmp_path / "groups.csv"), ("plain", None)):
        differential(table, groups=groups, output=tmp_path / name, report=False)
    noted = [json.loads((tmp_path / name / "differential.json").read_text())["by_groups"] for name in ("by", "plain")]
    assert noted == [True, False]
