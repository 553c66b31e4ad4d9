"""`predict --crops`: a picture of each cell, in a folder for each class, and everything that can be wrong with it."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo import predict
from cytoyolo.commands.predict_crops import INDEX, class_folders
from cytoyolo.errors import UsageError
from cytoyolo.files import listing
from cytoyolo.text import file_name

pytestmark = pytest.mark.slow  # networks predict many times

CONF = 1e-4


@pytest.fixture(scope="module")
def weights(small_run):
    return small_run / "weights" / "best.pt"


@pytest.fixture
def images(blobs, tmp_path):
    """Images of one name in several folders, and names that a program could fall over."""
    names = ("a.jpg", "s1/a.jpg", "s1/a-2.jpg", "s2/a.png", "s2/-rf.jpg", 's2/<b>"x":*?|\'.jpg', "s2/é 中\u0300.jpg")
    for number, name in enumerate((*names, f"s2/{'long' * 60}.jpg")):
        place = tmp_path / "images" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(blobs / "images" / f"blob{number:02}.jpg", place)
    return tmp_path / "images"


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in listing(folder)}


def test_each_row_has_a_picture_of_its_cell(weights, images, tmp_path):
    before = content(images)
    made = predict(weights, images, output=tmp_path / "out", crops=tmp_path / "crops", conf=CONF)
    rows = pd.read_csv(tmp_path / "out" / "detections.csv", keep_default_na=False)
    listed = pd.read_csv(tmp_path / "crops" / INDEX, keep_default_na=False)
    columns = ["NAME", "x1", "y1", "x2", "y2", "class", "confidence"]
    pd.testing.assert_frame_equal(listed[columns], rows[columns])
    assert listed["line"].tolist() == list(range(2, len(rows) + 2)) and len(rows) > 20
    assert set(listing(tmp_path / "crops")) == {INDEX, *listed["file"]} and listed["file"].is_unique
    assert made.crops.by_class == rows["class"].value_counts().to_dict() and made.crops.problems == {}
    for cell in listed.itertuples():
        folder, name = cell.file.split("/")
        assert folder == listed.loc[cell.Index, "class"] and name.endswith(f"-{cell.line}.png")
        picture, whole = cv2.imread(str(tmp_path / "crops" / cell.file)), cv2.imread(str(images / cell.NAME))
        width, height = cell.x2 - cell.x1, cell.y2 - cell.y1
        side = len(picture)
        assert picture.shape == (side, side, 3) and side == max(width, height) + 2 * -(-max(width, height) // 8)
        x, y = (side - width) // 2, (side - height) // 2  # the cell is in the middle
        inside = whole[cell.y1 : cell.y2, cell.x1 : cell.x2]
        offsets = [(x + a, y + b) for a in (0, 1) for b in (0, 1)]
        assert any((picture[b : b + height, a : a + width] == inside).all() for a, b in offsets)
    assert content(images) == before


def test_outside_the_image_is_gray(weights, tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((72, 80, 3), 200, np.uint8))
    predict(weights, tmp_path / "a.png", output=tmp_path / "out", crops=tmp_path / "crops", conf=CONF)
    pictures = [cv2.imread(str(tmp_path / "crops" / name)) for name in listing(tmp_path / "crops") if name != INDEX]
    assert pictures and {value for one in pictures for value in np.unique(one).tolist()} == {114, 200}


def test_the_command_tells_the_folder_and_the_counts(weights, images, tmp_path, cytoyolo):
    call = ("predict", weights, images, "--conf", CONF, "--no-report", "--no-pictures")
    done = cytoyolo(*call, "-o", tmp_path / "out", "--crops", tmp_path / "crops", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0 and told["crops"]["folder"] == str(tmp_path / "crops")
    assert sum(told["crops"]["by_class"].values()) == told["rows"] and told["crops"]["problems"] == {}
    done = cytoyolo(*call, "-o", tmp_path / "other", "--crops", tmp_path / "more")
    assert f"{tmp_path / 'more'}: {told['rows']} pictures of single cells (" in done.stdout
    assert content(tmp_path / "more") == content(tmp_path / "crops")
    done = cytoyolo(*call, "-o", tmp_path / "plain", "--json")
    assert json.loads(done.stdout)["crops"] is None


def test_no_cell_is_an_empty_list(weights, images, tmp_path, cytoyolo):
    call = ("predict", weights, images, "--conf", 1, "-o", tmp_path / "out", "--crops", tmp_path / "crops")
    done = cytoyolo(*call)
    assert done.returncode == 0 and "crops: 0 pictures of single cells\n" in done.stdout
    assert listing(tmp_path / "crops") == [INDEX]


def test_the_folder_is_refused_before_the_work_begins(weights, images, tmp_path):
    output, crops = tmp_path / "out", tmp_path / "crops"
    crops.mkdir()
    (crops / "mine.txt").write_text("mine")

    def refused(folder: Path, words: str, **options: object) -> None:
        with pytest.raises(UsageError, match=words):
            predict(tmp_path / "none.pt", images, output=output, crops=folder, **options)

    refused(crops, "crops exists; give another folder or overwrite=True")
    refused(crops, "holds files this tool did not make", overwrite=True)
    refused(crops / "mine.txt", "is a file; give the name of a folder")
    for place in (
        output,
        output / "crops",
        tmp_path,
        tmp_path / "out.partial" / "crops",
        tmp_path / "x" / ".." / "out",
    ):
        refused(place, "is or holds the output .*out, or lies in it; give a folder beside it")
    predict(weights, images, output=output, crops=tmp_path / "cells", conf=CONF)
    refused(tmp_path / "cells", "out exists")
    with pytest.raises(UsageError, match="cells exists"):
        predict(weights, images, output=tmp_path / "other", crops=tmp_path / "cells")
    assert not (tmp_path / "other").exists() and not (tmp_path / "other.partial").exists()
    again = {"output": output, "crops": tmp_path / "cells", "conf": 0.9, "overwrite": True}
    mine = tmp_path / "cells" / "mine.png"
    mine.write_text("mine")
    with pytest.raises(UsageError, match="cells holds files this tool did not make"):
        predict(weights, images, **again)
    mine.unlink()
    assert predict(weights, images, **again).rows == len(listing(tmp_path / "cells")) - 1
    with pytest.raises(UsageError, match=r"cells was made by `cytoyolo predict --crops`, not by `cytoyolo predict`"):
        predict(weights, images, output=tmp_path / "cells", overwrite=True)


def test_images_among_pictures_of_cells_are_not_searched(weights, images, tmp_path):
    made = predict(weights, images, output=tmp_path / "out", crops=images / "crops", conf=CONF)
    again = predict(weights, images, output=tmp_path / "again", conf=CONF)
    assert (again.images, again.rows) == (made.images, made.rows)


def test_images_gone_since_are_one_sentence_and_the_rest_goes_on(weights, images, tmp_path, monkeypatch, capsys):
    from cytoyolo.commands.predict_folder import PredictionFolder

    place = PredictionFolder.place

    def placed(self, overwrite):
        place(self, overwrite)
        (images / "a.jpg").unlink()
        (images / "s1" / "a.jpg").write_text("no picture")
        cv2.imwrite(str(images / "s2" / "a.png"), np.zeros((20, 20, 3), np.uint8))

    monkeypatch.setattr(PredictionFolder, "place", placed)
    from cytoyolo import console

    with console.shown():
        made = predict(weights, images, output=tmp_path / "out", crops=tmp_path / "crops", conf=CONF)
    assert set(made.crops.problems) == {"a.jpg", "s1/a.jpg", "s2/a.png"}
    assert made.crops.problems["s2/a.png"] == "has changed since it was searched"
    (sentence,) = (line for line in capsys.readouterr().err.splitlines() if "can't be read any more" in line)
    assert "crops, because they can't be read any more: 3 (a.jpg is missing; s1/a.jpg " in sentence
    rows = pd.read_csv(tmp_path / "out" / "detections.csv", keep_default_na=False)
    left = pd.read_csv(tmp_path / "crops" / INDEX, keep_default_na=False)
    assert set(left["NAME"]) == set(rows["NAME"]) - set(made.crops.problems)


def test_a_full_disk_keeps_the_work(weights, images, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cytoyolo.commands.predict_crops._square", full)
    call = {"output": tmp_path / "out", "crops": tmp_path / "crops", "conf": CONF}
    with pytest.raises(OSError, match="28"):
        predict(weights, images, **call)
    assert not (tmp_path / "crops").exists() and (tmp_path / "out.partial").is_dir()
    monkeypatch.undo()
    predict(weights, images, **call)
    predict(weights, images, output=tmp_path / "plain", crops=tmp_path / "straight", conf=CONF)
    assert content(tmp_path / "crops") == content(tmp_path / "straight")
    assert content(tmp_path / "out") == content(tmp_path / "plain")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crops", "images", "out", "plain", "straight"]


@given(st.lists(st.text(max_size=130), unique=True, max_size=12))
def test_any_codes_give_different_safe_folders(codes):
    folders = class_folders(codes)
    assert list(folders) == codes
    names = [name.casefold() for name in folders.values()]
    assert len(set(names)) == len(names) and INDEX not in names
    for name in folders.values():
        assert not set(name) & set('<>:"/\\|?*\0\n\t ') and name not in ("", ".", "..") and name[-1] != "."
        assert name[0] not in ".-~" and len(os.fsencode(name)) <= 110


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("PNN", "PNN"), ("éo+", "éo+"), ("..", "_"), ("/etc/passwd", "_etc_passwd"), ("aux.txt", "_aux.txt"),
        ("a\x1b[31m", "a_[31m"), ("a.", "a"), ("x" * 200, "x" * 100), ("é" * 60, "é" * 50), ("\u202egnp", "_gnp"),
    ],
)  # fmt: skip
def test_names_of_files(text, name):
    assert file_name(text) == name
