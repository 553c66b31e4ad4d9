"""The weights that the package ships: they are what their card says, and they find real cells offline."""

import pickletools
import zipfile
from importlib.resources import files

import pandas as pd
import pytest

from cytoyolo import Detector, predict, shipped
from cytoyolo.detector.weights import find_start
from cytoyolo.images.info import digest
from cytoyolo.spec import load_spec


def test_all_weights_have_a_card_that_names_data_licences_and_limits():
    assert shipped.weight_names() == ["leukocytes", "leukocytes-cells"]
    for weights in shipped.weight_names():
        card = files(shipped.WEIGHTS).joinpath(f"{weights}.md").read_text(encoding="utf-8")
        for word in ("AGPL-3.0", "GPL-3.0", "CC BY 4.0", "MIT", "blasts", "calibrat", "no medical device"):
            assert word in card, weights
    card = files(shipped.WEIGHTS).joinpath("leukocytes.md").read_text(encoding="utf-8")
    for code, name in zip(load_spec("leukocytes").codes, load_spec("leukocytes").names, strict=True):
        assert f"| {code} | {name} |" in card


def test_they_carry_their_classes_and_the_sizes_of_their_training():
    detector = Detector("leukocytes", device="cpu")
    assert detector.codes == load_spec("leukocytes").codes
    assert detector.spec is not None and detector.spec.name == "leukocytes"
    assert detector.imgsz == 256 and detector.trained_on is not None
    assert detector.calibration is not None


def test_they_know_the_images_that_they_were_trained_on(shared):
    seen = find_start("leukocytes", asked=False).seen
    assert len(seen.images) == 1584, "as the card says"
    for source in ("wbc5", "pbc9"):
        for table, most in (("train", 1), ("test", 0)):
            names = pd.read_csv(shared / source / f"{table}.csv")["NAME"].drop_duplicates()[::10]
            known = [seen.has(digest((shared / source / "images" / name).read_bytes())) for name in names]
            assert sum(known) <= most * len(names) and sum(known) >= most * 0.8 * len(names), (source, table)


@pytest.mark.parametrize("weights", shipped.weight_names())
def test_they_hold_no_path_of_the_machine_that_trained_them(weights):
    with zipfile.ZipFile(shipped.weights_path(weights)) as archive:
        pickled = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    strings = [argument for _, argument, _ in pickletools.genops(pickled) if isinstance(argument, str)]
    assert strings and not [text for text in strings if text.startswith(("/", "~")) or "\\" in text or ".pt" in text]


@pytest.mark.parametrize("source", ["wbc5", "pbc9"])
def test_they_name_cells_of_their_laboratories(source, shared, tmp_path):
    """Of images that they were trained on: this holds that the file is whole and is used as it was trained."""
    table = pd.read_csv(shared / source / "train.csv").drop_duplicates("NAME", keep=False).iloc[::20]
    paths = [shared / source / "images" / name for name in table["NAME"]]
    made = predict("leukocytes", paths, output=tmp_path / "results")
    found = pd.read_csv(made.output / "detections.csv").drop_duplicates("NAME").set_index("NAME")["class"]
    right = table.set_index("NAME")["class"].eq(found.reindex(table["NAME"]))
    assert right.mean() > 0.8


def test_the_classifier_is_found_by_its_name(shared, tmp_path):
    paths = [shared / "pbc9" / "images" / name for name in pd.read_csv(shared / "pbc9" / "train.csv")["NAME"][:2]]
    with pytest.warns(UserWarning, match="their calibration is not used"):
        made = predict("leukocytes", paths, output=tmp_path / "results", classifiers=["leukocytes-cells"])
        detector = Detector("leukocytes", device="cpu", classifiers=["leukocytes-cells"])
    found = pd.read_csv(made.output / "detections.csv")
    again = [code for cells in detector.predict(paths) for code in cells.to_pandas()["class"]]
    assert again and sorted(found["class"]) == sorted(again)
