"""The labels of a YOLO folder, read back from its label files."""

from pathlib import PurePath

import numpy as np
import pandas as pd

from cytoyolo.boxes import from_yolo
from cytoyolo.errors import CytoyoloError
from cytoyolo.tables.table import XYXY
from cytoyolo.yolo.folder import Dataset


def read_labels(data: Dataset, listing: pd.DataFrame) -> pd.DataFrame:
    """The boxes of all images in the order of images.csv (`listing`): image, x1, y1, x2, y2 (whole pixels), class.

    Raises CytoyoloError where a label file is missing or none.
    """
    image, values, size = [], [], []
    names = listing[data.spec.columns["image"]]
    for name, file, width, height in zip(names, listing["file"], listing["width"], listing["height"], strict=True):
        path = data.folder / "labels" / f"{PurePath(file).stem}.txt"
        try:
            found = [[float(value) for value in line.split()] for line in path.read_text(encoding="utf-8").splitlines()]
            if any(len(row) != 5 or int(row[0]) not in range(len(data.spec.codes)) for row in found):
                raise ValueError("a line is no label")
            size += [(int(width), int(height))] * len(found)
        except (OSError, ValueError) as error:
            raise CytoyoloError(f"{path} is missing or damaged; convert the label table again.") from error
        image += [name] * len(found)
        values += found
    table = np.array(values, dtype=np.float64).reshape(-1, 5)
    xyxy = np.rint(from_yolo(table[:, 1:], np.array(size, dtype=np.int64).reshape(-1, 2)))
    codes = np.array(data.spec.codes, dtype=object)
    return pd.DataFrame(xyxy.astype(np.int64), columns=XYXY).assign(
        image=image, **{"class": codes[table[:, 0].astype(np.int64)]}
    )
