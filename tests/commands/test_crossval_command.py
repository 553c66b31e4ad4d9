"""`crossval` from end to end, on the blobs: what it holds, that it repeats, survives a kill, and what it refuses."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from cytoyolo.boxes import from_yolo
from cytoyolo.commands import crossval_predictions
from cytoyolo.commands.convert import convert
from cytoyolo.commands.crossval import crossval
from cytoyolo.commands.crossval_folder import check_same, read_manifest
from cytoyolo.commands.crossval_predictions import predict_table
from cytoyolo.commands.crossval_result import Crossvalidated
from cytoyolo.commands.curate import curate
from cytoyolo.commands.predict import predict
from cytoyolo.commands.train_folder import read_recipe
from cytoyolo.curation.predictions import read_oof
from cytoyolo.detector.detections import of_scores
from cytoyolo.detector.ensemble_folder import read_ensemble
from cytoyolo.detector.predict import SearchedFile
from cytoyolo.detector.table import OUT_OF_FOLD
from cytoyolo.detector.weights import load_checkpoint
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images.info import DecodedFile
from cytoyolo.runners import local
from cytoyolo.tables.table import fingerprint
from cytoyolo.yolo.folder import load_dataset
from cytoyolo.yolo.verify import read_listing
from tests.blobs import draw
from tests.browser import assert_sound, opened
from tests.outcomes import contents
from tests.pictures import empty_png
from tests.predicted_tables import SPEC

pytestmark = pytest.mark.slow  # many trainings

Program = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = Path(sys.executable).with_name("cytoyolo")
SETTINGS = {"recipe": "quick", "model": "yolo11n.yaml", "epochs": 1, "imgsz": 64, "batch": 8, "device": "cpu"}
FLAGS = [part for name, value in SETTINGS.items() for part in (f"--{name}", str(value))]


def grounded(folder: Path, count: int) -> pd.DataFrame:
    """Blobs, each on a ground of its own, so that none is a copy of another."""
    table = draw(folder, count)
    for seed, name in enumerate(table["NAME"]):
        picture = cv2.imread(str(folder / name))
        noise = np.random.default_rng(seed).normal(0, 700, picture.shape)
        ground = picture + cv2.GaussianBlur(noise, (0, 0), 3)
        cv2.imwrite(str(folder / name), ground.clip(0, 255).astype(np.uint8))
    return table


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, blobs: Path) -> Path:
    """Twelve blobs with a table of groups: images/, labels.csv, groups.csv and spec.yaml."""
    folder = tmp_path_factory.mktemp("lab")
    table = grounded(folder / "images", 12)
    table.to_csv(folder / "labels.csv", index=False)
    groups = pd.DataFrame({"NAME": table["NAME"], "group": [f"slide {row // 3}" for row in range(12)]})
    groups.to_csv(folder / "groups.csv", index=False)
    shutil.copyfile(blobs / "spec.yaml", folder / "spec.yaml")
    return folder


def run(lab: Path, output: Path, **options: object) -> Crossvalidated:
    given = {"images": lab / "images", "dataset": lab / "spec.yaml", "folds": 2, **SETTINGS, **options}
    return crossval(lab / "labels.csv", output=output, **given)


def call(lab: Path, output: Path, *options: object) -> list[str]:
    inputs = [PROGRAM, "crossval", lab / "labels.csv", "--images", lab / "images", "--dataset", lab / "spec.yaml"]
    return [str(part) for part in (*inputs, "--folds", 2, "-o", output, *FLAGS, *options)]


@pytest.fixture(scope="module")
def made(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cross-validation of two folds, with groups."""
    return run(lab, tmp_path_factory.mktemp("made") / "CV", groups=lab / "groups.csv").folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "CV", symlinks=True)
    return tmp_path / "CV"


class Known:
    """In the place of a Detector whose answers are known."""

    iou, field_limit = 0.4, sys.maxsize

    def __init__(self, tiles: str) -> None:
        assert tiles == "off", "a tile is never divided again"

    def keep_at_least(self, count: int) -> None:
        pass


# What it holds


def test_every_image_is_predicted_once_by_the_model_that_has_not_seen_it(made, lab):
    found = pd.read_csv(made / "oof.csv")
    assert list(found.columns) == OUT_OF_FOLD.header(SPEC, SPEC.codes)
    listing = pd.read_csv(made / "dataset" / "images.csv").set_index("NAME")
    labels = pd.read_csv(lab / "labels.csv")
    assert found["NAME"].drop_duplicates().tolist() == labels["NAME"].tolist()
    of_image = found.groupby("NAME")["fold"].agg(set)
    assert all(folds == {listing.loc[name, "part"]} for name, folds in of_image.items())
    for fold in (0, 1):
        trained = (made / "dataset" / f"fold{fold}_train.txt").read_text()
        own = found.loc[found["fold"] == fold, "NAME"].unique()
        assert len(own) and all(name not in trained for name in own)
        manifest = json.loads((made / f"fold{fold}" / "manifest.json").read_text())
        assert (manifest["status"], manifest["fold"]) == ("finished", fold)
    assert set(found[["width", "height"]].itertuples(index=False, name=None)) == {(80, 72)}
    assert (found.groupby("NAME").size() >= 1).all()
    confidence = found.groupby("NAME", sort=False)["confidence"]
    assert (confidence.diff().dropna() <= 0).all(), "best first"


def test_a_model_that_knows_each_tile_finds_the_labels_of_the_whole_images(lab, tmp_path, monkeypatch):
    """The detections of the tiles are their own labels, with a confidence and sub-pixel shifts."""
    spec, random = lab / "spec.yaml", np.random.default_rng(0)
    convert(lab / "labels.csv", images=lab / "images", output=tmp_path / "d", dataset=spec, folds=2, tiles="64,40")
    data = load_dataset(tmp_path / "d")
    listing = read_listing(data)

    def known(detector, paths):
        for path in paths:
            size = tuple(listing.loc[listing["file"] == path.name, ["width", "height"]].to_numpy(int)[0])
            lines = (data.folder / "labels" / f"{path.stem}.txt").read_text().split()
            values = np.array(lines, float).reshape(-1, 5)
            exact = from_yolo(values[:, 1:], np.tile(size, (len(values), 1)))
            xyxy = exact + random.uniform(-0.2, 0.2, exact.shape)
            scores = np.where(values[:, :1] == np.arange(len(data.spec.codes)), 0.9, 0.01)
            found = of_scores(xyxy.astype(np.float32), scores.astype(np.float32), data.spec.codes, size=size)
            yield SearchedFile(path, DecodedFile(cv2.imread(str(path)), ""), found, (0, 0))

    monkeypatch.setattr(crossval_predictions, "detect_files", known)
    monkeypatch.setattr(crossval_predictions, "Detector", lambda *given, **more: Known(more["tiles"]))
    table = pd.concat(
        predict_table(Path("w.pt"), data, listing[listing["part"] == str(fold)], pd.Series(dtype=int), fold, "cpu")
        for fold in (0, 1)
    ).sort_values("NAME", kind="stable")
    labels = pd.read_csv(lab / "labels.csv").sort_values("NAME", kind="stable")
    assert len(listing) > len(labels) and table["NAME"].tolist() == labels["NAME"].tolist()
    assert table[["width", "height"]].astype(int).drop_duplicates().to_numpy().tolist() == [[80, 72]]
    sides = ["x1", "y1", "x2", "y2"]
    assert np.abs(table[sides].to_numpy(float) - labels[sides].to_numpy(float)).max() < 1
    shares = table[[f"p_{code}" for code in data.spec.codes]].to_numpy(float)
    assert [data.spec.codes[index] for index in shares.argmax(axis=1)] == labels["class"].tolist()


def test_a_folder_of_tiles_gives_a_table_of_whole_images(lab, tmp_path):
    spec = lab / "spec.yaml"
    convert(lab / "labels.csv", images=lab / "images", output=tmp_path / "d", dataset=spec, folds=2, tiles="64,40")
    made = crossval(tmp_path / "d", output=tmp_path / "CV", **SETTINGS)
    found = pd.read_csv(made.oof)
    assert found["NAME"].drop_duplicates().tolist() == pd.read_csv(lab / "labels.csv")["NAME"].tolist()
    assert set(found[["width", "height"]].itertuples(index=False, name=None)) == {(80, 72)}
    assert len(made.score.matches) == 12 and len(read_oof(made.oof, SPEC, 2).fold) == 12


def test_the_held_out_fold_chooses_nothing(made):
    """All epochs are trained, without a validation, and the predictions are those of the last weights."""
    for fold in (0, 1):
        recipe = yaml.safe_load((made / f"fold{fold}" / "recipe.yaml").read_text())
        assert (recipe["val"], recipe["patience"], recipe["epochs"]) == (False, 0, 1)
    manifest = json.loads((made / "crossval.json").read_text())
    assert manifest["status"] == "finished"
    weights = [made / f"fold{fold}" / "weights" / "last.pt" for fold in (0, 1)]
    assert manifest["weights_sha256"] == [fingerprint(path) for path in weights]
    assert load_checkpoint(weights[0])["train_args"]["val"] is False


def test_the_models_of_the_folds_are_kept_as_one_ensemble(copied, lab, tmp_path):
    assert not (copied / "ensemble").exists()
    kept = run(lab, copied, groups=lab / "groups.csv", resume=True, ensemble=True)
    assert kept.ensemble == copied / "ensemble"
    stored = read_ensemble(kept.ensemble)
    weights = [copied / f"fold{fold}" / "weights" / "last.pt" for fold in (0, 1)]
    assert [path.read_bytes() for path in stored.detectors] == [path.read_bytes() for path in weights]
    assert stored.classes == {"dark", "pale"} and stored.weights is None
    before = contents(kept.ensemble)
    run(lab, copied, groups=lab / "groups.csv", resume=True, ensemble=True)
    assert contents(kept.ensemble) == before
    found = predict(kept.ensemble, lab / "images", output=tmp_path / "found", conf=1e-3, pictures=False)
    fused = predict(weights, lab / "images", output=tmp_path / "fused", conf=1e-3, pictures=False)
    assert found.rows == fused.rows > 0


def test_the_predictions_are_those_of_the_last_weights(made, lab):
    from cytoyolo.detector.predict import Detector

    found = read_oof(made / "oof.csv", SPEC, 2)
    detector = Detector(made / "fold1" / "weights" / "last.pt", conf=0.001, device="cpu")
    name = next(name for name, fold in found.fold.items() if fold == 1)
    (own,) = detector.detect([cv2.imread(str(made / "dataset" / "images" / name))])
    rows = found.image == name
    assert rows.any()
    assert found.xyxy[rows] == pytest.approx(own.xyxy[: rows.sum()], abs=0.02)
    assert found.confidence[rows] == pytest.approx(own.confidence[: rows.sum()], abs=1e-4)


def test_it_holds_what_it_says_and_no_path_of_this_machine(made, lab):
    assert {path.name for path in made.iterdir()} == {
        ".cytoyolo.json", "classes.csv", "confusion.csv", "confusion.png", "crossval.json", "dataset", "fold0",
        "fold0.csv", "fold1", "fold1.csv", "groups.csv", "oof.csv", "recipe.yaml", "report.html", "score",
    }  # fmt: skip
    assert not (made / "fold0" / "classes.csv").exists()  # no validation on the fold
    classes = pd.read_csv(made / "classes.csv")
    labels = pd.read_csv(made / "dataset" / "labels.csv")["class"].value_counts()
    assert dict(zip(classes["class"], classes["cells"], strict=True)) == labels.to_dict()
    for path in (made / "crossval.json", made / "oof.csv", made / "recipe.yaml", made / "groups.csv"):
        text = path.read_text()
        assert str(lab) not in text and str(made.parent) not in text and str(Path.home()) not in text, path.name
    assert not list(made.rglob("*.cache")) and not list(made.rglob("progress.jsonl"))
    score = json.loads((made / "score" / "score.json").read_text())
    assert json.loads((made / "crossval.json").read_text())["score"] == score and 0 <= score["score"] <= 1


def test_it_has_a_page_that_leads_to_the_pages_of_its_folds(made, browser):
    html = (made / "report.html").read_text(encoding="utf-8")
    score = json.loads((made / "crossval.json").read_text())["score"]["score"]
    assert f"Out-of-fold score {score:.4f}" in html and html.count("<svg") == 3 and "Typical images</bdi>" in html
    assert_sound(browser, made / "report.html")
    with opened(browser, made / "report.html") as page:
        page.tab.locator("a[href='fold1/report.html']").click()
        assert page.tab.locator("h1").inner_text() == "Training" and not page.complaints


def test_groups_are_never_parted_and_are_scored(made, lab):
    groups = pd.read_csv(lab / "groups.csv").set_index("NAME")["group"]
    found = pd.read_csv(made / "oof.csv")
    assert found["fold"].groupby(found["NAME"].map(groups)).nunique().eq(1).all()
    scored = pd.read_csv(made / "groups.csv")
    assert list(scored.columns) == ["group", "images", "rows", "score", "giou", "macro_f1", "accuracy"]
    assert sorted(scored["group"]) == [f"slide {number}" for number in range(4)]
    assert scored["images"].tolist() == scored["rows"].tolist() == [3] * 4
    assert scored["accuracy"].between(0, 1).all()


def test_its_table_is_one_that_curate_takes(made, lab, tmp_path):
    curated = curate(lab / "labels.csv", oof=made, output=tmp_path / "curated.csv", force=True)
    assert len(curated.scores) == 12


# Again, and after a kill


def test_two_folds_at_a_time_and_a_converted_folder_give_the_same_rows(made, lab, tmp_path, cytoyolo: Program):
    given = {"images": lab / "images", "dataset": lab / "spec.yaml", "groups": lab / "groups.csv", "folds": 2}
    convert(lab / "labels.csv", output=tmp_path / "yolo", **given)
    done = cytoyolo("crossval", tmp_path / "yolo", "-o", tmp_path / "CV", *FLAGS, "--jobs", 2, "--json")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert {line.partition(",")[0] for line in done.stderr.splitlines()} >= {"fold 0", "fold 1"}
    assert len(json.loads(done.stdout)["groups"]) == 4
    found, again = (pd.read_csv(folder / "oof.csv") for folder in (made, tmp_path / "CV"))
    facts = ["NAME", "fold", "width", "height"]
    pd.testing.assert_frame_equal(
        again.drop_duplicates("NAME")[facts].reset_index(drop=True),
        found.drop_duplicates("NAME")[facts].reset_index(drop=True),
    )
    assert not (tmp_path / "CV" / "dataset").exists()
    best = [table.drop_duplicates("NAME")["confidence"].to_numpy() for table in (found, again)]
    assert best[0] == pytest.approx(best[1], abs=1e-3)


def begun(folder: Path, lab: Path, *options: object) -> subprocess.Popen[str]:
    """The installed program, in the middle of fold 1."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(call(lab, folder, *options), stderr=pipe, stdout=pipe, text=True, start_new_session=True)
    while not (folder / "fold1" / "progress.jsonl").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    return process


def test_a_killed_one_goes_on_and_comes_to_the_same_bytes_as_any_other(made, lab, tmp_path):
    folder, groups = tmp_path / "CV", ("--groups", lab / "groups.csv")
    process = begun(folder, lab, *groups)
    os.killpg(process.pid, signal.SIGSTOP)  # so that it is surely at work still
    try:
        for option in ("--resume", "--overwrite"):
            second = subprocess.run(call(lab, folder, *groups, option), capture_output=True, text=True, check=False)
            assert (second.returncode, second.stderr) == (
                1, f"cytoyolo: another process is at work in {folder}; wait for it, or end it.\n",
            )  # fmt: skip
    finally:
        process.kill()
        os.killpg(process.pid, signal.SIGCONT)
        process.communicate()
    assert not (folder / "oof.csv").exists() and not (folder / "fold1.csv").exists()
    before = (folder / "fold0.csv").stat().st_mtime_ns
    resumed = subprocess.run(call(lab, folder, *groups), capture_output=True, text=True, check=False)
    assert resumed.returncode == 0 and "Traceback" not in resumed.stderr, resumed.stderr
    assert (folder / "fold0.csv").stat().st_mtime_ns == before
    assert (folder / "oof.csv").read_bytes() == (made / "oof.csv").read_bytes()
    assert json.loads((folder / "crossval.json").read_text())["status"] == "finished"


def test_an_interrupted_one_says_how_to_go_on_and_keeps_the_folds_that_are_done(lab, tmp_path, monkeypatch):
    folder = tmp_path / "CV"
    process = begun(folder, lab)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in stderr
    assert f"{folder} keeps the finished part; the same call continues it." in stderr
    before = contents(folder)
    assert "fold0.csv" in before and "oof.csv" not in before and "fold1.csv" not in before
    left = []
    monkeypatch.setattr(local, "each_ended", lambda jobs, slots: left.extend(jobs) or exit(0))
    with pytest.raises(SystemExit):
        run(lab, folder, resume=True)
    assert left == ["fold 1"]


def test_a_finished_one_is_not_trained_again(copied, lab, monkeypatch):
    monkeypatch.setattr(local, "each_ended", lambda *arguments: pytest.fail("trained again"))
    before = contents(copied)
    run(lab, copied, groups=lab / "groups.csv", resume=True)
    after = contents(copied)
    assert all(after[name] == before[name] for name in before if not name.endswith((".cytoyolo.json", ".png")))
    # Killed between its tables and its score, it is completed.
    (copied / "oof.csv").unlink()
    shutil.rmtree(copied / "score")
    monkeypatch.setattr(local, "each_ended", lambda *arguments: pytest.fail("trained again"))
    run(lab, copied, groups=lab / "groups.csv", resume=True)
    assert (copied / "oof.csv").read_bytes() == before["oof.csv"]


# What is refused


def other_table(lab: Path) -> Path:
    (lab / "other.csv").write_text((lab / "labels.csv").read_text().replace("dark", "pale", 1))
    return lab / "other.csv"


def test_the_same_call_on_a_finished_one_is_told_so(copied, lab, monkeypatch):
    monkeypatch.setattr(local, "each_ended", lambda *arguments: pytest.fail("trained again"))
    before = contents(copied)
    with pytest.raises(UsageError, match=r"holds this cross-validation, and it is finished \(see .*oof\.csv\)"):
        run(lab, copied, groups=lab / "groups.csv")
    assert contents(copied) == before


def test_a_table_that_a_repair_would_mend_is_not_sent_to_an_option_that_is_not_there(lab, tmp_path, cytoyolo: Program):
    rows = (lab / "labels.csv").read_text().splitlines()
    name, x1, y1, x2, y2, code = rows[1].split(",")
    (tmp_path / "bad.csv").write_text("\n".join([rows[0], ",".join((name, x2, y1, x1, y2, code)), *rows[2:]]))
    inputs = ("--images", lab / "images", "--dataset", lab / "spec.yaml", "--folds", 2)
    done = cytoyolo("crossval", tmp_path / "bad.csv", *inputs, "-o", tmp_path / "CV", *FLAGS)
    assert done.returncode == 1 and "let `cytoyolo repair` do it." in done.stderr, done.stderr
    assert "--repair" not in done.stderr and not (tmp_path / "CV").exists()


def test_an_image_that_cannot_be_read_is_left_out_by_a_command_that_can(lab, tmp_path, cytoyolo: Program):
    shutil.copytree(lab / "images", tmp_path / "images")
    (tmp_path / "images" / "blob00.jpg").write_bytes(empty_png(20_000, 20_000))
    inputs = ("--images", tmp_path / "images", "--dataset", lab / "spec.yaml")
    leave_out = "leave these images out by `cytoyolo repair` with a --config of `unsupported: {action: drop}`."
    for command, *options in (
        ("crossval", "--folds", 2, "-o", tmp_path / "CV", *FLAGS),
        ("convert", "-o", tmp_path / "a"),
    ):
        done = cytoyolo(command, lab / "labels.csv", *inputs, *options)
        assert done.returncode == 1 and done.stderr.endswith(f"{leave_out}\n"), done.stderr
    (tmp_path / "drop.yaml").write_text("unsupported: {action: drop}")
    config = ("--config", tmp_path / "drop.yaml")
    done = cytoyolo("repair", lab / "labels.csv", *inputs, *config, "-o", tmp_path / "clean.csv")
    assert done.returncode == 0 and "blob00" not in (tmp_path / "clean.csv").read_text()


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"epochs": 2},
            "was started with other settings (epochs (1, now 2)) and holds 2 of 2 folds; give the same "
            "options to go on, another folder, or overwrite=True to throw it away.",
        ),
        ({"seed": 3}, "was started with other settings (seed (0, now 3))"),
        ({"mosaic": 0.5}, "was started with other settings (mosaic ("),
        ({"folds": 3}, "was started with 2 folds"),
        ({"groups": None}, "was started with a groups file and holds 2 of 2 folds; give the same files"),
    ],
    ids=str,
)
def test_going_on_with_other_options_is_refused(options, words, resume, copied, lab, monkeypatch):
    monkeypatch.setattr(local, "each_ended", lambda *arguments: pytest.fail("trained again"))
    (copied / "oof.csv").unlink()
    before = contents(copied / "fold0")
    with pytest.raises(CytoyoloError, match=re.escape(words)) as refused:
        run(lab, copied, **{"groups": lab / "groups.csv", "resume": resume, **options})
    assert "\n" not in str(refused.value)
    assert contents(copied / "fold0") == before and not (copied / "oof.csv").exists()


def test_images_that_were_moved_are_named_and_are_to_be_moved_back(copied, lab):
    (copied / "oof.csv").unlink()
    (copied / "fold1.csv").unlink()
    shutil.rmtree(copied / "fold1")
    link = copied / "dataset" / "images" / "blob03.jpg"
    link.unlink()
    link.symlink_to(copied.parent / "gone" / "blob03.jpg")
    where = re.escape(str(copied.parent / "gone" / "blob03.jpg"))
    words = rf"links to images that no longer exist \(1 of 12, such as {where}\); move them back\.$"
    with pytest.raises(CytoyoloError, match=words):
        run(lab, copied, groups=lab / "groups.csv", resume=True)
    link.unlink()
    with pytest.raises(
        CytoyoloError, match=r"blob03\.jpg is missing\); give another folder, or overwrite=True to make it"
    ):
        run(lab, copied, groups=lab / "groups.csv", resume=True)


def test_going_on_with_the_classes_in_another_order_is_refused(copied):
    data, manifest = load_dataset(copied / "dataset"), read_manifest(copied / "crossval.json")
    call = {"resolved": read_recipe(copied), "um_per_px": manifest["um_per_px"]}
    check_same(copied, manifest, data, **call)
    turned = {**data.manifest, "spec": data.spec.in_order(data.spec.codes[::-1]).to_dict()}
    with pytest.raises(CytoyoloError, match=r"another data set \(the list of classes differs\) and holds 2 of 2 folds"):
        check_same(copied, manifest, replace(data, manifest=turned), **call)


def test_going_on_with_another_table_is_refused(copied, lab, cytoyolo: Program):
    inputs = ("--images", lab / "images", "--dataset", lab / "spec.yaml", "--groups", lab / "groups.csv")
    done = cytoyolo("crossval", other_table(lab), *inputs, "--folds", 2, "-o", copied, *FLAGS, "--resume")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"cytoyolo: {copied} was started with another labels file and holds 2 of 2 folds; give the same files to go "
        "on, "
        "another folder, or --overwrite to throw it away.\n"
    )


def test_a_folder_without_a_crossvalidation_cannot_be_gone_on_with(lab, tmp_path):
    with pytest.raises(UsageError, match="has no cross-validation that can be continued; leave out resume=True"):
        run(lab, tmp_path, resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_a_crossvalidation_without_its_recipe_cannot_be_gone_on_with(copied, lab, resume):
    (copied / "recipe.yaml").unlink()
    with pytest.raises(UsageError, match="has no cross-validation that can be continued; give another folder"):
        run(lab, copied, groups=lab / "groups.csv", resume=resume)


@pytest.mark.parametrize("text", ["", "- model\n", "epochs: 1\n"], ids=["empty", "a list", "no model"])
def test_a_crossvalidation_with_a_damaged_recipe_cannot_be_gone_on_with(copied, lab, text):
    (copied / "recipe.yaml").write_text(text)
    with pytest.raises(CytoyoloError, match=r"recipe\.yaml is missing or damaged; start the training anew"):
        run(lab, copied, groups=lab / "groups.csv", resume=True)


def shortened(text: str) -> str:
    """The table without the rows of its last image."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.split(",")[0] != lines[-1].split(",")[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shortened, r"fold1\.csv lacks images of its fold \(blob\d+\.jpg\)"),
        (
            lambda text: text.replace("NAME,fold", "NAME,part"),
            r"fold1\.csv is damaged: it has not the columns NAME,fold,width",
        ),
        (lambda text: "", r"fold1\.csv is damaged"),
        (lambda text: "hello\n", r"fold1\.csv is damaged"),
        (lambda text: f"{text[:-1]}x\n", r"fold1\.csv"),
    ],
    ids=["shortened", "another header", "empty", "no table", "a value"],
)
def test_a_damaged_table_of_a_fold_is_refused_and_made_again_once_it_is_deleted(copied, lab, change, words):
    before, path = (copied / "oof.csv").read_bytes(), copied / "fold1.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(CytoyoloError, match=rf"{words}.*delete it, and the same call with resume=True") as refused:
        run(lab, copied, groups=lab / "groups.csv", resume=True)
    assert refused.value.exit_code == 1 and (copied / "oof.csv").read_bytes() == before
    path.unlink()
    run(lab, copied, groups=lab / "groups.csv", resume=True)
    assert (copied / "oof.csv").read_bytes() == before


def test_a_finished_one_keeps_the_weights_that_its_tables_are_of(copied, lab):
    weights = copied / "fold0" / "weights" / "last.pt"
    shutil.copyfile(copied / "fold1" / "weights" / "last.pt", weights)
    with pytest.raises(CytoyoloError, match=r"fold0/weights/last\.pt has changed since the folds were finished"):
        run(lab, copied, groups=lab / "groups.csv", resume=True, ensemble=True)
    weights.unlink()
    with pytest.raises(CytoyoloError, match=r"fold0/weights/last\.pt is missing; put it back"):
        run(lab, copied, groups=lab / "groups.csv", resume=True)
    (copied / "fold0.csv").unlink()
    with pytest.raises(CytoyoloError, match=r"fold0/weights/best\.pt|fold0/weights/last\.pt is missing"):
        run(lab, copied, groups=lab / "groups.csv", resume=True)


def test_weights_that_the_folds_start_from_must_not_change(small_run, made, lab, tmp_path, untrained):
    start = tmp_path / "start.pt"
    shutil.copyfile(small_run / "weights" / "best.pt", start)
    with pytest.raises(Begun):
        run(lab, tmp_path / "CV", model=str(start))
    shutil.copyfile(made / "fold1" / "weights" / "last.pt", start)
    with pytest.raises(CytoyoloError, match=r"start\.pt has changed since .*CV was begun with it"):
        run(lab, tmp_path / "CV", model=str(start))


def test_a_crossvalidation_without_its_manifest_cannot_be_gone_on_with(copied, lab):
    (copied / "crossval.json").unlink()
    with pytest.raises(CytoyoloError, match=r"crossval\.json is missing or damaged; run crossval again"):
        run(lab, copied, groups=lab / "groups.csv", resume=True)


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("dataset", {}, "dataset has no folds; convert the label table with `folds`"),
        ("dataset", {"folds": 2}, "`folds` is only for a label table, and"),
        ("dataset", {"dataset": "cytologia"}, "`dataset` is only for a label table"),
        ("images", {}, "is not a data set made by `cytoyolo convert`"),
        ("labels.csv", {}, "a label table needs `images`"),
        ("gone.csv", {"images": "images"}, "gone.csv: no such file"),
        ("labels.csv", {"images": "gone", "dataset": "spec.yaml"}, "gone: no such"),
        ("labels.csv", {"images": "images", "dataset": "spec.yaml", "folds": 1}, "folds=1; give 2 or more"),
        ("labels.csv", {"images": "images", "dataset": "spec.yaml", "folds": 99}, "use 16 folds or fewer"),
        ("labels.csv", {"images": "images", "dataset": "spec.yaml", "jobs": 0}, "jobs=0; give 1 or more"),
        ("labels.csv", {"images": "images", "dataset": "spec.yaml", "epochs": 0}, "epochs=0"),
        ("labels.csv", {"images": "images", "dataset": "spec.yaml", "device": "7"}, "device='7'"),
        ("labels.csv", {"images": "images", "dataset": "gone"}, "gone"),
    ],
    ids=str,
)
def test_a_wrong_call_is_one_sentence_and_makes_nothing(source, options, words, blobs, tmp_path, monkeypatch):
    monkeypatch.chdir(blobs)
    with pytest.raises(CytoyoloError, match=re.escape(words)) as refused:
        crossval(source, output=tmp_path / "CV", **{**SETTINGS, **options})
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "CV").exists()


def test_the_held_out_fold_chooses_no_epoch(lab, tmp_path, untrained):
    with pytest.raises(UsageError, match="the call gives 'patience', which this command sets itself"):
        run(lab, tmp_path / "CV", patience=3)


def test_an_earlier_one_is_replaced_only_on_request_and_never_with_a_users_file(copied, lab):
    with pytest.raises(CytoyoloError, match=r"started with a groups file .* overwrite=True"):
        run(lab, copied)
    (copied / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        run(lab, copied, overwrite=True)
    assert (copied / "oof.csv").is_file() and (copied / "notes.txt").is_file()


def test_a_users_file_stays_a_users_file_when_a_crossvalidation_goes_on(copied, lab, untrained):
    (copied / "notes.txt").write_text("mine")
    run(lab, copied, groups=lab / "groups.csv", resume=True)
    with pytest.raises(UsageError, match=r"notes\.txt"):
        run(lab, copied, overwrite=True)
    assert (copied / "notes.txt").is_file()


def test_a_refused_call_replaces_nothing(copied, lab):
    before = contents(copied)
    with pytest.raises(CytoyoloError):
        run(lab, copied, folds=1, overwrite=True)
    assert contents(copied) == before


@pytest.mark.usefixtures("printed")
def test_a_fold_that_fails_is_named_and_the_folder_can_be_gone_on_with(made, lab, tmp_path, capsys):
    with pytest.raises(CytoyoloError, match=r"^fold 0: Ultralytics can't train") as failed:
        run(lab, tmp_path / "CV", freeze=99)
    assert "\n" not in str(failed.value) and "the same call continues it" in capsys.readouterr().err


# How the folds come about


class Begun(Exception):
    """The folds would be trained now."""


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave when the folds are to be trained."""

    def leave(*arguments: object) -> None:
        raise Begun

    monkeypatch.setattr(local, "each_ended", leave)


def test_near_duplicates_and_groups_stay_in_one_fold(lab, tmp_path, untrained):
    table = grounded(tmp_path / "images", 24)
    # The first image comes four times: as it is, paler, encoded anew and mirrored. It is of slide x, a copy of slide y.
    first = cv2.imread(str(tmp_path / "images" / "blob00.jpg"))
    copies = {
        "paler.jpg": cv2.convertScaleAbs(first, alpha=0.9, beta=12),
        "anew.png": first,
        "turned.jpg": first[:, ::-1],
    }
    for name, picture in copies.items():
        cv2.imwrite(str(tmp_path / "images" / name), picture)
    rows = [table.iloc[0].to_dict() | {"NAME": name} for name in copies]
    turned = {"x1": 80 - table["x2"][0], "x2": 80 - table["x1"][0]}
    rows[2] |= turned
    pd.concat([table, pd.DataFrame(rows)]).to_csv(tmp_path / "labels.csv", index=False)
    slides = {"blob00.jpg": "x", "blob01.jpg": "x", "anew.png": "y", "blob02.jpg": "y"}
    pd.DataFrame(slides.items(), columns=["NAME", "group"]).to_csv(tmp_path / "groups.csv", index=False)
    with pytest.raises(Begun):
        crossval(
            tmp_path / "labels.csv", output=tmp_path / "CV", images=tmp_path / "images", dataset=lab / "spec.yaml",
            groups=tmp_path / "groups.csv", folds=4, **SETTINGS,
        )  # fmt: skip
    part = pd.read_csv(tmp_path / "CV" / "dataset" / "images.csv").set_index("NAME")["part"]
    assert part.nunique() == 4
    assert len(set(part[[*slides, *copies]])) == 1


@pytest.mark.usefixtures("printed")
@pytest.mark.parametrize(
    ("slides", "refused", "told"),
    [
        (2, "labels.csv: all cells are in fold [01], so there is nothing to learn from", "All cells are in fold"),
        (3, None, "Folds without cells to judge by: [012];"),
    ],
)
def test_folds_without_cells_are_told_or_refused(slides, refused, told, lab, tmp_path, untrained, capsys):
    """The images of the first slide have no cells."""
    header, *lines = (lab / "labels.csv").read_text().splitlines()
    names = [line.split(",")[0] for line in lines]
    rows = [f"{name},,,,," if number % slides == 0 else lines[number] for number, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    groups = [f"{name},slide {number % slides}" for number, name in enumerate(names)]
    (tmp_path / "groups.csv").write_text("\n".join(["NAME,group", *groups]) + "\n")
    given = {"images": lab / "images", "dataset": lab / "spec.yaml", "groups": tmp_path / "groups.csv", **SETTINGS}
    with pytest.raises(CytoyoloError if refused else Begun, match=refused):
        crossval(tmp_path / "labels.csv", output=tmp_path / "CV", folds=slides, **given)
    assert re.search(told, capsys.readouterr().err) and (tmp_path / "CV").exists() is not bool(refused)


@pytest.mark.usefixtures("printed")
def test_a_class_that_some_folds_must_lack_is_named(lab, tmp_path, untrained, capsys):
    lines = (lab / "labels.csv").read_text().splitlines()
    few = [line for line in lines if "pale" not in line] + [line for line in lines if "pale" in line][:2]
    (tmp_path / "labels.csv").write_text("\n".join(few) + "\n")
    given = {"images": lab / "images", "dataset": lab / "spec.yaml", **SETTINGS}
    with pytest.raises(Begun):
        crossval(tmp_path / "labels.csv", output=tmp_path / "three", folds=3, **given)
    note = "Classes with fewer rows than there are folds (3), so some folds have none: pale (2).\n"
    assert note in capsys.readouterr().err
    with pytest.raises(Begun):
        crossval(tmp_path / "labels.csv", output=tmp_path / "two", folds=2, **given)
    assert "fewer rows" not in capsys.readouterr().err
