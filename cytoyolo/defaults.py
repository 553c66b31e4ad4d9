"""The defaults of the commands' options, and their closed sets of words. Each is written only here.

The functions and the command line both take them from here. Only typing is imported, so that `--help` is quick.

Examples
--------
>>> from typing import get_args
>>> get_args(BoxChoice), BOXES
(('all', 'loose', 'none'), 'all')
"""

from typing import Literal

# Which label boxes a curation replaces by the predicted box.
BoxChoice = Literal["all", "loose", "none"]
# What becomes of spurious labels: they become ignore regions (rows that mask their cells), or they stay.
SpuriousChoice = Literal["mask", "keep"]
# What an ignore region is painted with.
MaskFill = Literal["black", "background"]
# What runs a network. "auto" is the fastest that is installed.
Backend = Literal["auto", "torch", "onnx", "openvino"]
# Views of an image that are searched as well: mirrored, or all eight flips and turns by 90 degrees.
View = Literal["hflip", "vflip", "d4"]
# How images are divided: "auto", "off", the side of a tile in pixels, or its side and the overlap of two tiles.
Tiles = str | int | tuple[int, int]
# What an export is made for.
ExportFormat = Literal["onnx", "openvino"]
# The forms of label files of other programs that are read ("auto" recognises the form), and those that are written.
LabelSource = Literal["auto", "coco", "yolo", "voc", "cvat", "labelstudio", "labelme", "geojson", "table"]
LabelTarget = Literal["coco", "yolo", "voc", "cvat", "labelstudio", "labelme", "geojson"]
# Where jobs run that don't depend on each other.
RunnerName = Literal["local", "slurm", "ray"]

DATASET = "cytologia"
RECIPE = "third-place"
DEVICE = "auto"
BACKEND: Backend = "auto"
SEED = 0
# Splits and trainings.
VAL = 0.05
MASK_FILL: MaskFill = "black"
FOLDS = 5
JOBS = 1
RUNNER: RunnerName = "local"
# How many images a job of a prediction on a cluster searches: a multiple of all usual batches. With smaller parts, few
# workers lose time between parts; with larger parts, many workers wait for the last: docs/measurements/runners.md.
PART_SIZE = 1024
# Predictions. Cells hardly ever overlap, so that class-agnostic NMS can have a low IoU. Every test row needs a box, so
# that nearly all detections are kept for a submission. Both are the third place's settings.
IOU = 0.4
CONF = 0.25
SUBMISSION_CONF = 1e-5
MAX_DETECTIONS = 300
FUSION_IOU = 0.4
TILES: Tiles = "auto"
# How many leukocytes of a slide a differential wants. Laboratories count 100 or 200.
CELLS = 200
# The page of a review: where it is looked for first.
PORT = 8765
# Curation: the boxes as measured in docs/measurements/curated-training.md, and the largest share of its rows that a
# class may lose.
SPURIOUS: SpuriousChoice = "mask"
BOXES: BoxChoice = "all"
CURATION_LOSS = 0.03
# How many images `select` chooses.
SELECTED = 100
# The share of the images that `adapt` holds out to judge by.
HOLD_OUT = 0.25
# Exports: the format, and the largest loss of score that int8 may cost.
FORMAT: ExportFormat = "onnx"
EXPORT_LOSS = 0.01
# Seconds for each way of a benchmark.
BENCH_SECONDS = 5.0
# Synthetic smears: how many images, and the share of them for the test.
SMEAR_IMAGES = 600
SMEAR_TEST = 0.25
DEMO_OUTPUT = "runs/demo"
DEMO_IMAGES = 2400
DEMO_DEVICE = "cpu"
