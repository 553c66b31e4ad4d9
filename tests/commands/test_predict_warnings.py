"""What `predict` and `fuse` warn of: limits of boxes that were reached, and fields larger than the network's input."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from cytoyolo import Detector, fuse, predict, submit
from cytoyolo.commands.predict_warnings import Warnings
from cytoyolo.detector.detections import Detections, of_scores
from cytoyolo.detector.inference import complete, open_model
from cytoyolo.detector.predict import shrinkage
from cytoyolo.detector.tiling import Tiling
from cytoyolo.detector.trained_on import TrainedOn
from cytoyolo.errors import UsageError


@pytest.fixture(scope="module")
def weights(small_run):
    return small_run / "weights" / "best.pt"


@pytest.fixture(scope="module")
def field(blobs, tmp_path_factory):
    """A folder of one image that is 400 px wide, for a network of 64 px."""
    folder = tmp_path_factory.mktemp("field")
    cv2.imwrite(str(folder / "field.png"), cv2.resize(cv2.imread(str(blobs / "images" / "blob00.jpg")), (400, 300)))
    return folder


@pytest.mark.slow
def test_a_limit_of_boxes_that_is_reached_is_said_and_listed(weights, blobs, tmp_path, cytoyolo):
    call = ("predict", weights, blobs / "images", "--conf", "1e-4", "--no-pictures")
    done = cytoyolo(*call, "-o", tmp_path / "two", "--max-det", 2)
    assert done.returncode == 0 and "Images with more boxes than the limit of 2: " in done.stderr
    assert "Give `predict` a higher --max-det." in done.stderr
    rows, warned = (pd.read_csv(tmp_path / "two" / name) for name in ("detections.csv", "warnings.csv"))
    counts = rows.groupby("NAME").size()
    assert counts.max() == 2 and set(warned["NAME"]) <= set(counts[counts == 2].index)
    assert set(warned["warning"]) == {"has more boxes than the limit of 2 (--max-det)"}
    done = cytoyolo(*call, "-o", tmp_path / "all", "--max-det", 5000)
    assert done.returncode == 0 and "--max-det" not in done.stderr
    assert not (tmp_path / "all" / "warnings.csv").exists()
    every = pd.read_csv(tmp_path / "all" / "detections.csv")
    assert set(warned["NAME"]) == set(every["NAME"].value_counts()[lambda found: found > 2].index)
    pd.testing.assert_frame_equal(every.groupby("NAME").head(2).reset_index(drop=True), rows)
    assert cytoyolo(*call, "-o", tmp_path / "none", "--max-det", 0).returncode == 2


@pytest.mark.slow
@pytest.mark.usefixtures("printed")
def test_the_limit_of_a_table_is_that_of_its_list(weights, blobs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("cytoyolo.commands.submit.LISTED_CONF", 1e-4)  # the small network is sure of nothing
    call = {"test": blobs / "test.csv", "images": blobs / "images", "iou": 0.99}
    submit(weights, **call, output=tmp_path / "plain.csv")
    made = submit(weights, **call, output=tmp_path / "s.csv", probabilities=True, max_det=1)
    whole = submit(weights, **call, output=tmp_path / "w.csv", probabilities=True)
    assert not whole.warnings and not (tmp_path / "w.warnings.csv").exists()
    listed = pd.read_csv(tmp_path / "s.detections.csv")
    # blob03.jpg has three rows, so that the limit is 3.
    assert listed["NAME"].value_counts().max() == 3
    more = pd.read_csv(tmp_path / "w.detections.csv")["NAME"].value_counts()
    assert set(made.warnings) == set(more[more > 3].index) != set()
    assert set(pd.read_csv(tmp_path / "s.warnings.csv")["NAME"]) == set(made.warnings)
    assert "more boxes than the limit of 3" in capsys.readouterr().err
    made = submit(weights, **call, output=tmp_path / "again.csv", max_det=1)
    assert not made.warnings  # rows without a list: each image has as many boxes as it has rows
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
    submit(weights, **call, output=tmp_path / "s.csv", probabilities=True, overwrite=True)
    assert not (tmp_path / "s.warnings.csv").exists()


@pytest.mark.usefixtures("printed")
def test_fuse_tells_of_tables_that_may_lack_boxes(weights, blobs, tmp_path, capsys):
    for name, limit in (("a", 2), ("b", None)):
        predict(
            weights, blobs / "images", output=tmp_path / name, conf=1e-4, max_det=limit, probabilities=True,
            pictures=False,
        )  # fmt: skip
    capsys.readouterr()
    tables = [tmp_path / name / "detections.csv" for name in ("a", "b")]
    warned = set(pd.read_csv(tmp_path / "a" / "warnings.csv")["NAME"])
    assert fuse(tables, output=tmp_path / "f.csv").incomplete == sorted(warned) != []
    assert f"when they were predicted: {len(warned)} (" in capsys.readouterr().err
    assert fuse(tables[1:], output=tmp_path / "g.csv").incomplete == []
    assert not capsys.readouterr().err
    many = pd.concat([pd.read_csv(tables[1]).head(1)] * 300)
    many.assign(x2=many["x1"] + np.arange(300)).to_csv(tmp_path / "h.csv", index=False)
    assert len(fuse([tmp_path / "h.csv"], output=tmp_path / "i.csv").incomplete) == 1


def test_a_field_larger_than_the_networks_input_is_told(weights, blobs, field, tmp_path, cytoyolo):
    call = ("predict", weights, field, "--no-pictures", "--tiles", "off")
    done = cytoyolo(*call, "-o", tmp_path / "out")
    assert done.returncode == 0
    assert "input of 64 px: 1 (the largest, field.png, is 400x300 px, 6.2 times)" in done.stderr
    assert "give --tiles 80, or --imgsz 416 (with --threads 1 if memory is short)." in done.stderr
    warned = pd.read_csv(tmp_path / "out" / "warnings.csv")
    assert warned.to_numpy().tolist() == [["field.png", "is 400x300 px, 6.2 times the network's input of 64 px"]]
    done = cytoyolo(*call, "-o", tmp_path / "wide", "--imgsz", 416, "--no-report")
    assert done.returncode == 0 and "larger" not in done.stderr
    assert not (tmp_path / "wide" / "warnings.csv").exists()
    pd.DataFrame({"trustii_id": [1], "NAME": ["field.png"]}).to_csv(tmp_path / "test.csv", index=False)
    made = submit([weights, weights], tmp_path / "test.csv", images=field, output=tmp_path / "s.csv", tiles="off")
    assert list(made.warnings) == ["field.png"]


@pytest.mark.usefixtures("printed")
def test_a_field_too_large_for_any_network_is_to_be_cut(capsys):
    from cytoyolo.detector.detections import nothing

    model = SimpleNamespace(imgsz=384, stride=32, trained_on=None, tiling=Tiling())
    warnings = Warnings(model, 300, 0.25)
    for size, expected in (((960, 720), 0), ((961, 10), 1), ((40_000, 30_000), 2)):
        warnings.look([replace(nothing(("a",)), image=f"{size[0]}.png", size=size)])
        assert len(warnings.of_image) == expected
    warnings.say()
    said = capsys.readouterr().err
    assert "give --tiles SIZE, the longer side of the training's images in pixels." in said and "--imgsz" not in said


def test_images_as_large_as_those_of_the_training_are_no_large_fields():
    known, size = TrainedOn(1920, 1080, 1920, (60, 142, 240)), (1920, 1080)
    model = SimpleNamespace(imgsz=640, trained_imgsz=640, trained_on=known, tiling=Tiling())
    assert shrinkage(size, model) == 0 and shrinkage((4000, 1080), model) == 4000 / 640
    model.tiling = Tiling(1920, 240, 1.5 * 1920)
    assert shrinkage((4000, 3000), model) == 0
    model.imgsz = 320  # the user's
    assert shrinkage(size, model) == 6
    model.trained_on, model.imgsz = None, 640
    assert shrinkage(size, model) == 3


def test_a_detector_warns_its_caller(weights, blobs, field):
    detector = Detector(weights, conf=1e-4, device="cpu", max_det=1)
    with pytest.warns(UserWarning, match=r"more boxes than max_det=1") as caught:
        (found,) = detector.predict([str(blobs / "images" / "blob00.jpg")])
    assert len(found) == 1 and found.cut_confidence > 1e-4 and caught[0].filename == __file__
    detector = Detector(weights, conf=0.9, device="cpu", tiles="off")
    with pytest.warns(UserWarning, match=r"6\.2 times as large as the network's input of 64 px"):
        detector.predict(field / "field.png")
    with pytest.raises(UsageError, match="max_det=0"):
        Detector(weights, max_det=0)


def cells_of(name: str, side: float, count: int) -> Detections:
    xyxy = np.tile(np.array([[0, 0, side, side]], np.float32), (count, 1))
    found = of_scores(xyxy, np.full((count, 1), 0.9, np.float32), ("a",), size=(400, 400))
    return replace(found, image=name)


@pytest.mark.usefixtures("printed")
def test_cells_of_another_scale_are_told_and_their_images_are_listed(capsys):
    known = TrainedOn(360, 363, 370, (60, 142, 240))
    model = SimpleNamespace(imgsz=384, trained_imgsz=384, stride=32, trained_on=known, tiling=Tiling())
    warnings = Warnings(model, 300, 0.25)
    warnings.look([cells_of("small.png", 50, 12), cells_of("usual.png", 142, 2), cells_of("none.png", 9, 0)])
    assert not warnings.of_image
    warnings.close()
    assert warnings.of_image == {"small.png": "its cells are 0.35 times as large as the training's"}
    warnings.say()
    said = capsys.readouterr().err
    assert "a median side of 50 px, 0.35 times the training's median of 142 px" in said and "--scale 2.8" in said
    few = Warnings(model, 300, 0.25)
    few.look([cells_of("small.png", 50, 9)])
    few.close()
    few.say()
    assert not few.of_image and not capsys.readouterr().err


@pytest.mark.usefixtures("printed")
def test_models_of_images_of_different_sizes_divide_none_and_say_so(weights, tmp_path, monkeypatch, capsys):
    class Wide(Detector):
        def __init__(self, path, **given):
            super().__init__(path, **given)
            if path.name == "wide.pt":
                self.tiling = replace(self.tiling, tile=2 * self.tiling.tile)

    wide = tmp_path / "wide.pt"
    wide.write_bytes(weights.read_bytes())
    monkeypatch.setattr("cytoyolo.detector.inference.Detector", Wide)
    open_model([weights, weights], complete({"device": "cpu"}))
    assert not capsys.readouterr().err
    assert not open_model([weights, wide], complete({"device": "cpu"})).tiling.tile
    assert "trained on images of different sizes (80 px; 160 px). For images that" in capsys.readouterr().err


@pytest.mark.usefixtures("printed")
def test_slides_are_judged_at_their_own_scale(capsys):
    model = SimpleNamespace(
        imgsz=384, trained_imgsz=384, trained_on=TrainedOn(360, 363, 370, (60, 142, 240)), tiling=Tiling()
    )
    warnings = Warnings(model, 300, 0.25)
    warnings.look_at_slide(cells_of("usual.svs", 50, 12), 2.8)
    warnings.look_at_slide(cells_of("few.svs", 50, 9), 1.0)
    assert not warnings.of_image
    warnings.look_at_slide(replace(cells_of("small.svs", 50, 12), cut_confidence=0.5), 1.0)
    warnings.close()
    assert warnings.of_image == {
        "small.svs": "has more boxes than the limit of 300 (--max-det); its cells are 0.35 times as large as the "
        "training's"
    }
    warnings.say()
    said = capsys.readouterr().err
    assert "more boxes than the limit of 300: 1 (small.svs)" in said and said.count("median of 142 px") == 1
    assert "small.svs: The cells that were found have a median side of 50 px, 0.35 times" in said
    assert "--scale 2.8" in said and "usual.svs" not in said


@pytest.mark.parametrize(
    "options",
    [("--tiles", "0"), ("--tiles", "3"), ("--tiles", "100,100"), ("--tiles", "-5"), ("--scale", "0"),
     ("--scale", "nan"), ("--scale", "1e9"), ("--um-per-px", "-1"), ("--tiles", "off", "--scale", "2"),
     ("--um-per-px", "0.1")],
)  # fmt: skip
def test_wrong_tiles_and_scales_are_one_sentence(weights, blobs, tmp_path, cytoyolo, options):
    done = cytoyolo("predict", weights, blobs / "images", "-o", tmp_path / "out", *options)
    assert done.returncode == 2 and done.stderr.startswith("cytoyolo: ") and done.stderr.count("\n") == 1, done.stderr
    assert options[0] in done.stderr and not (tmp_path / "out").exists()


def test_a_field_is_searched_in_tiles_without_a_warning(weights, field, tmp_path, cytoyolo):
    done = cytoyolo("predict", weights, field, "-o", tmp_path / "out", "--no-pictures")
    assert done.returncode == 0 and "larger than" not in done.stderr
    assert "Images that were searched in tiles of 80 px with an overlap of" in done.stderr
    assert not (tmp_path / "out" / "warnings.csv").exists()
