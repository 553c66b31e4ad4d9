"""`adapt`: what it trains and keeps, what it says of the result, how it goes on, and what it refuses."""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import cytoyolo
from cytoyolo import CytoyoloError, Detector, UsageError, convert
from cytoyolo.cli.app import app
from cytoyolo.commands import adapt as command
from cytoyolo.commands import adapt_figures
from cytoyolo.commands.adapt import Adapted, adapt
from cytoyolo.commands.adapt_classes import Classes, classes_of, spec_of
from cytoyolo.commands.adapt_figures import ALONE, NAMED, HeldOut, judge
from cytoyolo.commands.adapt_remarks import remarks
from cytoyolo.detector.calibration import Calibration
from cytoyolo.detector.crops import Crop
from cytoyolo.detector.detections import of_scores
from cytoyolo.detector.weights import load_checkpoint, load_network, trained_labels, write_calibrated
from cytoyolo.scoring.cells import Cells, match
from cytoyolo.scoring.paired import verdict
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import fingerprint
from cytoyolo.yolo.folder import load_dataset
from tests.classifiers import untrained
from tests.commands.test_crossval_command import grounded

pytestmark = pytest.mark.slow  # many trainings

CELLS = 20


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new laboratory: images/ of twenty blobs, labels.csv with a class that the weights lack, groups.csv."""
    folder = tmp_path_factory.mktemp("new laboratory")
    table = grounded(folder / "images", CELLS)
    table.to_csv(folder / "plain.csv", index=False)
    table.loc[table.index % 5 == 0, "class"] = "Er"
    table.to_csv(folder / "labels.csv", index=False)
    groups = pd.DataFrame({"NAME": table["NAME"], "group": [f"slide {row // 5}" for row in range(CELLS)]})
    groups.to_csv(folder / "groups.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def weights(small_run: Path) -> Path:
    return small_run / "weights" / "best.pt"


@pytest.fixture(scope="module")
def made(lab: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    return run(lab, weights, tmp_path_factory.mktemp("made") / "RUN", groups=lab / "groups.csv")


def run(lab: Path, weights: Path | str, output: Path, **options: object) -> Adapted:
    given = {"images": lab / "images", "epochs": 1, "device": "cpu", **options}
    return adapt(weights, given.pop("labels", lab / "labels.csv"), output=output, **given)


def without_training(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    """Take the given weights for the result of the training."""

    def copied(dataset: object, *, output: Path, **options: object) -> None:
        (output / "weights").mkdir(parents=True)
        shutil.copyfile(weights, output / "weights" / "last.pt")

    monkeypatch.setattr(command, "train", copied)


def answering(monkeypatch: pytest.MonkeyPatch, before: float, after: float) -> None:
    """In the place of the networks: the given weights name the share `before` of the cells right, others `after`."""

    def search(part: HeldOut, weights: Path, classifier: Path | None, device: str) -> Cells:
        own = part.labels[["x1", "y1", "x2", "y2"]].to_numpy(float)
        true = pd.Index(part.codes).get_indexer(pd.Index(part.labels["class"])).astype(np.int64)
        share = after if weights.name == "detector.pt" else before
        found = np.where(np.arange(len(true)) < share * len(true), true, (true + 1) % len(part.codes))
        image = pd.Index(list(part.files)).get_indexer(pd.Index(part.labels["image"])).astype(np.int64)
        none = image[:0]
        return Cells(
            len(part.files), image, own, true, none, own[:0], image, own, found, np.full(len(true), 0.9),
            np.eye(len(part.codes))[found], part.codes,
        )  # fmt: skip

    monkeypatch.setattr(HeldOut, "search", search)


# What it makes


def test_whole_slides_are_held_out_and_judged_before_and_after(made, lab):
    groups = pd.read_csv(lab / "groups.csv").set_index("NAME")["group"]
    cells = pd.read_csv(made.folder / "cells.csv", keep_default_na=False)
    assert made.cells == CELLS and made.held_out == len(cells) == 5 and (made.images, made.groups) == (5, 1)
    assert cells["NAME"].map(groups).tolist() == cells["group"].tolist() and len(set(cells["group"])) == 1
    trained = (made.folder / "dataset" / "train.txt").read_text()
    assert all(name not in trained for name in cells["NAME"])
    labels = pd.read_csv(lab / "labels.csv").set_index("NAME")["class"]
    assert cells["class"].tolist() == labels[cells["NAME"]].tolist()
    assert set(cells["before"]) | set(cells["after"]) <= {"dark", "pale", "Er", ""}
    figures = pd.read_csv(made.folder / "before_after.csv")
    assert figures["model"].unique().tolist() == [ALONE]
    assert figures["figure"].tolist() == ["right", "macro_f1", "found", "giou"]
    classes = pd.read_csv(made.folder / "classes.csv").set_index("class")
    assert classes["cells"].sum() == 5 and classes["trained"].sum() <= 15


def test_a_class_without_a_held_out_cell_is_listed_and_told(weights, monkeypatch):
    answering(monkeypatch, 0.5, 1)
    labels = pd.DataFrame({"image": "a", "x1": [1, 50], "y1": 1, "x2": [30, 80], "y2": 30, "class": ["dark", "Er"]})
    part = HeldOut({"a": Path("a.png")}, labels, pd.Series([""]), ("dark", "pale", "Er", "BA"), labels.head(0))
    trained = pd.Series(["dark"] * 9 + ["pale"] * 2)
    judged = judge(part, trained, [Path("given.pt")], [Path("detector.pt")], 10, 0, "cpu")
    assert judged.classes.columns.tolist() == ["class", "trained", "cells", "right_before", "right_after"]
    assert judged.classes.to_numpy().tolist() == [["dark", 9, 1, 1, 1], ["pale", 2, 0, 0, 0], ["Er", 0, 1, 0, 1]]
    info = load_network(weights)[1]
    said = remarks(verdict(judged.last), judged, info, Classes(spec_of(info), ("Er",), ()), part, False, "")
    assert any("hardly learned: pale (2); Er (0)." in remark for remark in said)


def test_the_adapted_weights_know_the_old_classes_and_the_new_one(made, weights):
    network, info = load_network(made.weights)
    assert info.codes == ("dark", "pale", "Er") and made.added == ("Er",) and made.untaught == ()
    assert info.spec.names == ("dark disc", "pale disc", "erythroblast") and info.spec.fallback == "dark"
    given, known = load_network(weights)
    assert info.imgsz == known.imgsz == 64
    mine, theirs = network.state_dict(), given.state_dict()
    backbone = [name for name in mine if int(name.split(".")[1]) < 10]
    assert backbone and all(bool((mine[name] == theirs[name]).all()) for name in backbone), "the backbone is frozen"
    changed = [name for name in mine if mine[name].shape == theirs[name].shape and (mine[name] != theirs[name]).any()]
    assert changed, "the rest has learned"
    assert Detector(made.weights, device="cpu").codes == info.codes


def test_the_weights_say_what_they_come_from(made, weights, lab):
    stored = load_checkpoint(made.weights)
    origin = {"from": fingerprint(weights), "labels": fingerprint(lab / "labels.csv")}
    assert stored["cytoyolo"]["adapted"] == origin
    assert trained_labels(stored) == origin["labels"]
    assert stored["train_args"]["freeze"] == 10 and stored["train_args"]["nbs"] == stored["train_args"]["batch"]
    manifest = json.loads((made.folder / "adapt.json").read_text())
    assert manifest["status"] == "finished" and manifest["inputs"]["weights"] == origin["from"]
    assert manifest["verdict"] == made.verdict and tuple(manifest["remarks"]) == made.remarks
    assert str(lab) not in (made.folder / "adapt.json").read_text()


def test_a_classifier_is_adapted_too(lab, weights, tmp_path):
    spec = spec_of(load_network(weights)[1])
    cells = untrained(tmp_path / "cells.pt", spec, Crop(32, 0.3))
    result = run(lab, weights, tmp_path / "RUN", labels=lab / "plain.csv", classifier=cells)
    network, info = load_network(result.classifier)
    assert info.crop == Crop(32, 0.3) and info.codes == ("dark", "pale")
    before = load_network(cells)[0].state_dict()
    assert any(bool((before[name] != value).any()) for name, value in network.state_dict().items())
    assert result.figures["model"].unique().tolist() == [ALONE, NAMED]
    assert load_checkpoint(result.classifier)["cytoyolo"]["adapted"]["from"] == fingerprint(cells)
    assert result.groups == 0 and any("held out one by one" in remark for remark in result.remarks)


def test_large_images_are_cut_into_tiles_and_judged_whole(lab, weights, tmp_path, monkeypatch):
    table = pd.read_csv(lab / "plain.csv")
    (tmp_path / "images").mkdir()
    for row, name in enumerate(table["NAME"]):  # each cell in another corner of its field
        left, top = 200 * (row % 2), 200 * (row // 2 % 2)
        picture = cv2.imread(str(lab / "images" / name))
        field = cv2.copyMakeBorder(picture, top, 200 - top, left, 200 - left, cv2.BORDER_REFLECT)
        cv2.imwrite(str(tmp_path / "images" / name), field)
        table.loc[row, ["x1", "y1", "x2", "y2"]] += [left, top, left, top]
    table.to_csv(tmp_path / "fields.csv", index=False)
    without_training(monkeypatch, weights)
    result = run(lab, weights, tmp_path / "RUN", labels=tmp_path / "fields.csv", images=tmp_path / "images")
    data = json.loads((result.folder / "dataset" / "dataset.json").read_text())
    assert data["tiles"] and result.held_out == 5
    cells = pd.read_csv(result.folder / "cells.csv").set_index("NAME")
    own = table.set_index("NAME").loc[cells.index]
    assert (cells[["x1", "y1", "x2", "y2"]] == own[["x1", "y1", "x2", "y2"]]).all().all(), "in pixels of whole images"


@pytest.mark.parametrize("tiles", [None, 60])
def test_a_cell_in_an_ignore_region_is_not_false(tiles, monkeypatch, tmp_path):
    table = grounded(tmp_path / "images", 8).assign(x1=2, y1=2, x2=30, y2=30)
    masks = table.assign(x1=40, y1=30, x2=80, y2=72, **{"class": "msk"})
    whole = pd.concat([table, masks]).replace({"NAME": {"blob03.jpg": "BLOB03.JPG"}})
    whole.to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "spec.yaml").write_text("classes: [dark, pale]")
    convert(
        tmp_path / "labels.csv", images=tmp_path / "images", output=tmp_path / "d", dataset=tmp_path / "spec.yaml",
        val=0.9, tiles=tiles,
    )  # fmt: skip
    part = HeldOut.of(load_dataset(tmp_path / "d"), tmp_path / "labels.csv", tmp_path / "images")
    assert len(part.files) == 7

    def found(model: object, files: Iterable[Path]) -> Iterator[SimpleNamespace]:
        for path in files:
            hidden = cv2.imread(str(path))[50, 60].max() == 0
            boxes = [(2, 2, 30, 30), (45, 35, 75, 65), (40, 0, 70, 25)]
            boxes = [boxes[0], boxes[2]] if hidden else boxes
            scores = np.tile([0.9, 0.05], (len(boxes), 1))
            cells = of_scores(np.array(boxes), scores, ("dark", "pale"), size=(80, 72))
            yield SimpleNamespace(path=path, problem="", detections=cells)

    monkeypatch.setattr(adapt_figures, "open_model", lambda *given: SimpleNamespace(codes=("dark", "pale")))
    monkeypatch.setattr(adapt_figures, "detect_files", found)
    cells = part.search(Path("x.pt"), None, "cpu")
    matches = match(cells)
    assert len(part.regions) == len(cells.region_image) == (0 if tiles is None else 7)
    assert ((matches.true < 0) & ~matches.ignored).sum() == 7, "the third cell of each image only"


def test_images_that_the_weights_know_are_trained_on_too(lab, weights, blobs, tmp_path):
    labels = tmp_path / "dark.csv"
    table = pd.read_csv(lab / "plain.csv")
    table[table["class"] == "dark"].to_csv(labels, index=False)
    result = run(lab, weights, tmp_path / "RUN", labels=labels, replay=blobs / "dataset")
    manifest = json.loads((result.folder / "detector" / "manifest.json").read_text())
    assert manifest["dataset"]["replay"]["images"] == 8 and manifest["dataset"]["boxes"]["pale"] > 0
    cells = pd.read_csv(result.folder / "cells.csv")
    assert not cells["NAME"].str.contains("replay").any() and result.held_out == len(cells) == 2
    assert any("pale. They were trained on with replayed images only" in remark for remark in result.remarks)
    with pytest.raises(UsageError, match="differs in the replay"):
        run(lab, weights, tmp_path / "RUN", labels=labels)


# What it says


def test_worse_weights_are_told_loudly_and_not_recommended(lab, weights, tmp_path, monkeypatch):
    without_training(monkeypatch, weights)
    answering(monkeypatch, 0.9, 0.3)
    call = ["adapt", weights, lab / "plain.csv", "--images", lab / "images", "-o", tmp_path / "RUN"]
    shown = CliRunner().invoke(app, list(map(str, call)))
    assert shown.exit_code == 1
    assert "THE ADAPTED WEIGHTS ARE WORSE" in shown.stderr
    assert f"worse; recommended: {weights}" in shown.stdout
    assert json.loads((tmp_path / "RUN" / "adapt.json").read_text())["recommended"] == ["best.pt"]


@pytest.mark.parametrize(("after", "verdict"), [(1.0, "better"), (0.4, "same")])
def test_better_weights_are_recommended_and_equal_ones_are_not(lab, weights, tmp_path, monkeypatch, after, verdict):
    without_training(monkeypatch, weights)
    answering(monkeypatch, 0.4, after)
    result = run(lab, weights, tmp_path / "RUN", labels=lab / "plain.csv")
    assert result.verdict == verdict
    assert result.recommended == ((result.weights,) if verdict == "better" else (weights,))
    shown = CliRunner().invoke(
        app, [*map(str, ("adapt", weights, lab / "plain.csv", "--images", lab / "images", "-o", tmp_path / "R2"))]
    )
    assert shown.exit_code == 0 and "nan" not in shown.stdout


def test_what_is_lost_is_said(lab, weights, tmp_path, monkeypatch):
    calibrated = tmp_path / "known.pt"
    write_calibrated(weights, calibrated, Calibration((1.5, 1.5), 0.7, (0.5, 0.5), 90))
    without_training(monkeypatch, weights)
    answering(monkeypatch, 0.4, 1.0)
    labels = tmp_path / "dark.csv"
    table = pd.read_csv(lab / "plain.csv")
    table[table["class"] == "dark"].to_csv(labels, index=False)
    result = run(lab, calibrated, tmp_path / "RUN", labels=labels, groups=lab / "groups.csv")
    assert result.untaught == ("pale",)
    said = " ".join(result.remarks)
    for words in ("no label has: pale", "calibrate them anew", "keep the given weights for those", "too small to tell"):
        assert words in said
    assert "calibration" not in load_checkpoint(result.weights)["cytoyolo"]


# How it goes on


def test_an_interrupted_adaptation_goes_on_and_ends_the_same(made, lab, weights, tmp_path, monkeypatch):
    output, groups = tmp_path / "RUN", {"groups": lab / "groups.csv"}
    with monkeypatch.context() as patch:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(command, "judge", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(lab, weights, output, **groups)
    with pytest.raises(UsageError, match=r"differs in epochs \(1, now 2\); give another folder"):
        run(lab, weights, output, epochs=2, **groups)
    with pytest.raises(UsageError, match="differs in the groups"):
        run(lab, weights, output)
    result = run(lab, weights, output, **groups)
    assert result.weights.read_bytes() == made.weights.read_bytes(), "the same call gives the same weights"
    for name in ("before_after.csv", "classes.csv", "cells.csv"):
        assert (output / name).read_bytes() == (made.folder / name).read_bytes()
    with pytest.raises(UsageError, match="it is finished"):
        run(lab, weights, output, **groups)


def test_a_finished_adaptation_is_only_replaced_with_overwrite(lab, weights, tmp_path, monkeypatch):
    without_training(monkeypatch, weights)
    answering(monkeypatch, 0.4, 1.0)
    first = run(lab, weights, tmp_path / "RUN", labels=lab / "plain.csv")
    again = run(lab, weights, tmp_path / "RUN", labels=lab / "plain.csv", overwrite=True, hold_out=0.5)
    assert (first.held_out, again.held_out) == (5, 10)
    (tmp_path / "RUN" / "mine.txt").touch()
    with pytest.raises(UsageError, match="holds files this tool did not make"):
        run(lab, weights, tmp_path / "RUN", labels=lab / "plain.csv", overwrite=True)


# What it refuses


def changed(lab: Path, target: Path, **columns: object) -> Path:
    pd.read_csv(lab / "plain.csv").assign(**columns).to_csv(target, index=False)
    return target


def test_labels_that_can_not_be_used_are_one_sentence_and_leave_nothing(lab, weights, tmp_path):
    table = pd.read_csv(lab / "plain.csv")
    table.head(3).to_csv(tmp_path / "three.csv", index=False)
    table.head(0).to_csv(tmp_path / "empty.csv", index=False)
    table.assign(x1=table["x2"], x2=table["x1"]).to_csv(tmp_path / "inverted.csv", index=False)
    table.assign(NAME="gone" + table["NAME"]).to_csv(tmp_path / "missing.csv", index=False)
    table.assign(**{"class": ["darck", *table["class"][1:]]}).to_csv(tmp_path / "typo.csv", index=False)
    table.assign(**{"class": "Er"}).head(12).to_csv(tmp_path / "foreign.csv", index=False)
    table.assign(**{"class": "dark"}).to_csv(tmp_path / "dark.csv", index=False)
    classifier = untrained(tmp_path / "cls.pt", load_network(weights)[1].spec)
    one = pd.DataFrame({"NAME": table["NAME"], "group": "only"})
    one.to_csv(tmp_path / "one.csv", index=False)
    for name, options, words in (
        ("three", {}, "three.csv has 3 labelled cells, too few"),
        ("empty", {}, "empty.csv"),
        ("inverted", {}, r"inverted.csv can't be used: 20 findings .* let `cytoyolo repair` do it"),
        ("missing", {}, r"missing.csv can't be used: .*no such file"),
        ("typo", {}, "perhaps dark"),
        ("foreign", {}, "has none of the classes of .* so there is nothing to adapt"),
        ("plain", {"groups": tmp_path / "one.csv"}, r"in one group \(only\)"),
        (
            "dark",
            {"classifier": classifier},
            r"dark\.csv has cells of .* label more classes, or leave out `classi",
        ),
    ):
        labels = lab / "plain.csv" if name == "plain" else tmp_path / f"{name}.csv"
        with pytest.raises(CytoyoloError, match=words) as caught:
            run(lab, weights, tmp_path / "RUN", labels=labels, **options)
        assert "\n" not in str(caught.value) and not (tmp_path / "RUN").exists(), name


def test_weights_that_can_not_be_adapted_are_refused(lab, weights, tmp_path, blobs):
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "net.onnx").touch()
    spec = load_spec("wbc5")
    cells = untrained(tmp_path / "cells.pt", spec)
    for path, options, words in (
        (tmp_path / "text.pt", {}, "text.pt"),
        (tmp_path / "net.onnx", {}, "net.onnx is not a checkpoint"),
        (tmp_path / "nowhere.pt", {}, "no such weights"),
        (cells, {}, "cells.pt is a classifier; give a detector"),
        (weights, {"classifier": weights}, "best.pt is a detector; give a classifier"),
        (weights, {"classifier": cells}, "give the classifier of this detector"),
    ):
        with pytest.raises(CytoyoloError, match=words):
            run(lab, path, tmp_path / "RUN", **options)
    with pytest.raises(UsageError, match="is not a data set made by"):
        run(lab, weights, tmp_path / "RUN", replay=lab)
    with pytest.raises(CytoyoloError, match=r"was trained on .*labels.csv, so it has nothing new"):
        run(blobs, weights, tmp_path / "RUN", dataset=blobs / "spec.yaml")
    assert not (tmp_path / "RUN").exists()


# Classes


def test_classes_of_the_weights_keep_their_places(lab, weights, tmp_path):
    info = load_network(weights)[1]
    known = classes_of(weights, info, lab / "labels.csv", None)
    assert known.spec.codes == ("dark", "pale", "Er") and known.spec.leukocyte[2] is False
    other = changed(lab, tmp_path / "other.csv", **{"class": ["dark", "Blast", "msk", "PALE"] * 5})
    known = classes_of(weights, info, other, None)
    assert (known.added, known.untaught) == (("Blast",), ())
    mine = tmp_path / "mine.yaml"
    mine.write_text("classes: [dark, {code: Blast, name: undifferentiated blast}, unused]\n")
    known = classes_of(weights, info, other, mine)
    assert known.spec.names[2] == "undifferentiated blast" and known.spec.codes == ("dark", "pale", "Blast")
    mine.write_text("classes: [dark, pale]\n")
    assert classes_of(weights, info, other, mine).added == (), "the audit names it"


def test_weights_of_other_programs_keep_their_own_order(weights):
    info = replace(load_network(weights)[1], spec=None, codes=("PNN", "LY", "MO", "EO", "BA"))
    spec = spec_of(info)
    assert spec.codes == info.codes and spec.names[1] == "lymphocyte"
    assert spec_of(replace(info, codes=("a", "b"))).names == ("a", "b")


def test_the_function_is_the_packages():
    assert cytoyolo.adapt is adapt and cytoyolo.Adapted is Adapted
