"""Annotations as the three files that the other commands read: a label table, a data set's YAML, a groups table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import yaml

from cytoyolo.annotations.formats.annotations import Annotations
from cytoyolo.spec import COLUMNS, MASK
from cytoyolo.tables.table import LABEL_ROLES, XYXY

# Coordinates have this many decimals, so that a box that goes through another form comes back within 0.01 px.
_DECIMALS = 3
YAML_MARK = "# Made by cytoyolo import."


def label_rows(annotations: Annotations) -> pd.DataFrame:
    """Return the rows of the label table as texts, with the columns of our own tables.

    The images have the order of the source. An image without boxes has a row with only its name.

    Examples
    --------
    >>> from cytoyolo.annotations.formats.collector import Collector
    >>> found = Collector()
    >>> for name in ("a.jpg", "b.jpg"):
    ...     found.image(name)
    >>> found.box("b.jpg", (1, 2, 30.5, 40.12345), "LY", "")
    >>> label_rows(found.done()).to_csv(index=False).split()
    ['NAME,x1,y1,x2,y2,class', 'a.jpg,,,,,', 'b.jpg,1,2,30.5,40.123,LY']
    """
    boxes = annotations.boxes
    rows = pd.DataFrame({"image": boxes["image"]} | {side: _texts(boxes[side]) for side in XYXY})
    rows["class"] = boxes["class"]
    empty = pd.DataFrame({"image": annotations.empty_images}, columns=list(LABEL_ROLES), dtype=object).fillna("")
    rows = pd.concat([rows.astype(object), empty], ignore_index=True)[list(LABEL_ROLES)]
    place = pd.Index(annotations.images["image"]).get_indexer(pd.Index(rows["image"]))
    return rows.iloc[np.argsort(place, kind="stable")].rename(columns=COLUMNS).reset_index(drop=True)


def _texts(values: pd.Series) -> list[str]:
    """Numbers as texts, without zeros at the end of their decimals."""
    rounded = np.round(values.to_numpy(np.float64), _DECIMALS) + 0.0  # no -0
    return [
        str(int(value)) if value.is_integer() else f"{value:.{_DECIMALS}f}".rstrip("0") for value in rounded.tolist()
    ]


def data_set_yaml(annotations: Annotations, name: str, known: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the YAML of the data set, which `load_spec` reads. There must be a class.

    The fallback class is the class with the most boxes. `known` is what an earlier YAML says of its classes, by code;
    it stays.
    """
    counts = annotations.boxes["class"].value_counts()
    content: dict[str, Any] = {
        "name": name,
        "columns": dict(COLUMNS),
        "fallback": max(annotations.codes, key=lambda code: int(counts.get(code, 0))),
        "classes": [
            {"code": code, "name": title if _is_plain(title) else code, **known.get(code, {})}
            for code, title in zip(annotations.codes, annotations.names, strict=True)
        ],
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1_000_000)
    return (
        f"{YAML_MARK} Every class counts in the leukocyte differential. Write\n"
        f"# leukocyte: false at the classes that are not leukocytes.\n{text}"
    )


def _is_plain(title: str) -> bool:
    return bool(title.strip()) and title == " ".join(title.split()) and title.isprintable()


def group_rows(annotations: Annotations) -> pd.DataFrame:
    """Return the rows of the groups table: the images whose group is known."""
    images = annotations.images
    known = images.loc[images["group"] != "", ["image", "group"]]
    return known.rename(columns={"image": COLUMNS["image"]}).reset_index(drop=True)


def classes_with_boxes(annotations: Annotations) -> pd.DataFrame:
    """Count the boxes and images of each class, in the order of the source, then of ignore regions if there are any."""
    boxes = annotations.boxes
    counts = boxes.groupby("class")["image"].agg(["size", "nunique"])
    shown = [*annotations.codes, *([MASK] if MASK in counts.index else [])]
    table = counts.reindex(shown, fill_value=0).rename(columns={"size": "boxes", "nunique": "images"})
    return table.rename_axis("class").reset_index()
