"""A data set small enough to train on in seconds: coloured discs of two classes, and a model trained on it."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

SPEC = """name: blobs
columns: {id: trustii_id, image: NAME, x1: x1, y1: y1, x2: x2, y2: y2, class: class}
fallback: dark
classes: [{code: dark, name: dark disc}, {code: pale, name: pale disc}]
"""
SETTINGS = {"recipe": "quick", "model": "yolo11n.yaml", "epochs": 2, "imgsz": 64, "batch": 8, "device": "cpu"}


def draw(folder: Path, count: int = 24) -> pd.DataFrame:
    """Paint `count` images with one disc each and return their label table."""
    rng = np.random.default_rng(0)
    rows = []
    folder.mkdir(parents=True)
    for index in range(count):
        picture = rng.normal(200, 8, (72, 80, 3)).clip(0, 255).astype(np.uint8)
        x, y, radius = (int(value) for value in rng.integers([22, 22, 12], [58, 50, 20]))
        code = ("dark", "pale")[index % 2]
        cv2.circle(picture, (x, y), radius, (90, 20, 60) if code == "dark" else (150, 120, 160), -1)
        name = f"blob{index:02d}.jpg"
        cv2.imwrite(str(folder / name), picture)
        rows.append((name, x - radius, y - radius, min(x + radius, 80), min(y + radius, 72), code))
    return pd.DataFrame(rows, columns=["NAME", "x1", "y1", "x2", "y2", "class"])


def converted(folder: Path, table: pd.DataFrame) -> None:
    """Write labels.csv and spec.yaml into a folder that has images/, and convert them to dataset/."""
    from cytoyolo import convert

    table.to_csv(folder / "labels.csv", index=False)
    (folder / "spec.yaml").write_text(SPEC)
    convert(
        folder / "labels.csv",
        images=folder / "images",
        output=folder / "dataset",
        dataset=folder / "spec.yaml",
        val=0.25,
    )


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images/, labels.csv, test.csv, spec.yaml and dataset/, the converted YOLO folder."""
    folder = tmp_path_factory.mktemp("blobs")
    converted(folder, draw(folder / "images"))
    test = pd.DataFrame({"trustii_id": range(100, 106), "NAME": [f"blob{i:02d}.jpg" for i in (3, 1, 3, 0, 2, 3)]})
    test.to_csv(folder / "test.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def small_run(blobs: Path) -> Path:
    """The run folder of a model trained on the blobs for two epochs; the engine's look-ups would change its name."""
    from cytoyolo import train

    run = blobs / "o'brien's run? 100%20"
    train(blobs / "dataset", output=run, **SETTINGS)
    return run
