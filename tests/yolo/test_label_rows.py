"""labels.csv of a YOLO folder: the rows that its label files were made from, and their way back."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.annotations.table import LabelTable
from cytoyolo.annotations.trainable import Trainable
from cytoyolo.errors import CytoyoloError
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import XYXY, fingerprint, write_table
from cytoyolo.yolo.folder import Dataset, load_dataset
from cytoyolo.yolo.labels import label_rows, read_labels
from cytoyolo.yolo.verify import read_listing, verify
from tests.properties import examples

SPEC = load_spec("cytologia")
TABLE = LabelTable.parse(Path("t.csv"), b"NAME,x1,y1,x2,y2,class\na.jpg,1,2,3,4,PNN\n", SPEC)
CHARACTERS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
NAMES = st.text(CHARACTERS, min_size=1, max_size=9).map(lambda name: f"{name}.jpg")
ROWS = st.lists(
    st.tuples(NAMES, *[st.integers(0, 100_000)] * 4, st.integers(0, len(SPEC.codes) - 1)), min_size=1, max_size=8
)


@examples(200)
@given(ROWS, st.lists(NAMES, max_size=2))
def test_rows_come_back_image_by_image(tmp_path_factory, rows, without_cells) -> None:
    names, *sides, numbers = (list(column) for column in zip(*rows, strict=True))
    xyxy, image = np.array(sides, np.float64).T, np.array(names, dtype=object)
    labels = Trainable(TABLE, pd.DataFrame(), image, np.array(numbers, np.int64), xyxy, np.zeros((len(rows), 2), int))
    images = list(dict.fromkeys([*without_cells, *names]))
    folder = tmp_path_factory.mktemp("dataset")
    write_table(folder / "labels.csv", label_rows(labels, images).rename(columns=dict(SPEC.columns)))
    found = read_labels(Dataset(folder, SPEC, {"rows": {"sha256": fingerprint(folder / "labels.csv")}}))
    order = sorted(range(len(rows)), key=lambda row: images.index(names[row]))
    assert found["image"].tolist() == [names[row] for row in order]
    assert found[XYXY].to_numpy().tolist() == [[side[row] for side in sides] for row in order]
    assert found["class"].tolist() == [SPEC.codes[numbers[row]] for row in order]


def test_they_are_the_rows_of_the_label_files(blobs: Path) -> None:
    """To the pixel, though the numbers of a label file have six decimals."""
    data = load_dataset(blobs / "dataset")
    rows = read_labels(data).groupby("image", sort=False)
    listing = read_listing(data)
    assert list(rows.groups) == listing["NAME"].tolist()
    for one in listing.to_dict("records"):
        text = (data.folder / "labels" / f"{Path(one['file']).stem}.txt").read_text()
        number, cx, cy, w, h = np.array([line.split() for line in text.splitlines()], np.float64).T
        corners = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]).T
        found = rows.get_group(one["NAME"])
        size = np.array([int(one["width"]), int(one["height"])] * 2)
        assert np.rint(corners * size).astype(int).tolist() == found[XYXY].to_numpy().tolist()
        assert [data.spec.codes[int(label)] for label in number] == found["class"].tolist()


@pytest.mark.parametrize(("content", "words"), [(b"NAME,x1\n", "was changed"), (None, "is missing")])
def test_other_rows_are_refused(content: bytes | None, words: str, blobs: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(blobs / "dataset", tmp_path / "dataset", symlinks=True)
    (folder / "labels.csv").unlink()
    if content is not None:
        (folder / "labels.csv").write_bytes(content)
    data = load_dataset(folder)
    with pytest.raises(CytoyoloError, match=re.escape(f"labels.csv {words}; convert the label table again")):
        read_labels(data)
    with pytest.raises(CytoyoloError, match=f"labels.csv {words}"):
        verify(data, None)
