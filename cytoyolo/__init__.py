"""Detect and classify leukocytes on blood smears with a single YOLO that is trained on clean labels.

Every command of the `cytoyolo` program is also a function of this package with the same name and the same defaults:
`cytoyolo.join`, `audit`, `repair`, `undo`, `apply`, `convert`, `train`, `train_classifier`, `crossval`, `curate`,
`review`, `calibrate`, `ensemble`, `predict`, `submit`, `fuse`, `differential`, `evaluate`, `compare`, `score`, `check`,
`select`, `adapt`, `export_labels`, `export`, `card`, `bench`, `reproduce`, `jobs`, `smear`, `demo`, `info`.
`cytoyolo import` is the function `import_labels`, because `import` is a word of Python.
`cytoyolo.Detector` is a trained network for your own programs.
The types of their results are here too, and so are `CytoyoloError` and `UsageError`, which they raise.
They are imported on first use, because some of them need torch and others must not.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cytoyolo.annotations.table import LabelTable
    from cytoyolo.commands.adapt import Adapted, adapt
    from cytoyolo.commands.apply import apply
    from cytoyolo.commands.audit import Audit, audit
    from cytoyolo.commands.bench import bench
    from cytoyolo.commands.calibrate import CalibratedWeights, calibrate
    from cytoyolo.commands.card import Card, card
    from cytoyolo.commands.check import check
    from cytoyolo.commands.compare import compare
    from cytoyolo.commands.convert import Converted, convert
    from cytoyolo.commands.crossval import crossval
    from cytoyolo.commands.crossval_result import Crossvalidated
    from cytoyolo.commands.curate import CuratedTable, curate
    from cytoyolo.commands.demo import Demonstrated, demo
    from cytoyolo.commands.differential import differential
    from cytoyolo.commands.ensemble import MadeEnsemble, ensemble
    from cytoyolo.commands.evaluate import evaluate
    from cytoyolo.commands.export import Exported, export
    from cytoyolo.commands.export_labels import ExportedLabels, export_labels
    from cytoyolo.commands.fuse import FusedTables, fuse
    from cytoyolo.commands.import_labels import Imported, import_labels
    from cytoyolo.commands.info import info
    from cytoyolo.commands.jobs import jobs
    from cytoyolo.commands.join import Joined, join
    from cytoyolo.commands.predict import Predicted, predict
    from cytoyolo.commands.repair import Repaired, repair
    from cytoyolo.commands.reproduce import Planned, reproduce
    from cytoyolo.commands.review import review
    from cytoyolo.commands.review_export import Reviewed
    from cytoyolo.commands.score import score
    from cytoyolo.commands.select import Selected, select
    from cytoyolo.commands.smear import Smeared, smear
    from cytoyolo.commands.submit import Submitted, submit
    from cytoyolo.commands.train import train
    from cytoyolo.commands.train_classifier import TrainedClassifier, train_classifier
    from cytoyolo.commands.train_one import Trained
    from cytoyolo.commands.undo import undo
    from cytoyolo.detector.classifier_settings import ClassifierSettings
    from cytoyolo.detector.detections import Detections
    from cytoyolo.detector.inference import InferenceSettings
    from cytoyolo.detector.predict import Detector
    from cytoyolo.detector.settings import TrainingSettings
    from cytoyolo.detector.table import DetectionTable
    from cytoyolo.errors import CytoyoloError, UsageError
    from cytoyolo.machine import __version__ as __version__
    from cytoyolo.scoring.agreement import Agreement, Agreements
    from cytoyolo.scoring.check import Finding
    from cytoyolo.scoring.comparison import Comparison
    from cytoyolo.scoring.evaluation import Evaluation
    from cytoyolo.scoring.ranking import Ranking
    from cytoyolo.scoring.score import Score
    from cytoyolo.scoring.slide_differential import Differential
    from cytoyolo.spec import DataSpec

# A training reads images with OpenCV, which has its own limit. It reads this limit from here when it is imported.
if "CYTOYOLO_MAX_PIXELS" in os.environ:
    os.environ.setdefault("CV_IO_MAX_IMAGE_PIXELS", str(2**40))

__all__ = [
    "Adapted",
    "Agreement",
    "Agreements",
    "Audit",
    "CalibratedWeights",
    "Card",
    "ClassifierSettings",
    "Comparison",
    "Converted",
    "Crossvalidated",
    "CuratedTable",
    "CytoyoloError",
    "DataSpec",
    "Demonstrated",
    "DetectionTable",
    "Detections",
    "Detector",
    "Differential",
    "Evaluation",
    "Exported",
    "ExportedLabels",
    "Finding",
    "FusedTables",
    "Imported",
    "InferenceSettings",
    "Joined",
    "LabelTable",
    "MadeEnsemble",
    "Planned",
    "Predicted",
    "Ranking",
    "Repaired",
    "Reviewed",
    "Score",
    "Selected",
    "Smeared",
    "Submitted",
    "Trained",
    "TrainedClassifier",
    "TrainingSettings",
    "UsageError",
    "adapt",
    "apply",
    "audit",
    "bench",
    "calibrate",
    "card",
    "check",
    "compare",
    "convert",
    "crossval",
    "curate",
    "demo",
    "differential",
    "ensemble",
    "evaluate",
    "export",
    "export_labels",
    "fuse",
    "import_labels",
    "info",
    "jobs",
    "join",
    "predict",
    "repair",
    "reproduce",
    "review",
    "score",
    "select",
    "smear",
    "submit",
    "train",
    "train_classifier",
    "undo",
]

# Unless this is set before its first import, ONNX Runtime keeps an id of the device and a queue of events in the user's
# home, and looks up the host that it reports to. Worker processes inherit this setting.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# The module of each name; a command's has the command's name.
_MODULES = {name: f"commands.{name}" for name in __all__} | {
    "Adapted": "commands.adapt",
    "Agreement": "scoring.agreement",
    "Agreements": "scoring.agreement",
    "Audit": "commands.audit",
    "CalibratedWeights": "commands.calibrate",
    "Card": "commands.card",
    "ClassifierSettings": "detector.classifier_settings",
    "Comparison": "scoring.comparison",
    "Converted": "commands.convert",
    "Crossvalidated": "commands.crossval_result",
    "CuratedTable": "commands.curate",
    "CytoyoloError": "errors",
    "DataSpec": "spec",
    "Demonstrated": "commands.demo",
    "DetectionTable": "detector.table",
    "Detections": "detector.detections",
    "Detector": "detector.predict",
    "Differential": "scoring.slide_differential",
    "Evaluation": "scoring.evaluation",
    "Exported": "commands.export",
    "ExportedLabels": "commands.export_labels",
    "Finding": "scoring.check",
    "FusedTables": "commands.fuse",
    "Imported": "commands.import_labels",
    "InferenceSettings": "detector.inference",
    "Joined": "commands.join",
    "LabelTable": "annotations.table",
    "MadeEnsemble": "commands.ensemble",
    "Planned": "commands.reproduce",
    "Predicted": "commands.predict",
    "Ranking": "scoring.ranking",
    "Repaired": "commands.repair",
    "Reviewed": "commands.review_export",
    "Score": "scoring.score",
    "Selected": "commands.select",
    "Smeared": "commands.smear",
    "Submitted": "commands.submit",
    "Trained": "commands.train_one",
    "TrainedClassifier": "commands.train_classifier",
    "TrainingSettings": "detector.settings",
    "UsageError": "errors",
    "__version__": "machine",
}


if not TYPE_CHECKING:  # a checker knows all names from above, and tells wrong ones

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module 'cytoyolo' has no attribute {name!r}")
        return getattr(import_module(f"cytoyolo.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
