"""Fields cut into tiles: which boxes a tile keeps, what is painted over, and the YOLO folder that comes of it."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cytoyolo
from cytoyolo.annotations.trainable import Trainable
from cytoyolo.boxes import from_yolo
from cytoyolo.commands.convert import Converted
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.yolo.folder import load_dataset
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.tiling import Tiles, TileSize, cut
from cytoyolo.yolo.verify import read_listing, verify
from tests.pictures import JPEG, photo, save

CODES = ("PNN", "EO", "BA", "LY", "MO")
SIDE, OVERLAP = 64, 24
FIELDS = {"s1/a.jpg": (200, 150), "s2/a.jpg": (150, 100), "s2/a.png": (50, 40), "none.png": (130, 64)}


def labels_of(image: list[str], xyxy: np.ndarray) -> Trainable:
    """Labels without a table, which `cut` does not read."""
    nothing = pd.DataFrame()
    size = np.ones((len(image), 2), np.int64)
    return Trainable(None, nothing, np.array(image, object), np.arange(len(image)) % 5, xyxy, size)


@st.composite
def fields(draw: st.DrawFn) -> tuple[dict[str, tuple[int, int]], list[str], np.ndarray, TileSize]:
    sizes = {f"{number}.png": draw(st.tuples(*[st.integers(20, 300)] * 2)) for number in range(draw(st.integers(1, 3)))}
    images, boxes = [], []
    for name, (width, height) in sizes.items():
        for _ in range(draw(st.integers(0, 6))):
            x = sorted(draw(st.lists(st.integers(0, width), min_size=2, max_size=2, unique=True)))
            y = sorted(draw(st.lists(st.integers(0, height), min_size=2, max_size=2, unique=True)))
            images.append(name)
            boxes.append([x[0], y[0], x[1], y[1]])
    tile = draw(st.integers(20, 200))
    return sizes, images, np.array(boxes, float).reshape(-1, 4), TileSize(tile, draw(st.integers(0, tile - 1)))


@given(fields())
@settings(deadline=None)
def test_boxes_of_tiles_are_those_of_a_plain_loop(
    case: tuple[dict[str, tuple[int, int]], list[str], np.ndarray, TileSize],
) -> None:
    sizes, images, xyxy, tile_size = case
    made = cut(labels_of(images, xyxy), sizes, {}, tile_size)
    kept, hidden, whole = [], {}, set()
    for tile, (name, (x1, y1, x2, y2)) in enumerate(zip(made.field, made.window.tolist(), strict=True)):
        assert 0 <= x1 < x2 <= sizes[name][0] and 0 <= y1 < y2 <= sizes[name][1]
        for row in range(len(images)):
            a, b, c, d = xyxy[row]
            part = max(a, x1), max(b, y1), min(c, x2), min(d, y2)
            if images[row] != name or part[2] <= part[0] or part[3] <= part[1]:
                continue
            share = (part[2] - part[0]) * (part[3] - part[1]) / ((c - a) * (d - b))
            box = [part[0] - x1, part[1] - y1, part[2] - x1, part[3] - y1]
            if share >= 0.6:
                kept.append((tile, row % 5, box))
            else:
                hidden.setdefault(tile, []).append(box)
            whole |= {row} if share == 1 else set()
    found = list(zip(made.tile.tolist(), made.class_id.tolist(), made.xyxy.tolist(), strict=True))
    assert found == kept
    assert {tile: boxes.tolist() for tile, (boxes, _) in made.regions.items()} == hidden
    assert np.flatnonzero(made.whole).tolist() == sorted(whole)
    small = (xyxy[:, 2:] - xyxy[:, :2] <= tile_size.overlap).all(axis=1)
    assert made.whole[small].all()


def test_regions_of_the_table_are_painted_in_each_tile_that_they_reach() -> None:
    regions = {"a.png": (np.array([[40.0, 0, 60, 10]]), np.array([[0.0, 0, 30, 30]]))}
    made = cut(labels_of(["a.png"], np.array([[0.0, 0, 30, 30]])), {"a.png": (100, 50)}, regions, TileSize(50, 0))
    assert {tile: boxes.tolist() for tile, (boxes, _) in made.regions.items()} == {
        0: [[40, 0, 50, 10]],
        1: [[0, 0, 10, 10]],
    }
    assert made.regions[0][1].tolist() == [[0, 0, 30, 30]] and not len(made.regions[1][1])


@pytest.mark.parametrize("wrong", ["", "big", "320,", "320,64,3", "0", "-5", "320,320", "3.5", True, 0])
def test_a_size_that_cuts_nothing_is_a_wrong_call(wrong: str | int) -> None:
    with pytest.raises(UsageError, match=r"tiles="):
        cytoyolo.convert("l.csv", images="i", output="o", tiles=wrong)


# The YOLO folder


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Four fields: three with boxes all over them (two of one name), and one without cells."""
    random = np.random.default_rng(3)
    rows = []
    for seed, (name, (width, height)) in enumerate(FIELDS.items()):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(save(photo(width, height, seed), "JPEG" if name.endswith("jpg") else "PNG"))
        if name == "none.png":
            rows.append([name, "", "", "", "", ""])
            continue
        for number in range(width * height // 1500):
            side = random.integers(10, 22, 2)
            corner = random.integers(0, np.array([width, height]) - side)
            rows.append([name, *corner, *(corner + side), CODES[number % 5]])
    pd.DataFrame(rows, columns=["NAME", "x1", "y1", "x2", "y2", "class"]).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def convert(lab: Path, name: str = "out", **options: object) -> Converted:
    options = {"val": 0.4, "tiles": f"{SIDE},{OVERLAP}"} | options
    return cytoyolo.convert(lab / "labels.csv", images=lab / "images", output=lab / name, **options)


def written(folder: Path, listing: pd.DataFrame) -> list[tuple[int, list[int]]]:
    """The boxes of the label files in pixels of the field: (row of images.csv, box)."""
    boxes = []
    for row, one in enumerate(listing.itertuples()):
        for line in (folder / "labels" / f"{one.file[:-4]}.txt").read_text().splitlines():
            values = np.array([list(map(float, line.split()[1:]))])
            box = from_yolo(values, np.array([[int(one.width), int(one.height)]]))[0]
            boxes.append((row, np.rint(box + [int(one.x), int(one.y)] * 2).astype(int).tolist()))
    return boxes


def test_each_tile_shows_its_window_and_has_its_boxes(lab: Path) -> None:
    made = convert(lab)
    listing = pd.read_csv(lab / "out" / "images.csv", keep_default_na=False)
    assert (made.fields, made.images, made.boxes) == (4, len(listing), len(written(lab / "out", listing)))
    assert listing["file"].str.lower().is_unique and listing["file"].str.endswith(".png").all()
    truth = pd.read_csv(lab / "labels.csv").dropna()
    for row, box in written(lab / "out", listing):
        one, (x1, y1, x2, y2) = listing.loc[row], box
        own = truth[truth["NAME"] == one["NAME"]]
        window = one["x"], one["y"], one["x"] + one["width"], one["y"] + one["height"]
        assert any(
            [max(a, window[0]), max(b, window[1]), min(c, window[2]), min(d, window[3])] == [x1, y1, x2, y2]
            for a, b, c, d in own[["x1", "y1", "x2", "y2"]].to_numpy(int)
        )
    for one in listing.itertuples():
        field = cv2.imread(str(lab / "images" / one.NAME))[one.y : one.y + one.height, one.x : one.x + one.width]
        tile = cv2.imread(str(lab / "out" / "images" / one.file))
        painted = (tile == 0).all(axis=2) & (field != 0).any(axis=2)
        assert np.array_equal(tile[~painted], field[~painted])
        assert painted.any() == ("masked" in one.repairs)
    empty = sum(not (lab / "out" / "labels" / f"{name[:-4]}.txt").read_bytes() for name in listing["file"])
    assert made.tiles_without_cells == empty >= 2
    verify(load_dataset(lab / "out"), None)


def test_every_small_cell_is_whole_in_a_tile_and_in_the_table_of_labels(lab: Path) -> None:
    made = convert(lab)
    data = load_dataset(lab / "out")
    truth = pd.read_csv(lab / "labels.csv").dropna().astype(dict.fromkeys(("x1", "y1", "x2", "y2"), int))
    kept = {(read_listing(data)["NAME"][row], *box) for row, box in written(lab / "out", read_listing(data))}
    assert made.never_whole == 0 and set(truth.iloc[:, :5].itertuples(index=False, name=None)) <= kept
    rows = read_labels(data).rename(columns={"image": "NAME"})[list(truth.columns)]
    assert rows.to_numpy().tolist() == truth.to_numpy().tolist()


@pytest.mark.parametrize("groups", [False, True])
def test_the_tiles_of_a_field_stay_together_in_the_parts_of_the_fields(groups: bool, lab: Path) -> None:
    options: dict[str, object] = {}
    if groups:
        (lab / "groups.csv").write_text("NAME,group\ns1/a.jpg,one\ns2/a.jpg,one\ns2/a.png,two\nnone.png,two\n")
        options = {"groups": lab / "groups.csv"}
    convert(lab, **options)
    convert(lab, "whole", tiles=None, **options)
    tiled, whole = (pd.read_csv(lab / name / "images.csv") for name in ("out", "whole"))
    part = whole.set_index("NAME")["part"]
    assert (tiled["part"] == tiled["NAME"].map(part)).all() and set(tiled["part"]) == {0, 1}
    listed = (lab / "out" / "val.txt").read_text().split()
    assert listed == [f"./images/{file}" for file in tiled["file"][tiled["part"] == 1]]


def test_the_same_call_gives_the_same_bytes_and_other_tiles_another_data_set(lab: Path) -> None:
    for name in ("out", "again"):
        convert(lab, name, repair=True)
    files = sorted(path.relative_to(lab / "out") for path in (lab / "out").rglob("*") if path.is_file())
    assert all((lab / "out" / path).read_bytes() == (lab / "again" / path).read_bytes() for path in files)
    manifest = json.loads((lab / "out" / "dataset.json").read_text())
    assert (manifest["tiles"]["size"], manifest["tiles"]["overlap"]) == (SIDE, OVERLAP)
    convert(lab, "plain", tiles=None)
    assert "tiles" not in json.loads((lab / "plain" / "dataset.json").read_text())


def test_without_an_overlap_it_is_the_size_of_the_cells(lab: Path) -> None:
    convert(lab, tiles=SIDE)
    truth = pd.read_csv(lab / "labels.csv").dropna()
    sides = np.maximum(truth["x2"] - truth["x1"], truth["y2"] - truth["y1"])
    tiles = json.loads((lab / "out" / "dataset.json").read_text())["tiles"]
    assert tiles["overlap"] == int(np.ceil(np.percentile(sides, 99)))


def test_an_image_of_the_test_is_left_out_with_all_its_tiles(lab: Path) -> None:
    (lab / "test.csv").write_text("trustii_id,NAME\n1,s2/a.jpg\n")
    made = convert(lab, test=lab / "test.csv")
    assert made.leaked == 1 and made.fields == 3
    assert "s2/a.jpg" not in set(pd.read_csv(lab / "out" / "images.csv")["NAME"])


@pytest.mark.parametrize("fill", ["black", "background"])
def test_ignore_regions_and_parts_of_cells_are_painted(fill: str, lab: Path) -> None:
    with (lab / "labels.csv").open("a") as file:
        file.write("none.png,0,0,40,60,msk\n")
    made = convert(lab, mask_fill=fill)
    tile = cv2.imread(str(lab / "out" / "images" / "none_0_0.png"))
    assert np.ptp(tile[:60, :40].reshape(-1, 3), axis=0).max() == 0 and made.painted > 1
    assert json.loads((lab / "out" / "dataset.json").read_text())["mask_fill"] == fill


def test_upright_pixels_are_cut(lab: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[274] = 6
    path = lab / "images" / "s1" / "a.jpg"
    path.write_bytes(save(photo(150, 200, 9), "JPEG", exif=exif, quality=95))
    convert(lab)
    listing = pd.read_csv(lab / "out" / "images.csv")
    own = listing[listing["NAME"] == "s1/a.jpg"]
    assert ((own["x"] + own["width"]).max(), (own["y"] + own["height"]).max()) == FIELDS["s1/a.jpg"]


def test_the_training_takes_a_tiled_set_whole(lab: Path) -> None:
    from tests.commands.test_convert_command import training_loader

    made = convert(lab)
    counts = [training_loader(lab / "out", name, SIDE)[1] for name in ("train.txt", "val.txt")]
    found, missing, empty, corrupt, total = np.array(counts).sum(axis=0).tolist()
    assert (missing, corrupt, total) == (0, 0, made.images)
    assert empty == made.tiles_without_cells and found == made.images


def test_tiles_too_small_for_any_cell_are_refused(lab: Path) -> None:
    with pytest.raises(CytoyoloError, match=r"no label has 60% of its area in a tile of 4 px; give larger tiles"):
        convert(lab, tiles="4,0")
    assert not (lab / "out").exists()


@pytest.mark.usefixtures("printed")
def test_tiles_larger_than_all_images_are_said_to_cut_none(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = convert(lab, tiles=4000)
    assert made.images == made.fields == 4
    assert "No image is larger than a tile of 4,000 px" in capsys.readouterr().err


def test_a_file_that_changes_meanwhile_leaves_nothing(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cytoyolo.yolo import writing

    real = writing.stage_tiles

    def late(facts, tiles, fill):
        facts.path.write_bytes(JPEG)
        return real(facts, tiles, fill)

    monkeypatch.setattr(writing, "stage_tiles", late)
    with pytest.raises(CytoyoloError, match="was changed while it was converted"):
        convert(lab)
    assert not (lab / "out").exists()


def test_the_program_says_what_it_made(lab: Path, cytoyolo: Callable[..., object]) -> None:
    call = ("convert", lab / "labels.csv", "--images", lab / "images", "-o", lab / "out", "--val", 0.4)
    done = cytoyolo(*call, "--tiles", f"{SIDE},{OVERLAP}")
    assert done.returncode == 0, done.stderr
    assert " tiles of 4 images, " in done.stdout and "Tiles without cells, kept as background: " in done.stderr
    wrong = cytoyolo(*call, "--tiles", "small")
    assert wrong.returncode == 2 and wrong.stderr.startswith("cytoyolo: --tiles is 'small'; give a size in pixels")


def test_a_field_is_decoded_once(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cytoyolo.yolo import staging

    seen: list[str] = []
    real = staging._decoded

    def counted(facts, data):
        seen.append(facts.path.name)
        return real(facts, data)

    monkeypatch.setattr(staging, "_decoded", counted)
    made = convert(lab)
    assert len(seen) == made.fields < made.images


def test_names_of_tiles_differ_from_those_of_other_fields() -> None:
    tiles = Tiles(
        TileSize(10, 0), ["a.png", "a.png", "a_0_0.png"], np.array([[0, 0, 10, 10], [10, 0, 20, 10], [0, 0, 10, 10]]),
        np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), {}, np.zeros(0, bool),
    )  # fmt: skip
    assert tiles.names == ["a_0_0.png", "a_10_0.png", "a_0_0_0_0.png"]
