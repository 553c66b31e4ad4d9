"""Images of an earlier data set beside those of a new one: which, under which names, and what is refused."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cytoyolo import CytoyoloError, UsageError, convert
from cytoyolo.boxes import from_yolo
from cytoyolo.spec import load_spec
from cytoyolo.yolo.folder import Dataset, load_dataset
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.replay import check_replay, with_replay
from cytoyolo.yolo.verify import read_listing, verify
from tests.blobs import SPEC, draw
from tests.commands.test_crossval_command import grounded


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Twelve images of three classes; one of the class rare, and one without cells."""
    folder = tmp_path_factory.mktemp("old")
    (folder / "spec.yaml").write_text(SPEC.replace("classes: [", "classes: [{code: rare, name: rare disc}, "))
    table = draw(folder / "images", 16).astype(object)
    table.loc[3, "class"] = "rare"
    table.loc[5, ["x1", "y1", "x2", "y2", "class"]] = ""
    table.to_csv(folder / "labels.csv", index=False)
    convert(
        folder / "labels.csv", images=folder / "images", output=folder / "d", dataset=folder / "spec.yaml", val=0.25
    )
    return load_dataset(folder / "d")


@pytest.fixture
def new(tmp_path: Path) -> Dataset:
    """Eight images of other cells with names that the old data set has too, of two of its classes in another order."""
    table = grounded(tmp_path / "images", 8)
    table.to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "spec.yaml").write_text("classes: [pale, dark, rare]\n")
    convert(
        tmp_path / "labels.csv", images=tmp_path / "images", output=tmp_path / "d", dataset=tmp_path / "spec.yaml",
        val=0.25,
    )  # fmt: skip
    return load_dataset(tmp_path / "d")


def test_the_folder_is_a_whole_data_set_of_both(new, old, tmp_path):
    count = with_replay(new, old, tmp_path / "both", 0)
    both = load_dataset(tmp_path / "both")
    verify(both, None)
    mine, listing = read_listing(new), read_listing(both)
    assert count == (mine["part"] == "0").sum() == 6 and len(listing) == len(mine) + count
    assert listing["file"].is_unique and listing["NAME"].is_unique
    replayed = listing[len(mine) :]
    assert set(replayed["part"]) == {"0"} and replayed["NAME"].str.startswith("replay/").all()
    assert (both.folder / "val.txt").read_text() == (new.folder / "val.txt").read_text(), "the same images are held out"
    held_out = read_listing(old).query("part == '1'")["NAME"]
    assert not set(replayed["NAME"]) & set("replay/" + held_out)
    assert both.manifest["replay"]["images"] == count and both.manifest["labels"] == new.manifest["labels"]


def test_boxes_and_classes_stay_under_the_ids_of_the_new_data_set(new, old, tmp_path):
    with_replay(new, old, tmp_path / "both", 0)
    both = load_dataset(tmp_path / "both")
    theirs = read_labels(old).assign(image="replay/" + read_labels(old)["image"])
    known = pd.concat([read_labels(new), theirs]).set_index("image")
    labels = read_labels(both)
    assert labels.set_index("image").equals(known.loc[labels["image"]])
    for row in read_listing(both).itertuples():
        lines = (both.folder / "labels" / f"{Path(row.file).stem}.txt").read_text().split()
        own = labels[labels["image"] == row.NAME]
        values = np.array(lines, float).reshape(-1, 5)
        assert [both.spec.codes[int(number)] for number in values[:, 0]] == own["class"].tolist()
        size = np.tile([int(row.width), int(row.height)], (len(values), 1))
        assert np.allclose(from_yolo(values[:, 1:], size), own[["x1", "y1", "x2", "y2"]], atol=1e-3)


def test_rare_classes_are_drawn_first_and_the_seed_decides(new, old, tmp_path):
    has_rare = []
    for seed in range(8):
        with_replay(new, old, tmp_path / f"both{seed}", seed)
        has_rare.append("rare" in set(read_labels(load_dataset(tmp_path / f"both{seed}"))["class"]))
    train = set(read_listing(old).query("part == '0'")["NAME"])
    rare = read_labels(old).query("`class` == 'rare'")["image"]
    assert not set(rare) <= train or sum(has_rare) >= 6
    with_replay(new, old, tmp_path / "again", 3)
    assert (tmp_path / "again" / "images.csv").read_bytes() == (tmp_path / "both3" / "images.csv").read_bytes()


def test_images_that_both_have_are_not_replayed(new, tmp_path):
    assert with_replay(new, new, tmp_path / "both", 0) == 0
    assert len(read_listing(load_dataset(tmp_path / "both"))) == 8


@pytest.mark.parametrize("kind", ["painted", "stored anew"])
def test_images_that_show_the_same_are_not_replayed(new, tmp_path, kind):
    table, images = pd.read_csv(tmp_path / "labels.csv"), tmp_path / "images"
    if kind == "painted":  # nearly everything, so that only the file tells which image it was
        masks = table.head(4).assign(x1=0, y1=0, x2=80, y2=72, **{"class": "msk"})
        table = pd.concat([table.assign(x2=table["x1"] + 3, y2=table["y1"] + 3), masks])
    else:
        images = tmp_path / "png"
        images.mkdir()
        for path in (tmp_path / "images").iterdir():
            cv2.imwrite(str(images / path.with_suffix(".png").name), cv2.imread(str(path)))
        table["NAME"] = table["NAME"].str.replace(".jpg", ".png")
    table.to_csv(tmp_path / "again.csv", index=False)
    options = {"images": images, "dataset": tmp_path / "spec.yaml", "val": 0.5, "seed": 1}
    convert(tmp_path / "again.csv", output=tmp_path / "again", **options)
    assert with_replay(load_dataset(tmp_path / "again"), new, tmp_path / "both", 0) == 0


def test_what_can_not_be_replayed_is_refused(old):
    check_replay(old, ("pale", "dark", "rare", "more"))
    with pytest.raises(CytoyoloError, match=r"classes that the weights do not know \(rare\)"):
        check_replay(old, ("pale", "dark"))
    with pytest.raises(UsageError, match="holds tiles of images"):
        check_replay(replace(old, manifest={**old.manifest, "tiles": {}}), load_spec("wbc5").codes)
