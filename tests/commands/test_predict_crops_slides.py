"""Pictures of the cells of a whole slide: a damaged tile costs the cells that it shows, and no others."""

import csv
from pathlib import Path

import pytest

from cytoyolo.commands.predict_crops import INDEX, CropFolder
from cytoyolo.images.samples import UNKNOWN
from cytoyolo.spec import plain_spec
from tests.images.test_slides import with_offset
from tests.slides import smear, write_pyramid

CORNERS = ((300, 300), (800, 100), (1100, 300), (780, 60), (1400, 300))  # two lie in the tile at 768, 0


@pytest.fixture
def crops(tmp_path: Path) -> CropFolder:
    write_pyramid(tmp_path / "a.tif", smear(4500, 600))
    with (tmp_path / "detections.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["NAME", "x1", "y1", "x2", "y2", "class", "confidence"])
        table.writerows(["a.tif", x, y, x + 40, y + 40, "LY", 0.5] for x, y in CORNERS)
    return CropFolder(tmp_path / "crops", False, tmp_path, ["a.tif"], UNKNOWN, plain_spec(("LY",)), ["LY"])


@pytest.mark.parametrize("at_once", [2, 200])
def test_the_cells_behind_a_damaged_tile_are_cut_out(crops, tmp_path, monkeypatch, at_once):
    monkeypatch.setattr("cytoyolo.commands.predict_crops._AT_ONCE", at_once)
    with_offset(tmp_path / "a.tif", 3, 20)
    made = crops.write(tmp_path / "detections.csv", overwrite=False)
    with (tmp_path / "crops" / INDEX).open() as file:
        assert [int(row["x1"]) for row in csv.DictReader(file)] == [300, 1100, 1400]
    assert made.by_class == {"LY": 3} and len(list((tmp_path / "crops" / "LY").iterdir())) == 3
    assert made.problems["a.tif"].startswith("has cells that can't be read (piece 3 of level 0: ")


def test_a_slide_that_is_gone_has_no_pictures(crops, tmp_path):
    (tmp_path / "a.tif").unlink()
    made = crops.write(tmp_path / "detections.csv", overwrite=False)
    assert made.by_class == {} and made.problems == {"a.tif": "is missing"}
