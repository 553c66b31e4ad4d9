"""`predict` with whole slides: outputs, regions, tissue, kills, and slides that can't be used."""

import json
import shutil
import sys

import cv2
import numpy as np
import pandas as pd
import pytest

from cytoyolo import predict, submit
from cytoyolo.detector.predict import Detector
from cytoyolo.detector.weights import load_checkpoint, write_with_facts
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images.slides import open_slide
from tests.detector.test_slide_search import Discs
from tests.images.test_slides import with_offset
from tests.slides import smear, write_pyramid

pytestmark = pytest.mark.slow  # whole slides are searched

# The small network is seldom sure of what it sees on slides.
CONF = 2e-3


class _Killed(BaseException):
    """Stands for a process that ends: nothing of the program may handle it."""


@pytest.fixture(scope="module")
def weights(small_run):
    return small_run / "weights" / "best.pt"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A slide of a scanner and its OME-TIFF."""
    folder = tmp_path_factory.mktemp("slides")
    write_pyramid(folder / "a.svs", smear(1500, 900), kind="svs")
    write_pyramid(folder / "b.ome.tif", smear(4500, 400, 1), kind="ome")
    return folder


@pytest.fixture
def folder(made, blobs, tmp_path):
    """Slides and images, also in sub-folders; two slides and an image have one name."""
    for name in ("in/a.svs", "in/s1/a.svs"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made / "a.svs", tmp_path / name)
    shutil.copy(made / "b.ome.tif", tmp_path / "in" / "s1" / "b.ome.tif")
    shutil.copy(blobs / "images" / "blob00.jpg", tmp_path / "in" / "a.jpg")
    shutil.copy(blobs / "images" / "blob01.jpg", tmp_path / "in" / "z.jpg")
    return tmp_path / "in"


@pytest.fixture
def discs(monkeypatch):
    """Let `predict` use the exact model of the search's tests."""
    monkeypatch.setattr("cytoyolo.commands.predict.open_model", lambda *given: Discs())


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(output) -> pd.DataFrame:
    return pd.read_csv(output / "detections.csv", keep_default_na=False)


def test_slides_among_images_and_folders(weights, folder, tmp_path):
    done = predict(weights, folder, output=tmp_path / "out", conf=CONF)
    assert done.images == 5 and not done.failures
    table = rows(tmp_path / "out")
    assert table["NAME"].drop_duplicates().tolist() == ["a.jpg", "z.jpg", "a.svs", "s1/a.svs", "s1/b.ome.tif"]
    one, other = (table[table["NAME"] == name].drop(columns="NAME").to_numpy() for name in ("a.svs", "s1/a.svs"))
    assert len(one) and (one == other).all()
    assert table.loc[table["NAME"] == "s1/b.ome.tif", "x1"].between(1400, 3100).all()  # tissue
    counts = pd.read_csv(tmp_path / "out" / "differential.csv")
    assert counts["count"].sum() == len(table) == done.rows
    names = {name for name in files(tmp_path / "out") if "/" in name}
    assert names == {
        *("annotated/a.jpg.jpg", "annotated/z.jpg", "annotated/a.svs.jpg", "annotated/s1/a.jpg"),
        *("annotated/s1/b.ome.jpg", "geojson/a.svs.geojson", "geojson/s1/a.svs.geojson"),
        *("geojson/s1/b.ome.tif.geojson",),
    }
    small = cv2.imread(str(tmp_path / "out" / "annotated" / "a.svs.jpg"))
    assert small.shape[1:] == (1500, 3) and small.shape[0] > 900
    codes = table.loc[table["NAME"] == "a.svs", "class"].unique()
    dots, _ = cv2.connectedComponents((cv2.cvtColor(small[900:], cv2.COLOR_BGR2HSV)[..., 1] > 128).astype(np.uint8))
    assert dots - 1 == len(codes)  # the legend has a dot for each class that was found


def test_geojson_has_the_cells_of_the_table(weights, made, tmp_path):
    predict(weights, made / "a.svs", output=tmp_path / "out", conf=CONF, pictures=False)
    table = rows(tmp_path / "out")
    content = json.loads((tmp_path / "out" / "geojson" / "a.svs.geojson").read_text())
    assert content["type"] == "FeatureCollection" and len(content["features"]) == len(table) > 0
    for feature, row in zip(content["features"], table.to_dict("records"), strict=True):
        ring = feature["geometry"]["coordinates"][0]
        assert ring[0] == ring[-1] == [row["x1"], row["y1"]] and ring[2] == [row["x2"], row["y2"]]
        assert feature["properties"]["classification"]["name"] == row["class"]
        assert feature["properties"]["measurements"]["score"] == pytest.approx(row["confidence"])
    assert not (tmp_path / "out" / "annotated").exists()


def test_crops_are_squares_of_level_0(weights, made, tmp_path, monkeypatch):
    monkeypatch.setattr("cytoyolo.commands.predict_crops._AT_ONCE", 3)  # the slide is opened again and again
    done = predict(weights, made / "a.svs", output=tmp_path / "out", crops=tmp_path / "crops", conf=CONF)
    listed = pd.read_csv(tmp_path / "crops" / "crops.csv")
    assert done.rows == len(listed) == sum(done.crops.by_class.values()) > 6 and not done.crops.problems
    with open_slide(made / "a.svs") as slide:
        for cell in listed.itertuples():
            longer = max(cell.x2 - cell.x1, cell.y2 - cell.y1)
            side = longer + 2 * -(-longer // 8)
            x, y = (cell.x1 + cell.x2 - side) // 2, (cell.y1 + cell.y2 - side) // 2
            assert (cv2.imread(str(tmp_path / "crops" / cell.file)) == slide.read(x, y, side, side)).all()


def test_a_region_is_the_same_part_of_the_whole(weights, made, tmp_path, discs):
    whole = rows(predict(weights, made / "a.svs", output=tmp_path / "whole").output)
    part = rows(predict(weights, made / "a.svs", output=tmp_path / "part", region=(600, 200, 300, 500)).output)
    corners = whole[["x1", "y1", "x2", "y2"]].to_numpy()
    middle = (corners[:, :2] + corners[:, 2:]) / 2
    inside = ((middle >= (600, 200)) & (middle < (900, 700))).all(axis=1)
    assert 1 < len(part) < len(whole)
    pd.testing.assert_frame_equal(part, whole[inside].reset_index(drop=True))


def test_a_region_on_the_command_line(weights, made, tmp_path, cytoyolo):
    region = ("--region", "600,200,300,500", "--conf", CONF, "--all", "--json")
    done = cytoyolo("predict", weights, made / "a.svs", "-o", tmp_path / "out", *region)
    assert done.returncode == 0 and json.loads(done.stdout)["images"] == 1
    middle = rows(tmp_path / "out")[["x1", "x2"]].mean(axis=1)
    assert middle.between(599, 901).all()


@pytest.mark.slow
def test_a_killed_slide_goes_on_inside_the_slide(weights, folder, tmp_path, monkeypatch):
    predict(weights, folder, output=tmp_path / "whole", conf=CONF)
    from cytoyolo.detector import slide_plan

    monkeypatch.setattr(slide_plan, "_BLOCK", 300)
    predict(weights, folder, output=tmp_path / "blocks", conf=CONF)
    detect, seen = Detector.detect, []

    def counting(self, images, *rest, **more):
        seen.append(len(images))
        return detect(self, images, *rest, **more)

    def killed_after(limit):
        def killing(self, images, *rest, **more):
            if len(seen) >= limit:
                raise _Killed
            return counting(self, images, *rest, **more)

        seen.clear()
        monkeypatch.setattr(Detector, "detect", killing)
        with pytest.raises(_Killed):
            predict(weights, folder, output=tmp_path / "again", conf=CONF)

    monkeypatch.setattr(Detector, "detect", counting)
    predict(weights, folder, output=tmp_path / "count", conf=CONF)
    total = len(seen)
    journal = tmp_path / "again.partial" / "journal.jsonl"
    lengths = []
    for limit in (total // 3, total // 3):
        killed_after(limit)
        lengths.append(len(journal.read_bytes().splitlines()))
        journal.write_bytes(journal.read_bytes()[:-20])  # the last line was not written to its end
    assert 3 < lengths[0] < lengths[1]
    seen.clear()
    monkeypatch.setattr(Detector, "detect", counting)
    predict(weights, folder, output=tmp_path / "again", conf=CONF)
    assert len(seen) < total / 2
    assert files(tmp_path / "again") == files(tmp_path / "blocks")
    assert not (tmp_path / "again.partial").exists()


def test_other_regions_and_changed_slides_are_other_work(weights, folder, tmp_path, monkeypatch):
    def killed(self, images, *rest, **more):
        raise _Killed

    predicted = Detector.detect
    one = folder / "a.svs"

    def interrupt():
        calls = []

        def some(self, images, *rest, **more):
            calls.append(1)
            return killed(self, images) if len(calls) > 100 else predicted(self, images, *rest, **more)

        monkeypatch.setattr("cytoyolo.detector.slide_plan._BLOCK", 200)
        monkeypatch.setattr(Detector, "detect", some)
        with pytest.raises(_Killed):
            predict(weights, one, output=tmp_path / "out")
        monkeypatch.setattr(Detector, "detect", predicted)

    interrupt()
    for options in ({"region": (500, 100, 400, 400)}, {"whole": True}):
        with pytest.raises(UsageError, match=r"of another run \(its .*slides differ\)"):
            predict(weights, one, output=tmp_path / "out", **options)
    with one.open("ab") as file:
        file.write(b" ")
    with pytest.raises(UsageError, match=r"a\.svs, which has changed since"):
        predict(weights, one, output=tmp_path / "out")


def test_unreadable_tiles_are_listed_and_the_rest_goes_on(weights, made, tmp_path, cytoyolo):
    path = tmp_path / "a.svs"
    shutil.copy(made / "a.svs", path)
    with_offset(path, 2 * 6 + 3, 20)  # the tile at 768, 512
    done = cytoyolo("predict", weights, path, "-o", tmp_path / "out", "--conf", CONF)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    failures = pd.read_csv(tmp_path / "out" / "failures.csv")
    assert failures["NAME"].tolist() == ["a.svs"]
    assert failures["problem"][0].startswith("has unreadable tiles: ")
    assert "windows were not searched (x,y,width,height: " in failures["problem"][0]
    assert len(rows(tmp_path / "out"))


def test_a_slide_without_tissue_says_so(weights, tmp_path, cytoyolo):
    write_pyramid(tmp_path / "glass.svs", np.full((600, 900, 3), 240, np.uint8), kind="svs")
    done = cytoyolo("predict", weights, tmp_path / "glass.svs", "-o", tmp_path / "out")
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert "glass.svs has no tissue on a thumbnail; give --all to search all of it" in done.stderr
    made = predict(weights, tmp_path / "glass.svs", output=tmp_path / "out", whole=True)
    assert made.images == 1


def test_a_region_may_lie_in_some_of_the_slides(weights, folder, tmp_path):
    done = predict(weights, folder, output=tmp_path / "out", region=(1600, 100, 1500, 1500), conf=CONF)
    outside = "is 1500x900 px, and the region 1600,100,1500,1500 lies outside of it"
    assert done.failures == {"a.svs": outside, "s1/a.svs": outside}
    assert "s1/b.ome.tif" in rows(done.output)["NAME"].tolist()
    with pytest.raises(UsageError, match=r"lies outside of all slides \(a.svs has 1500x900 px; .*; give a part"):
        predict(weights, folder, output=tmp_path / "none", region=(90_000, 0, 10, 10))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ("1,2,3", "--region is '1,2,3'; give four whole numbers: x, y, width, height in pixels of level 0."),
        ("1,2,3,x", "--region is '1,2,3,x'; give four whole numbers"),
        ("1,2,0,5", "--region is '1,2,0,5'; give a width and a height of at least 1 pixel."),
        ("1500,0,10,10", "--region is '1500,0,10,10'; it lies outside of the slide (a.svs has 1500x900 px); give"),
        ("0,0,100,100", "the region has no tissue on a thumbnail; give --all"),
    ],
)
def test_an_impossible_region_is_one_sentence(weights, made, tmp_path, cytoyolo, region, words):
    done = cytoyolo("predict", weights, made / "a.svs", "-o", tmp_path / "out", "--region", region)
    assert (
        done.returncode == (1 if "tissue" in words else 2) and words in done.stderr and "Traceback" not in done.stderr
    )
    assert not (tmp_path / "out").exists()


def test_options_of_slides_need_a_slide(weights, blobs, tmp_path):
    for options, words in (({"region": (0, 0, 5, 5)}, "`region` is for"), ({"whole": True}, "whole=True is for")):
        with pytest.raises(UsageError, match=words):
            predict(weights, blobs / "images", output=tmp_path / "out", **options)


def test_slides_that_cannot_be_used_are_failures_and_the_rest_goes_on(weights, folder, tmp_path):
    (folder / "s1" / "a.svs").write_bytes((folder / "a.svs").read_bytes()[:30_000])
    (folder / "c.ndpi").write_bytes(b"not a slide")
    (folder / "d.mrxs").write_bytes(b"")
    done = predict(weights, folder, output=tmp_path / "out")
    assert sorted(done.failures) == ["c.ndpi", "d.mrxs", "s1/a.svs"] and done.images == 4
    listed = pd.read_csv(tmp_path / "out" / "failures.csv")
    assert listed["NAME"].tolist() == sorted(done.failures)


def test_without_openslide_one_sentence_says_what_to_install(weights, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(CytoyoloError, match=r"a\.svs is a whole slide .* pip install 'cytoyolo\[slides\]'"):
        predict(weights, folder / "a.svs", output=tmp_path / "out")
    done = predict(weights, folder, output=tmp_path / "out")
    assert sorted(done.failures) == ["a.svs", "s1/a.svs"] and done.images == 3


def test_networks_of_different_scales_search_a_slide_at_none_of_them(weights, made, tmp_path):
    several = {um: tmp_path / f"{um}.pt" for um in (0.25, 0.125, 0.1251)}
    sizes = load_checkpoint(weights)["cytoyolo"]["trained_on"]
    for um, path in several.items():
        write_with_facts(weights, path, {"trained_on": {**sizes, "um_per_px": um}})

    def found(*models, **options):
        output = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        predict(models, made / "a.svs", output=output, conf=CONF, device="cpu", report=False, **options)
        return rows(output)

    for order in ((0.25, 0.125), (0.125, 0.25)):
        with pytest.raises(
            UsageError, match=r"different scales \(0\.125, 0\.25 micrometres a pixel\).* or give `scale`"
        ):
            found(*(several[um] for um in order))
    resized, unknown = found(several[0.125], several[0.125]), found(weights, weights)
    assert len(resized) and not resized.equals(unknown)
    assert found(several[0.25], several[0.125], scale=2.0).equals(resized)
    # If a network does not know its scale, it is shown the scale of the others.
    assert found(weights, several[0.125]).equals(resized) and found(several[0.1251], several[0.125]).equals(resized)


@pytest.mark.usefixtures("printed")
def test_an_unknown_scale_is_said(weights, tmp_path, capsys):
    write_pyramid(tmp_path / "a.svs", smear(900, 600), kind="svs", um=0)
    predict(weights, tmp_path / "a.svs", output=tmp_path / "out")
    said = capsys.readouterr().err
    assert "a.svs: 900x600 px, of unknown resolution; level 0, " in said
    assert "Slides that are searched at level 0, because " in said


@pytest.mark.usefixtures("discs")
def test_a_limit_of_boxes_is_one_of_the_whole_slide(made, weights, tmp_path, monkeypatch):
    predict(weights, made / "a.svs", output=tmp_path / "all")
    every = rows(tmp_path / "all")
    monkeypatch.setattr(Discs, "max_det", 2)
    monkeypatch.setattr(Discs, "field_limit", 2)
    limited = predict(weights, made / "a.svs", output=tmp_path / "two", max_det=2)
    assert len(every) > 2
    pd.testing.assert_frame_equal(rows(tmp_path / "two"), every.head(2))
    assert limited.warnings == {"a.svs": "has more boxes than the limit of 2 (--max-det)"}


@pytest.mark.usefixtures("printed", "discs")
def test_windows_of_unknown_size_are_said(weights, made, tmp_path, capsys):
    predict(weights, made / "a.svs", output=tmp_path / "out")
    assert (
        "Slides are searched in windows of 160 px, the input of the network, that overlap by 80 px"
        in capsys.readouterr().err
    )


def test_submit_refuses_a_slide(weights, made, tmp_path, cytoyolo):
    done = cytoyolo("submit", weights, made / "a.svs", "--images", made, "-o", tmp_path / "s.csv")
    assert (
        done.returncode == 2
        and "a.svs is a whole slide, and submit takes a test table; `cytoyolo predict" in done.stderr
    )
    with pytest.raises(UsageError, match="is a whole slide, and submit takes a test table"):
        submit(weights, made / "a.svs", images=made, output=tmp_path / "s.csv")


def test_other_kinds_are_named_and_not_read(weights, made, tmp_path):
    shutil.copy(made / "a.svs", tmp_path / "a.svs")
    (tmp_path / "x.dcm").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "y.isyntax").write_bytes(b"<x/>")
    done = predict(weights, tmp_path, output=tmp_path / "out")
    assert sorted(done.failures) == ["x.dcm", "y.isyntax"]
    assert done.failures["x.dcm"].startswith("is a DICOM image (.dcm), a kind that is not read")
