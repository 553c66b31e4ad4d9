"""The plain way to predict a slide, in a process of its own: OpenSlide reads one window at a time, and the network sees
one window a call, with ONNX Runtime's own number of threads. Prints its seconds, without the imports.

    python benchmarks/_plain_slide.py NETWORK.onnx SLIDE WINDOWS.csv
"""

import sys
import time

import cv2
import numpy as np
import onnxruntime
import openslide
import pandas as pd


def main() -> None:
    network, path, windows = sys.argv[1:]
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    boxes = 0
    start = time.perf_counter()
    slide = openslide.OpenSlide(path)
    for x, y, side in pd.read_csv(windows).itertuples(index=False):
        pixels = np.asarray(slide.read_region((x, y), 0, (side, side)).convert("RGB"))
        blob = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / 255
        output = session.run(None, {name: blob})[0][0]
        confidence = output[4:].max(axis=0)
        found = confidence > 0.25
        corners = output[:4, found].T.astype(np.float64)
        corners[:, :2] -= corners[:, 2:] / 2
        boxes += len(cv2.dnn.NMSBoxes(corners.tolist(), confidence[found].tolist(), 0.25, 0.4))
    print(boxes, time.perf_counter() - start)


if __name__ == "__main__":
    main()
