"""Prediction as the published notebooks do it, in a process of its own: torch, one image at a time, the engine's own
number of threads, and a scan of the whole table for each image. Prints its seconds, without the imports.

    python benchmarks/_plain_prediction.py WEIGHTS TEST.csv IMAGES IMGSZ OUTPUT
"""

import os
import sys
import time
from pathlib import Path

os.environ.update(YOLO_OFFLINE="1", YOLO_AUTOINSTALL="0", YOLO_VERBOSE="0")


def main() -> None:
    weights, test_path, images, imgsz, output = sys.argv[1:]
    import pandas as pd
    from ultralytics import YOLO

    model = YOLO(weights)
    start = time.perf_counter()
    test = pd.read_csv(test_path)
    test[["x1", "y1", "x2", "y2"]], test["class"] = 0, "PNN"
    for name in test["NAME"].unique():
        found = model.predict(
            str(Path(images) / name), conf=1e-5, iou=0.4, agnostic_nms=True, imgsz=int(imgsz), verbose=False
        )[0].boxes
        rows = test.index[test["NAME"] == name]
        order = found.conf.argsort(descending=True).tolist()
        for row, place in zip(rows, order, strict=False):
            test.loc[row, ["x1", "y1", "x2", "y2"]] = found.xyxy[place].round().int().tolist()
            test.loc[row, "class"] = model.names[int(found.cls[place])]
    test.to_csv(output, index=False)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
