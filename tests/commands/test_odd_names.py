"""Names of classes and columns that tables must quote, spreadsheets and plots take for formulas, paths for folders."""

import csv
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cytoyolo import audit, convert, export, predict, repair, score, submit, train
from cytoyolo.detector.weights import load_network
from cytoyolo.errors import CytoyoloError
from tests.blobs import SETTINGS, draw

CODES = ('=1+1/"a", b', "$x^$ it's [red] #%s")
COLUMNS = {"id": '=id,"x"', "image": "NA,ME", "x1": "x1", "y1": "y 1", "x2": "x'2", "y2": "$y_2$", "class": "a/b"}


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.slow
def test_odd_names_come_through_the_whole_chain(tmp_path: Path) -> None:
    table = draw(tmp_path / "images", 12)
    table["class"] = table["class"].map(dict(zip(("dark", "pale"), CODES, strict=True)))
    roles = dict(zip(table.columns, ("image", "x1", "y1", "x2", "y2", "class"), strict=True))
    table = table.rename(columns={name: COLUMNS[role] for name, role in roles.items()})
    table.to_csv(tmp_path / "labels.csv", index=False)
    classes = [{"code": code, "name": f"{code} $\\frac$"} for code in CODES]
    spec = {"name": 'a/b, "c" $x^$', "columns": COLUMNS, "fallback": CODES[0], "classes": classes}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    test = pd.DataFrame({COLUMNS["id"]: range(4), COLUMNS["image"]: table[COLUMNS["image"]][:4]})
    test.to_csv(tmp_path / "test.csv", index=False)
    described = {"images": tmp_path / "images", "dataset": tmp_path / "spec.yaml"}

    assert "unknown-class" not in set(audit(tmp_path / "labels.csv", **described).counts["rule"])
    repair(tmp_path / "labels.csv", output=tmp_path / "clean.csv", **described)
    convert(tmp_path / "clean.csv", output=tmp_path / "dataset", val=0.25, **described)
    run = train(tmp_path / "dataset", output=tmp_path / "run", **{**SETTINGS, "epochs": 1})
    submit(run.weights, tmp_path / "test.csv", images=tmp_path / "images", output=tmp_path / "rows.csv", conf=1e-4)
    predict(run.weights, tmp_path / "images", output=tmp_path / "found", conf=1e-4)
    export(run.weights, output=tmp_path / "run.onnx")
    submit(tmp_path / "run.onnx", tmp_path / "test.csv", images=tmp_path / "images", output=tmp_path / "again.csv")
    own = score(tmp_path / "rows.csv", tmp_path / "rows.csv", dataset=tmp_path / "spec.yaml")

    order = [COLUMNS[role] for role in ("id", "image", "x1", "y1", "x2", "y2", "class")]
    for name in ("rows.csv", "again.csv"):
        header, *found = rows(tmp_path / name)
        assert header == order and len(found) == 4 and {row[-1] for row in found} <= set(CODES)
    header, *found = rows(tmp_path / "found" / "detections.csv")
    assert header[:6] == order[1:] and {row[5] for row in found} <= set(CODES)
    assert {row[0] for row in rows(tmp_path / "found" / "differential.csv")[1:]} == set(CODES)
    assert own.score == 1
    assert load_network(run.weights)[1].codes == CODES


def test_weights_whose_classes_no_table_can_carry_are_refused(small_run: Path, tmp_path: Path) -> None:
    import torch

    from cytoyolo.detector.weights import load_checkpoint

    checkpoint = load_checkpoint(small_run / "weights" / "best.pt")
    del checkpoint["cytoyolo"]
    checkpoint["model"].names = {0: "dark", 1: "pale\x1b[31m\nred"}
    with (tmp_path / "a.pt").open("wb") as file:
        torch.save(checkpoint, file)
    with pytest.raises(
        CytoyoloError, match=r"a\.pt: the name of a class is 'pale\\x1b.*; rename the class in the weights"
    ):
        load_network(tmp_path / "a.pt")
