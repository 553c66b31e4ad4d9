"""labels.csv of a YOLO folder: the rows that its label files were made from."""

from collections.abc import Iterable

import pandas as pd

from cytoyolo.annotations.table import LabelTable
from cytoyolo.annotations.trainable import Trainable
from cytoyolo.errors import CytoyoloError
from cytoyolo.tables.records import read_table_bytes
from cytoyolo.tables.table import LABEL_ROLES, XYXY, sha256
from cytoyolo.yolo.folder import CONVERT_AGAIN, LABELS, ROWS, Dataset


def label_rows(labels: Trainable, images: Iterable[str]) -> pd.DataFrame:
    """Make the rows of labels as strings: image, x1, y1, x2, y2, class.

    They are sorted by image in the given order; the rows of an image keep their order. An image without cells has one
    row with only its name.
    """
    spec = labels.table.spec
    codes = [spec.codes[number] for number in labels.class_id]
    rows = (
        pd.DataFrame(labels.xyxy.astype(int), columns=XYXY).astype(str).assign(image=labels.image, **{"class": codes})
    )
    place = {name: number for number, name in enumerate(images)}
    labelled = frozenset(labels.image)
    empty = pd.DataFrame({"image": [name for name in place if name not in labelled]}, columns=list(LABEL_ROLES))
    rows = pd.concat([rows, empty], ignore_index=True)[list(LABEL_ROLES)].fillna("")
    return rows.sort_values("image", key=lambda names: names.map(place), kind="stable", ignore_index=True)


def read_labels(data: Dataset) -> pd.DataFrame:
    """The labels of a YOLO folder in the order of images.csv: image, x1, y1, x2, y2 (whole pixels) and class.

    Raises CytoyoloError where labels.csv is missing or was changed.
    """
    path = data.folder / LABELS
    content = read_table_bytes(path) if path.is_file() else b""
    if sha256(content) != data.manifest[ROWS]["sha256"]:
        what = "was changed" if content else "is missing"
        raise CytoyoloError(f"{path} {what}; {CONVERT_AGAIN}.")
    table = LabelTable.parse(path, content, data.spec)
    labels = pd.DataFrame(table.xyxy[table.labels].astype(int), columns=XYXY)
    return labels.assign(**{role: table.text[role][table.labels] for role in ("image", "class")})
