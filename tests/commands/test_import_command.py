"""`import`: the three files that it writes, its findings, and labels that go through every form and come back."""

import json
import zipfile
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pandas as pd
import pytest

from cytoyolo import UsageError, audit, convert, export_labels, import_labels
from cytoyolo.annotations.formats.registry import FORMATS
from cytoyolo.defaults import LabelSource, LabelTarget
from cytoyolo.errors import CytoyoloError
from cytoyolo.spec import load_spec

COCO = {
    "images": [
        {"id": 1, "file_name": "P1/a.png", "width": 64, "height": 48},
        {"id": 2, "file_name": "P2/b.png", "width": 48, "height": 64},
        {"id": 3, "file_name": "P2/c.png", "width": 64, "height": 48},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 2, 20, 30.5]},
        {"id": 2, "image_id": 2, "category_id": 9, "bbox": [3, 4, 10, 12]},
    ],
    "categories": [{"id": 9, "name": "mast  cell"}, {"id": 2, "name": "PNN"}],
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for image in COCO["images"]:
        path = tmp_path / "images" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(image["id"]).integers(0, 255, (48, 64, 3)).astype(np.uint8)
        assert cv2.imwrite(str(path), noise)
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(COCO))
    return path


def test_the_three_files_go_through_convert(source: Path) -> None:
    folder = source.parent
    table, yaml, groups = folder / "labels.csv", folder / "mine.yaml", folder / "groups.csv"
    made = import_labels(source, output=table, dataset_out=yaml, groups_out=groups)
    assert table.read_text() == (
        "NAME,x1,y1,x2,y2,class\nP1/a.png,1,2,21,32.5,PNN\nP2/b.png,3,4,13,16,mast cell\nP2/c.png,,,,,\n"
    )
    assert groups.read_text() == "NAME,group\nP1/a.png,P1\nP2/b.png,P2\nP2/c.png,P2\n"
    assert load_spec(yaml).codes == ("mast cell", "PNN") and made.renamed == {"mast  cell": "mast cell"}
    assert (made.images, made.boxes, made.empty_images, made.groups, made.problems) == (3, 2, 1, 2, [])
    assert not audit(table, images=folder / "images", dataset=yaml).errors
    converted = convert(
        table, images=folder / "images", output=folder / "yolo", dataset=yaml, groups=groups, val=0.4, seed=1
    )
    assert converted


def test_sizes_and_names_that_disagree_with_the_files_are_findings(source: Path) -> None:
    (source.parent / "images" / "P2" / "c.png").rename(source.parent / "images" / "P2" / "other.png")
    made = import_labels(source, output=source.parent / "labels.csv", images=source.parent / "images")
    assert [problem.place for problem in made.problems] == ["P2/c.png", "P2/b.png"]
    assert "says 48x64 px, and the file has 64x48 px, which is turned by 90 degrees" in made.problems[1].what
    assert made.counts == {"images of the folder that the source does not list": 1}
    assert "P2/c.png" in (source.parent / "labels.csv").read_text()


def test_names_are_found_in_the_folder(source: Path) -> None:
    text = source.read_text().replace("P1/a.png", "C:\\\\Users\\\\anna\\\\img\\\\A.png").replace("P2/", "P2\\\\")
    source.write_text(text)
    made = import_labels(source, output=source.parent / "labels.csv", images=source.parent / "images")
    rows = pd.read_csv(source.parent / "labels.csv")
    assert list(rows["NAME"]) == ["P1/a.png", "P2/b.png", "P2/c.png"]
    assert [problem.place for problem in made.problems] == ["P2/b.png"]  # whose size differs


def test_outputs_are_only_replaced_if_they_are_of_this_command(source: Path) -> None:
    table, yaml = source.parent / "labels.csv", source.parent / "mine.yaml"
    import_labels(source, output=table, dataset_out=yaml)
    before = table.read_bytes(), yaml.read_bytes()
    with pytest.raises(UsageError, match="exists; give another name or overwrite=True"):
        import_labels(source, output=table)
    import_labels(source, output=table, dataset_out=yaml, overwrite=True)
    assert (table.read_bytes(), yaml.read_bytes()) == before
    yaml.write_text("classes: [PNN]\n")
    with pytest.raises(UsageError, match="is not a file that this command made"):
        import_labels(source, output=table, dataset_out=yaml, overwrite=True)
    with pytest.raises(UsageError, match="is the source; give another output"):
        import_labels(source, output=source, overwrite=True)
    with pytest.raises(UsageError, match="is given for two outputs"):
        import_labels(source, output=table, groups_out=table, overwrite=True)


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"images": [], "annotations": []}, {}, "lists no image that can be used; check it"),
        (
            {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": []},
            {},
            r"lists no image that can be used \(annotation .*is not listed; it is left out; and \d more\); check it",
        ),
        ({"categories": [], "annotations": []}, {"dataset_out": "x.yaml"}, "names no class; leave out `dataset_out`"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}]}, {"groups_out": "g.csv"}, "knows no groups of images"),
    ],
)
def test_an_output_that_would_be_empty_is_one_sentence(changes, options, words, source, monkeypatch) -> None:
    monkeypatch.chdir(source.parent)
    source.write_text(json.dumps(COCO | changes))
    with pytest.raises(CytoyoloError, match=words):
        import_labels(source, output="labels.csv", **options)
    assert not Path("labels.csv").exists()


def test_a_source_in_no_known_form_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder; check the path"):
        import_labels(tmp_path / "nosuch", output=tmp_path / "x.csv")
    (tmp_path / "notes.txt").write_text("some words")
    with pytest.raises(CytoyoloError, match=r"is in no form of labels that is recognised; choose one with `format`"):
        import_labels(tmp_path / "notes.txt", output=tmp_path / "x.csv")
    with pytest.raises(UsageError, match="format='nosuch'; give "):
        import_labels(tmp_path / "notes.txt", output=tmp_path / "x.csv", format="nosuch")


def test_what_is_given_in_place_of_labels_is_named(source: Path) -> None:
    folder = source.parent
    with zipfile.ZipFile(folder / "labels.zip", "w") as archive:
        archive.write(source)
    (folder / "voc.json").write_text("<annotation><filename>a.jpg</filename></annotation>")
    (folder / "image.json").write_bytes((folder / "images" / "P1" / "a.png").read_bytes())
    (folder / "empty").mkdir()
    (folder / "nothing.json").touch()
    (folder / "x.parquet").write_bytes(b"PAR1 and so on")
    for name, form, words in (
        ("labels.zip", "auto", "is a ZIP archive; unpack it and give its folder"),
        ("x.parquet", "auto", "is a Parquet file, which is not read; export the labels in another form (coco, "),
        ("coco.json", "voc", "is COCO (JSON), not Pascal VOC (XML); give format='coco'"),
        ("voc.json", "coco", "is Pascal VOC (XML), not COCO (JSON); give format='voc'"),
        ("image.json", "coco", "is not valid JSON"),
        ("image.json", "auto", "is a PNG image, which is not read; export the labels in another form"),
        ("empty", "auto", "is empty; give the folder with the labels"),
        ("nothing.json", "auto", "is empty; export it again"),
        ("nothing.json", "coco", "is empty; export it again"),
        ("images", "yolo", "has no list of classes"),
        ("images", "voc", "has no XML files"),
        ("images", "table", "has no table (.csv or .xlsx)"),
    ):
        with pytest.raises(CytoyoloError) as refused:
            import_labels(folder / name, output=folder / "labels.csv", format=form)
        assert words in str(refused.value) and "\n" not in str(refused.value)
    assert not (folder / "labels.csv").exists()


def test_a_folder_in_two_forms_is_not_guessed(source: Path) -> None:
    folder = source.parent / "both"
    folder.mkdir()
    (folder / "a.xml").write_text("<annotation><filename>a.jpg</filename></annotation>")
    (folder / "labels.csv").write_text("NAME,x1,y1,x2,y2,class\na.jpg,1,2,3,4,LY\n")
    with pytest.raises(CytoyoloError, match=r"may be Pascal VOC \(XML\) or a table of boxes; choose one with `format`"):
        import_labels(folder, output=source.parent / "labels.csv")
    assert import_labels(folder, output=source.parent / "labels.csv", format="table").boxes == 1


def test_a_table_of_other_columns(source: Path) -> None:
    folder = source.parent
    (folder / "t.csv").write_text("file;label;left;top;w;h\nP1/a.png;PNN;1;2;20;30,5\nP2/c.png;;;;;\n")
    columns = "image=file,class=label,x=left,y=top,w=w,h=h"
    made = import_labels(folder / "t.csv", output=folder / "labels.csv", columns=columns, images=folder / "images")
    assert (folder / "labels.csv").read_text() == "NAME,x1,y1,x2,y2,class\nP1/a.png,1,2,21,32.5,PNN\nP2/c.png,,,,,\n"
    assert made.format == "table" and not made.problems
    with pytest.raises(UsageError, match=r"`columns` is only for a table, and .* is COCO \(JSON\); leave it out"):
        import_labels(source, output=folder / "other.csv", columns=columns, format="coco")
    with pytest.raises(CytoyoloError, match="has no column NAME, x1, y1, x2, y2, class; say which of its columns"):
        import_labels(folder / "t.csv", output=folder / "other.csv")


def test_the_words_of_the_options_are_the_registered_forms() -> None:
    assert get_args(LabelSource) == ("auto", *FORMATS)
    assert get_args(LabelTarget) == tuple(form.name for form in FORMATS.values() if form.write)
    assert all(name == form.name for name, form in FORMATS.items())


def test_the_program_prints_counts_and_findings(source: Path, cytoyolo) -> None:
    text = json.dumps(COCO | {"annotations": [*COCO["annotations"], {"id": 3, "image_id": 99, "category_id": 2}]})
    source.write_text(text)
    done = cytoyolo("import", source, "-o", source.parent / "labels.csv")
    assert done.returncode == 1 and "annotation 3: its image '99' is not listed; it is left out" in done.stdout
    done = cytoyolo("import", source, "-o", source.parent / "labels.csv", "--overwrite", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["boxes"] == 2


def test_import_and_export_load_no_torch(source: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, cytoyolo; cytoyolo.import_labels('coco.json', output='l.csv', dataset_out='d.yaml');"
        "cytoyolo.export_labels('l.csv', images='images', dataset='d.yaml', format='coco', output='again.json');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=source.parent, check=True)


@pytest.mark.parametrize("form", get_args(LabelTarget))
@pytest.mark.parametrize(
    ("name", "dataset"),
    [("wbc5", "wbc5"), pytest.param("pbc3", "pbc3", marks=pytest.mark.slow), ("pbc9", "cytologia")],
)
def test_real_labels_come_back_from_every_form(
    form: str, name: str, dataset: str, shared: Path, tmp_path: Path
) -> None:
    images = shared / name / "images"
    given = pd.read_csv(shared / name / "train.csv")
    export_labels(shared / name / "train.csv", images=images, format=form, output=tmp_path / "out", dataset=dataset)
    import_labels(tmp_path / "out", output=tmp_path / "back.csv", images=images, dataset_out=tmp_path / "back.yaml")
    back = pd.read_csv(tmp_path / "back.csv")
    order = ["NAME", "x1", "y1", "x2", "y2", "class"]
    given, back = (table.sort_values(order).reset_index(drop=True) for table in (given, back))
    assert (given[["NAME", "class"]] == back[["NAME", "class"]]).all(axis=None)
    assert (given[order[1:5]] - back[order[1:5]]).abs().max(axis=None) <= 0.01
    # Pascal VOC has no list of classes: those of the boxes are in alphabetical order.
    codes = tuple(code for code in load_spec(dataset).codes if form != "voc" or code in set(given["class"]))
    assert load_spec(tmp_path / "back.yaml").codes == codes


def test_what_the_user_wrote_of_the_classes_stays(source: Path) -> None:
    options = {"output": source.parent / "labels.csv", "dataset_out": source.parent / "mine.yaml"}
    import_labels(source, **options)
    text = options["dataset_out"].read_text()
    options["dataset_out"].write_text(text.replace("- code: PNN\n", "- code: PNN\n  leukocyte: false\n"))
    import_labels(source, overwrite=True, **options)
    spec = load_spec(options["dataset_out"])
    assert dict(zip(spec.codes, spec.leukocyte, strict=True)) == {"mast cell": True, "PNN": False}


def test_a_code_that_looks_like_a_number_stays_a_text(source: Path) -> None:
    (source.parent / "table.csv").write_text("NAME,x1,y1,x2,y2,class\na.png,1,2,20,30,007\nb.png,1,2,20,30,7\n")
    options = {"output": source.parent / "labels.csv", "dataset_out": source.parent / "mine.yaml"}
    for again in (False, True):
        import_labels(source.parent / "table.csv", overwrite=again, **options)
        assert set(load_spec(options["dataset_out"]).codes) == {"007", "7"}


def test_a_number_that_only_python_knows_is_none(source: Path) -> None:
    (source.parent / "table.csv").write_text("NAME,x1,y1,x2,y2,class\na.png,1_0,2,20,30,LY\nb.png,1,2,20,30,LY\n")
    made = import_labels(source.parent / "table.csv", output=source.parent / "labels.csv")
    assert made.boxes == 1 and "not a coordinate" in made.problems[0].what


@pytest.mark.parametrize("form", ["yolo", "voc", "labelme", "geojson"])
def test_a_hidden_image_is_not_lost_on_its_way(form: str, source: Path) -> None:
    (source.parent / "images" / "P1" / "a.png").rename(source.parent / "images" / "P1" / ".a.png")
    (source.parent / "labels.csv").write_text("NAME,x1,y1,x2,y2,class\nP1/.a.png,1,2,21,32,PNN\n")
    with pytest.raises(CytoyoloError, match=r"P1/\.a\.png has a hidden name"):
        export_labels(
            source.parent / "labels.csv", images=source.parent / "images", format=form, output=source.parent / "out"
        )
    assert not (source.parent / "out").exists()


@pytest.mark.parametrize("copied", [True, False])
def test_yolo_labels_stand_where_ultralytics_looks_for_them(copied: bool, tmp_path: Path) -> None:
    """Whatever the names of images and folders are: lists, `images` and `labels` among them."""
    from ultralytics.data.utils import img2label_paths

    names = [
        "a.png",
        "test.png",
        "labels/b.png",
        "s1/images/c.png",
        "images/images/d.png",
        "notes.png",
        "v/classes.png",
    ]
    for number, name in enumerate(names):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3)).astype(np.uint8)
        assert cv2.imwrite(str(tmp_path / "images" / name), noise)
    rows = [f"{name},{number},2,{number + 20},32,PNN" for number, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["NAME,x1,y1,x2,y2,class", *rows, ""]))
    out = tmp_path / "out"
    export_labels(tmp_path / "labels.csv", images=tmp_path / "images", format="yolo", output=out, copy_images=copied)
    for name in names:
        assert Path(img2label_paths([str(out / "images" / name)])[0]).is_file(), name
    import_labels(out, output=tmp_path / "back.csv", images=None if copied else tmp_path / "images")
    back = (tmp_path / "back.csv").read_text().splitlines()[1:]
    assert sorted(back) == sorted(f"images/{row}" if copied else row for row in rows)
