"""The page of outputs is complete and true: each command is run, and its files and columns stand in its section."""

import csv
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

import cytoyolo
from cytoyolo.commands.review_export import export_review
from cytoyolo.reviewing.decisions import Draft, Outcome
from cytoyolo.reviewing.store import Store
from cytoyolo.spec import load_spec
from tests.blobs import SETTINGS, converted, draw
from tests.classifiers import untrained
from tests.reviewing import made_gallery, made_review, painted
from tests.site.pages import DOCS
from tests.slides import smear_with_discs, write_pyramid

CODES = ("BA", "EO", "Er", "LY", "M", "MM", "MO", "PM", "PNN")  # of the weights `leukocytes`
# What lies in many folders, and is told once at the top of the page.
EVERYWHERE = re.compile(r"(.+/)?(\.cytoyolo\.json|report_files/.+|jobs/.+)")
TRAINING = {**SETTINGS, "epochs": 1}


@dataclass
class Section:
    """The files that a section of the page tells, with what it says of each, and the columns of its tables."""

    files: dict[str, str] = field(default_factory=dict)
    columns: dict[str, dict[str, str]] = field(default_factory=dict)


@cache
def sections() -> dict[str, Section]:
    """The sections of the page by their titles, without the marks of code."""
    parts = re.split(r"^## (.+)\n", (DOCS / "outputs.md").read_text(encoding="utf-8"), flags=re.M)[1:]
    return {title.replace("`", ""): section(text) for title, text in zip(parts[::2], parts[1::2], strict=True)}


def section(text: str) -> Section:
    made = Section(files=rows(text, "file"))
    for part in re.split(r"\n(?=\*\*`)", text)[1:]:
        told = rows(part, "column")
        assert told, part
        made.columns |= dict.fromkeys(re.findall(r"\*\*`([^`]+)`\*\*", part.partition(":")[0]), told)
    return made


def rows(text: str, head: str) -> dict[str, str]:
    """The rows of the first table with this head: what is in its first column, and what is in its second."""
    table = re.search(rf"^\| {head} \| .+ \|\n\| --- \| --- \|\n((?:\|.+\n)+)", text, flags=re.M)
    lines = re.findall(r"^\| `([^`]+)` \| (.+) \|$", table[1], flags=re.M) if table else []
    assert table is None or len(lines) == table[1].count("\n"), table[1]
    assert len(dict(lines)) == len(lines), "a file or a column is told twice"
    return dict(lines)


def pattern(told: str) -> re.Pattern[str]:
    """A path of the page as an expression: NAME, CODE and N stand for something, and so does `*` in a name."""
    text = re.escape(told).replace(r"\*", "[^/]+")
    text = re.sub(r"NAME|(?<![A-Z])CODE(?![A-Z])", ".+", text)
    return re.compile(re.sub(r"(?<![A-Z])N(?![A-Z])", r"\\d+", text) + (".+" if told.endswith("/") else ""))


def entry(of: Section, path: str) -> str:
    """The entry of the section that tells a file."""
    found = [told for told in of.files if pattern(told).fullmatch(path)]
    assert found, f"{path} is not told"
    return max(found, key=len)


def title_of(anchor: str) -> str:
    """The title of a section by the anchor of links to it."""
    (title,) = (one for one in sections() if re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") == anchor)
    return title


def columns_of(of: Section, told: str) -> dict[str, str]:
    """The columns of the table that an entry tells: in this section, or in the section that it leads to."""
    if told in of.columns:
        return of.columns[told]
    text = of.files[told]
    if own := re.search(r"columns of `([^`]+)`", text):
        return of.columns[own[1]]
    (name, anchor), *_ = re.findall(r"columns of \[`([^`]+)`\]\(#([^)]+)\)", text)
    return sections()[title_of(anchor)].columns[name]


def is_optional(meaning: str) -> bool:
    return meaning.startswith("Only ")


def expected(told: dict[str, str], codes: tuple[str, ...], header: list[str]) -> list[str]:
    """The header that the page tells: what is for each class or number stands in its place, and a column that is not
    always there is in it if the header has it."""
    wanted = list[str]()
    for name, meaning in told.items():
        several = [name]
        if name == "CODE":  # classes that occur
            several = [code for code in codes if code in header]
        elif "CODE" in name:
            several = [name.replace("CODE", code) for code in codes]
        elif re.search(r"(?<![A-Z])N$", name):
            several = [one for one in header if pattern(name).fullmatch(one)]
        wanted += [one for one in several if one in header or not is_optional(meaning)]
    return wanted


def header_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


@dataclass
class Seen:
    """What was written of what a section tells."""

    files: set[str] = field(default_factory=set)
    columns: set[tuple[str, str]] = field(default_factory=set)


def look(of: Section, folder: Path, codes: tuple[str, ...], seen: Seen) -> None:
    """Compare all files of a folder with a section. A part with a section of its own is compared with that section."""
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        name = path.relative_to(folder).as_posix()
        if EVERYWHERE.fullmatch(name) or name.startswith("given/"):
            continue
        told = entry(of, name)
        seen.files.add(told)
        if told.endswith("/"):
            (anchor,) = re.findall(r"files of \[[^\]]+\]\(#([^)]+)\)", of.files[told])
            inner = sections()[title_of(anchor)]
            top = pattern(told.removesuffix("/") + "/").pattern.removesuffix("/.+")
            here = folder / re.match(top, name)[0]  # type: ignore[index]
            compare(inner, path, path.relative_to(here).as_posix(), codes, Seen())
            continue
        compare(of, path, name, codes, seen)


def compare(of: Section, path: Path, name: str, codes: tuple[str, ...], seen: Seen) -> None:
    """Compare a file with the entry of a section that tells it, and a table with its columns."""
    if EVERYWHERE.fullmatch(name):
        return
    told = entry(of, name)
    if told.endswith("/"):
        (anchor,) = re.findall(r"files of \[[^\]]+\]\(#([^)]+)\)", of.files[told])
        compare(sections()[title_of(anchor)], path, "/".join(name.split("/")[told.count("/") :]), codes, Seen())
        return
    if path.suffix == ".csv" and not told.startswith("stops/"):
        header = header_of(path)
        assert header == expected(columns_of(of, told), codes, header), name
        seen.columns |= {(told, one) for one in columns_of(of, told) if any(map(pattern(one).fullmatch, header))}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder for outputs. What lies in its folder `given` is not an output."""
    (tmp_path / "given").mkdir()
    return tmp_path


def give_grounds(folder: Path, first: int) -> None:
    """Give each image its own ground, so that no image is a copy."""
    for seed, path in enumerate(sorted(folder.iterdir()), start=first):
        picture = cv2.imread(str(path))
        ground = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 400, picture.shape), (0, 0), 3)
        cv2.imwrite(str(path), (picture + ground).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of painted cells with labels.csv, groups.csv, test.csv and truth.csv, and what `leukocytes` finds."""
    folder = tmp_path_factory.mktemp("cells")
    (folder / "labels.csv").write_text(painted(folder / "images", 14, "jpg"))
    give_grounds(folder / "images", 0)
    labels = pd.read_csv(folder / "labels.csv")
    names = labels["NAME"].unique()
    groups = pd.DataFrame({"NAME": names, "group": [f"slide {row % 4}" for row in range(len(names))]})
    groups.to_csv(folder / "groups.csv", index=False)
    truth = labels.assign(trustii_id=range(len(labels)))[["trustii_id", *labels]]
    truth.to_csv(folder / "truth.csv", index=False)
    truth[["trustii_id", "NAME"]].to_csv(folder / "test.csv", index=False)
    predicted(folder, folder / "found")
    return folder


def predicted(cells: Path, output: Path, **options: Any) -> None:
    given: dict[str, Any] = {"probabilities": True, "conf": 0.05, "groups": cells / "groups.csv", **options}
    cytoyolo.predict("leukocytes", source=given.pop("source", cells / "images"), output=output, **given)


def run_import(cells: Path, work: Path) -> Iterator[Path]:
    folder, table = work / "given" / "slides", pd.read_csv(cells / "labels.csv")
    for slide in ("1", "2"):
        shutil.copytree(cells / "images", folder / slide)
    slides = [table.assign(NAME=f"{slide}/" + table["NAME"]) for slide in ("1", "2")]
    pd.concat(slides).to_csv(work / "given" / "table.csv", index=False)
    roles = "image=NAME,x1=x1,y1=y1,x2=x2,y2=y2,class=class"
    cytoyolo.import_labels(work / "given" / "table.csv", output=work / "LABELS.csv", images=folder,
                           columns=roles, dataset_out=work / "MINE.yaml", groups_out=work / "GROUPS.csv")  # fmt: skip
    yield work


def run_join(cells: Path, work: Path) -> Iterator[Path]:
    source = work / "given" / "sources.yaml"
    known = f"labels: {cells}/labels.csv, images: {cells}/images, dataset: leukocytes"
    source.write_text(f"a: {{{known}, groups: {cells}/groups.csv, test: {cells}/test.csv}}\nb: {{{known}}}\n")
    cytoyolo.join(source, output=work / "joined")
    yield work / "joined"


def faulty(cells: Path, work: Path) -> Path:
    table = pd.read_csv(cells / "labels.csv", dtype=str)
    table.loc[0, ["x1", "x2"]] = table.loc[0, ["x2", "x1"]].to_numpy()
    table.to_csv(work / "given" / "labels.csv", index=False)
    return work / "given" / "labels.csv"


def run_audit(cells: Path, work: Path) -> Iterator[Path]:
    made = work / "audit"
    cytoyolo.audit(faulty(cells, work), images=cells / "images", dataset="leukocytes", output=made)
    yield made


def run_repair(cells: Path, work: Path) -> Iterator[Path]:
    cytoyolo.repair(faulty(cells, work), images=cells / "images", dataset="leukocytes", output=work / "CLEAN.csv")
    yield work


def run_undo(cells: Path, work: Path) -> Iterator[Path]:
    cytoyolo.repair(faulty(cells, work), dataset="leukocytes", output=work / "given" / "clean.csv")
    cytoyolo.undo(work / "given" / "clean.csv", work / "given" / "changes.csv", output=work / "FILE.csv")
    yield work


def run_apply(cells: Path, work: Path) -> Iterator[Path]:
    table = faulty(cells, work)
    cytoyolo.repair(table, dataset="leukocytes", output=work / "given" / "clean.csv")
    cytoyolo.apply(table, work / "given" / "changes.csv", output=work / "FILE.csv")
    yield work


def run_convert(cells: Path, work: Path) -> Iterator[Path]:
    given = {"images": cells / "images", "dataset": "leukocytes"}
    cytoyolo.convert(faulty(cells, work), output=work / "parts", val=0.25, repair=True, **given)
    cytoyolo.convert(cells / "labels.csv", output=work / "folds", folds=2, **given)
    cytoyolo.convert(cells / "labels.csv", output=work / "tiles", tiles="200", val=0.25, **given)
    yield from (work / "parts", work / "folds", work / "tiles")


def run_review(cells: Path, work: Path) -> Iterator[Path]:
    path = made_review(work / "given", 4)
    store = Store(path)
    for name, code in (("ann", "LY"), ("bob", "PNN")):
        store.decide(name, [Draft("class", store.items[0].subject, store.items[0].image, Outcome("label", code))])
    store.decide("ann", [Draft("class", store.items[1].subject, store.items[1].image, Outcome("label", "LY"))])
    store.close()
    (work / "given" / "labels.csv").unlink()
    export_review(path, work / "CHANGES.csv", None, False)
    yield work


def run_review_cells(cells: Path, work: Path) -> Iterator[Path]:
    path = made_gallery(work / "given", 2)
    store = Store(path)
    for name, code in (("ann", "LY"), ("bob", "PNN")):
        store.decide(name, [Draft("class", "row:0", "s1/0.png", Outcome("label", code))])
        store.decide(name, [Draft("sign", "slide:s1", "", Outcome("same"))])
    store.close()
    export_review(path, work / "LABELS.csv", None, False)
    yield work


def run_select(cells: Path, work: Path) -> Iterator[Path]:
    cytoyolo.select(cells / "images", weights="leukocytes", output=work / "chosen", count=3, copy_images=True)
    yield work / "chosen"


def run_predict(cells: Path, work: Path) -> Iterator[Path]:
    source = work / "given" / "source"
    shutil.copytree(cells / "images", source)
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    write_pyramid(source / "slide.tif", smear_with_discs(5000, 600)[0])
    predicted(cells, work / "all", source=source, max_det=1, adjust_shares=True, conf=0.001)
    predicted(cells, work / "short", probabilities=False, source=source / "0.jpg")
    plain = untrained_detector(work)
    cytoyolo.predict(plain, source=source / "0.jpg", output=work / "plain", conf=0.001)
    yield from (work / "all", work / "short", work / "plain")


def run_crops(cells: Path, work: Path) -> Iterator[Path]:
    predicted(cells, work / "results", crops=work / "crops")
    yield work / "crops"


def run_differential(cells: Path, work: Path) -> Iterator[Path]:
    found = cells / "found"
    cytoyolo.differential(found, truth=cells / "labels.csv", groups=cells / "groups.csv", output=work / "counted")
    yield work / "counted"


def run_fuse(cells: Path, work: Path) -> Iterator[Path]:
    table = cells / "found" / "detections.csv"
    cytoyolo.fuse([table, table], output=work / "FILE.csv", dataset="leukocytes")
    yield work


def run_submit(cells: Path, work: Path) -> Iterator[Path]:
    pd.concat([pd.read_csv(cells / "test.csv"), pd.DataFrame({"trustii_id": [99], "NAME": ["broken.jpg"]})]).to_csv(
        work / "given" / "test.csv", index=False
    )
    shutil.copytree(cells / "images", work / "given" / "images")
    (work / "given" / "images" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    cytoyolo.submit("leukocytes", work / "given" / "test.csv", images=work / "given" / "images", max_det=1,
                    output=work / "SUBMISSION.csv", probabilities=True)  # fmt: skip
    yield work


def run_score(cells: Path, work: Path) -> Iterator[Path]:
    cytoyolo.score(cells / "truth.csv", cells / "truth.csv", output=work / "score", dataset="leukocytes")
    yield work / "score"


def run_evaluate(cells: Path, work: Path) -> Iterator[Path]:
    cytoyolo.evaluate(cells / "labels.csv", cells / "found", output=work / "evaluation", replicates=20,
                      dataset="leukocytes", groups=cells / "groups.csv")  # fmt: skip
    yield work / "evaluation"


def compared(cells: Path, output: Path, *results: Path, truth: str | None = "labels.csv", **options: Any) -> Path:
    given = {"dataset": "leukocytes", "replicates": 20, **options}
    cytoyolo.compare(None if truth is None else cells / truth, *results, output=output, **given)
    return output


def run_compare(cells: Path, work: Path) -> Iterator[Path]:
    found = cells / "found"
    yield compared(cells, work / "cells", found, found / "detections.csv", groups=cells / "groups.csv")
    shutil.copy(cells / "truth.csv", work / "given" / "b.csv")
    yield compared(cells, work / "rows", cells / "truth.csv", work / "given" / "b.csv", truth="truth.csv")


def run_agree(cells: Path, work: Path) -> Iterator[Path]:
    found = cells / "found"
    yield compared(cells, work / "agreed", found, found / "detections.csv", truth=None)


def three(cells: Path, work: Path) -> list[Path]:
    found = cells / "found"
    shutil.copy(found / "detections.csv", work / "given" / "c.csv")
    return [found, found / "detections.csv", work / "given" / "c.csv"]


def run_rank(cells: Path, work: Path) -> Iterator[Path]:
    yield compared(cells, work / "ranked", *three(cells, work))


def run_agree_in_pairs(cells: Path, work: Path) -> Iterator[Path]:
    yield compared(cells, work / "agreed", *three(cells, work), truth=None)


def run_export_labels(cells: Path, work: Path) -> Iterator[Path]:
    for form in ("coco.json", "yolo", "voc", "cvat", "labelstudio", "labelme", "geojson"):
        cytoyolo.export_labels(
            cells / "labels.csv", images=cells / "images", format=form.partition(".")[0], output=work / form,
            dataset="leukocytes", copy_images=form in ("yolo", "voc"),
        )  # fmt: skip
    yield work


def run_export(cells: Path, work: Path) -> Iterator[Path]:
    cytoyolo.export("leukocytes", output=work / "FILE.onnx", int8=True, calibrate=cells / "labels.csv",
                    images=cells / "images", max_loss=1)  # fmt: skip
    yield work


def run_calibrate(cells: Path, work: Path) -> Iterator[Path]:
    cytoyolo.calibrate("leukocytes", labels=cells / "labels.csv", images=cells / "images", conf=0.01,
                       output=work / "CALIBRATED.pt")  # fmt: skip
    yield work


def run_card(cells: Path, work: Path) -> Iterator[Path]:
    cytoyolo.card("leukocytes", output=work / "README.md")
    yield work


def run_smear(cells: Path, work: Path) -> Iterator[Path]:
    cytoyolo.smear(output=work / "plain", images=8)
    cytoyolo.smear(output=work / "faulty", images=120, faults=0.5)
    yield from (work / "plain", work / "faulty")


def untrained_detector(work: Path) -> Path:
    """A checkpoint of Ultralytics' form without a calibration."""
    from ultralytics import YOLO

    path = work / "given" / "plain.pt"
    YOLO("yolo11n.yaml").save(path)
    return path


def blobs_of(work: Path) -> Path:
    folder = work / "given" / "blobs"
    converted(folder, draw(folder / "images"))
    return folder


def trained(name: str) -> Callable[[Path, Path], Iterator[Path]]:
    """The runner of a command that trains; `name` says which."""

    def run(cells: Path, work: Path) -> Iterator[Path]:
        yield from TRAINED[name](blobs_of(work), work)

    return run


def run_train(blobs: Path, work: Path) -> Iterator[Path]:
    cytoyolo.train(blobs / "dataset", output=work / "run", **TRAINING)
    yield work / "run"


def run_train_classifier(blobs: Path, work: Path) -> Iterator[Path]:
    cytoyolo.train_classifier(blobs / "dataset", output=work / "run", **CLASSIFIER)
    yield work / "run"


CLASSIFIER: dict[str, Any] = {"model": "yolo11n-cls.yaml", "epochs": 1, "imgsz": 32, "batch": 8, "device": "cpu"}


def folded(blobs: Path) -> dict[str, Any]:
    return {"images": blobs / "images", "dataset": blobs / "spec.yaml", "folds": 2}


def run_classifier_folds(blobs: Path, work: Path) -> Iterator[Path]:
    cytoyolo.convert(blobs / "labels.csv", output=work / "given" / "folds", **folded(blobs))
    cytoyolo.train_classifier(work / "given" / "folds", output=work / "run", folds=True, **CLASSIFIER)
    yield work / "run"


def crossvalidated(blobs: Path, output: Path, **options: Any) -> Path:
    cytoyolo.crossval(blobs / "labels.csv", output=output, **folded(blobs), **{**TRAINING, **options})
    return output


def run_crossval(blobs: Path, work: Path) -> Iterator[Path]:
    yield crossvalidated(blobs, work / "cv", ensemble=True)


def run_crossval_seeds(blobs: Path, work: Path) -> Iterator[Path]:
    yield crossvalidated(blobs, work / "cv", seeds=[0, 1])


def run_ensemble(blobs: Path, work: Path) -> Iterator[Path]:
    made = crossvalidated(blobs, work / "given" / "cv")
    cytoyolo.ensemble([made], output=work / "ensemble")
    yield work / "ensemble"


def run_export_ensemble(blobs: Path, work: Path) -> Iterator[Path]:
    made = crossvalidated(blobs, work / "given" / "cv", ensemble=True)
    cytoyolo.export(made / "ensemble", output=work / "exported")
    yield work / "exported"


def run_curate(blobs: Path, work: Path) -> Iterator[Path]:
    made = crossvalidated(blobs, work / "given" / "cv")
    cytoyolo.curate(blobs / "labels.csv", oof=made, images=blobs / "images", force=True, output=work / "CURATED.csv")
    yield work


def run_reproduce(blobs: Path, work: Path) -> Iterator[Path]:
    data = work / "given" / "data"
    shutil.copytree(blobs / "images", data / "images")
    table = pd.read_csv(blobs / "labels.csv")
    table.iloc[:20].to_csv(data / "train.csv", index=False)
    pd.DataFrame({"trustii_id": [1, 2], "NAME": table["NAME"][20:22]}).to_csv(data / "test.csv", index=False)
    cytoyolo.reproduce(data, output=work / "run", dataset=blobs / "spec.yaml", force=True, folds=2, spurious="keep",
                       **TRAINING)  # fmt: skip
    yield work / "run"


TRAINED = {
    "train": run_train,
    "train-classifier": run_train_classifier,
    "train-classifier with --folds": run_classifier_folds,
    "crossval": run_crossval,
    "crossval with --seeds": run_crossval_seeds,
    "ensemble": run_ensemble,
    "export of an ensemble": run_export_ensemble,
    "curate": run_curate,
    "reproduce": run_reproduce,
}


def run_adapt(cells: Path, work: Path) -> Iterator[Path]:
    table = pd.read_csv(cells / "labels.csv")
    table["class"] = [CODES[row % len(CODES)] for row in range(len(table))]
    table.to_csv(work / "given" / "labels.csv", index=False)
    others, replay = work / "given" / "others", work / "given" / "dataset"
    (work / "given" / "others.csv").write_text(painted(others, 14, "jpg"))
    give_grounds(others, 100)
    cytoyolo.convert(work / "given" / "others.csv", images=others, dataset="leukocytes", output=replay, val=0.25)
    classifier = untrained(work / "given" / "cls" / "best.pt", load_spec("leukocytes"))
    cytoyolo.adapt(
        "leukocytes", work / "given" / "labels.csv", images=cells / "images", output=work / "adapted",
        classifier=classifier, replay=replay, groups=cells / "groups.csv", epochs=1, device="cpu",
    )  # fmt: skip
    yield work / "adapted"


def run_demo(cells: Path, work: Path) -> Iterator[Path]:
    cytoyolo.demo(output=work / "demo", images=100)
    yield work / "demo"


QUICK: dict[str, Callable[[Path, Path], Iterator[Path]]] = {
    "import": run_import,
    "join": run_join,
    "audit": run_audit,
    "repair": run_repair,
    "undo": run_undo,
    "apply": run_apply,
    "convert": run_convert,
    "review": run_review,
    "review of a prediction": run_review_cells,
    "predict": run_predict,
    "predict with --crops": run_crops,
    "differential": run_differential,
    "fuse": run_fuse,
    "submit": run_submit,
    "score": run_score,
    "evaluate": run_evaluate,
    "compare with a truth": run_compare,
    "compare without a truth": run_agree,
    "compare of several results": run_rank,
    "compare of several results without a truth": run_agree_in_pairs,
    "export-labels": run_export_labels,
    "card": run_card,
}
SLOW = {
    **{name: trained(name) for name in TRAINED},
    "export": run_export,
    "select": run_select,
    "calibrate": run_calibrate,
    "smear": run_smear,
    "adapt": run_adapt,
    "demo": run_demo,
}
EACH = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
BLOBS = ("dark", "pale")
CODES_OF = {"demo": load_spec("cytologia").codes}


@pytest.mark.parametrize("title", EACH)
def test_what_is_written_is_told_and_what_is_told_is_written(title: str, cells: Path, work: Path) -> None:
    of, seen = sections()[title], Seen()
    for folder in (QUICK | SLOW)[title](cells, work):
        look(of, folder, BLOBS if title in TRAINED else CODES_OF.get(title, CODES), seen)
    assert not set(of.files) - seen.files
    told = {(name, column) for name in of.columns for column in of.columns[name] if name in of.files}
    assert not told - seen.columns


def test_each_section_is_run() -> None:
    assert list(sections()) and {*QUICK, *SLOW} == set(sections()) - {"Commands that write no file"}
