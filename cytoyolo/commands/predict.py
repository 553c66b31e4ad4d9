"""`predict`: submission rows for a test table, or detections, pictures and the differential for everyday images."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import pandas as pd

from cytoyolo import console
from cytoyolo.annotations.decoding import EXTENSIONS
from cytoyolo.annotations.images import check_image_folder
from cytoyolo.classes import DataSpec, load_spec, matching_spec
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.predict import DEFAULT_IOU, Detector, Found
from cytoyolo.errors import CytoyoloError, UsageError, listed
from cytoyolo.files import check_folder, new_folder
from cytoyolo.report.differential import draw_differential
from cytoyolo.report.pictures import annotate
from cytoyolo.submission.check import row_faults
from cytoyolo.submission.differential import differential
from cytoyolo.submission.rows import detection_table, fill
from cytoyolo.tables import SUBMISSION_ROLES, TEST_ROLES, check_writable, read_table, refuse, write_table

MAKER = "predict"
SUBMISSION_CONF = 1e-5  # every test row wants a box, so nearly all are kept; the third place's setting
EVERYDAY_CONF = 0.25
MAX_JPEG_SIDE = 65_500


@dataclass(frozen=True)
class Predicted:
    """What `predict` made: the output, images read, boxes or rows written, rows left to the fallback, bad images."""

    output: Path
    images: int
    rows: int
    fallback_rows: int
    failures: dict[str, str]
    differential: pd.DataFrame | None = None


@dataclass
class _Collected:
    """Detections of many images, gathered one by one."""

    names: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    found: list[Detections] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, one: Found, count: int) -> None:
        if one.problem:
            self.failures[one.path.name] = one.problem
            return
        self.names.append(one.path.name)
        self.sizes.append((one.image.shape[1], one.image.shape[0]))
        self.found.append(one.detections.take(slice(count)))

    def table(self, codes: tuple[str, ...]) -> pd.DataFrame:
        return detection_table(self.names, self.sizes, self.found, codes)


def predict(
    weights: str | Path,
    source: str | Path,
    *,
    output: str | Path,
    images: str | Path | None = None,
    conf: float | None = None,
    iou: float = DEFAULT_IOU,
    imgsz: int | None = None,
    batch: int | None = None,
    device: str = "auto",
    dataset: str | Path | None = None,
    fallback: str | None = None,
    pictures: bool = True,
    overwrite: bool = False,
) -> Predicted:
    """Predict with trained weights.

    With a test table (.csv) as source and its image folder: one submission row a test row, in its order, as METHOD of
    the third place has it (confidence from 1e-5, class-agnostic NMS at IoU 0.4, best boxes first, `fallback` class for
    a row without a box). With an image or a folder: a folder with detections.csv, annotated pictures and the leukocyte
    differential (confidence from 0.25). Bad images are listed in the result and beside the output; the others go on.
    dataset says whose classes the weights must have; by default the description that came with them is taken.
    Raises UsageError for a wrong call and CytoyoloError for weights or tables that can't be used.
    """
    source, output = Path(source), Path(output)
    is_table = source.suffix.lower() == ".csv"
    _check_call(source, is_table, {"--images": images, "--fallback": fallback}, {"--conf": conf, "--iou": iou})
    wanted = None if dataset is None else load_spec(dataset)
    settings: dict[str, Any] = {"iou": iou, "imgsz": imgsz, "device": device, "batch": batch}
    if is_table:
        check_image_folder(Path(images or ""))
        detector = Detector(weights, conf=SUBMISSION_CONF if conf is None else conf, **settings)
        spec = _describe(detector, wanted, weights)
        return _predict_table(detector, spec, source, output, Path(images or ""), fallback, overwrite)
    paths = _image_files(source)
    check_folder(output, MAKER, overwrite, inputs=(source, weights))
    detector = Detector(weights, conf=EVERYDAY_CONF if conf is None else conf, **settings)
    spec = _describe(detector, wanted, weights) or _plain_spec(detector.codes)
    return _predict_images(detector, spec, source, paths, output, pictures, overwrite)


def _check_call(source: Path, is_table: bool, table_only: dict[str, object], shares: dict[str, float | None]) -> None:
    if is_table and table_only["--images"] is None:
        raise UsageError("a test table needs --images, the folder of its images.")
    for name, value in table_only.items():
        if value is not None and not is_table:
            raise UsageError(f"{name} goes with a test table (.csv), and {source} is none.")
    for name, share in shares.items():
        if share is not None and not 0 <= share <= 1:
            raise UsageError(f"{name} is {share}; give a number from 0 to 1.")


def _describe(detector: Detector, wanted: DataSpec | None, weights: str | Path) -> DataSpec | None:
    """The data set the weights are for: the one asked for, the one they carry, or a shipped one with their classes."""
    if wanted is None:
        return detector.spec or matching_spec(detector.codes)
    if set(wanted.codes) != set(detector.codes):
        raise CytoyoloError(
            f"{weights} knows the classes {listed(list(detector.codes), 6)}, and data set '{wanted.name}' has "
            f"{listed(list(wanted.codes), 6)}; give weights that were trained for it."
        )
    return wanted


def _predict_table(
    detector: Detector,
    spec: DataSpec | None,
    source: Path,
    output: Path,
    images: Path,
    fallback: str | None,
    overwrite: bool,
) -> Predicted:
    fallback = _fallback(fallback, spec, detector.codes)
    spec = spec or load_spec("cytologia")  # for the challenge's column names only
    failures = output.with_suffix(".failures.csv")
    check_writable(output, spec.column_list(*SUBMISSION_ROLES), overwrite)
    check_writable(failures, [spec.columns["image"], "problem"], overwrite)
    test = read_table(source, spec, TEST_ROLES)
    refuse(source, row_faults(test, spec), "mend or delete them")
    wanted = Counter(test["image"])
    detector.max_detections = max(detector.max_detections, *wanted.values())
    collected = _collect(detector, [images / name for name in wanted], wanted)
    if len(collected.failures) == len(wanted):
        raise CytoyoloError(
            f"none of the {len(wanted):,} images of {source} can be used ({_failed(collected)}); check --images."
        )
    rows, unfilled = fill(test, collected.table(detector.codes), fallback)
    write_table(output, rows.rename(columns=spec.columns), overwrite)
    failures.unlink(missing_ok=True)  # that of the output just replaced
    if collected.failures:
        write_table(failures, _failure_table(collected.failures, spec))
    return Predicted(output, len(collected.names), len(rows), unfilled, collected.failures)


def _predict_images(
    detector: Detector, spec: DataSpec, source: Path, paths: list[Path], output: Path, pictures: bool, overwrite: bool
) -> Predicted:
    with new_folder(output, MAKER, overwrite) as folder:
        collected = _Collected()
        if pictures:
            (folder / "annotated").mkdir()
        for one in _tracked(detector.detect_files(paths), len(paths)):
            collected.add(one, len(one.detections))
            if pictures and not one.problem:
                _write_picture(folder / "annotated" / one.path.name, one, detector.codes)
        if not collected.names:
            raise CytoyoloError(f"none of the {len(paths):,} files of {source} can be used ({_failed(collected)}).")
        rows = collected.table(detector.codes)
        counts = differential(rows["class"], spec)
        draw_differential(
            counts, folder / "differential.png", f"{len(rows):,} cells in {len(collected.names):,} images"
        )
        counts.to_csv(folder / "differential.csv", index=False, lineterminator="\n")
        named = rows.rename(columns={**spec.columns, "second": "second_class"})
        named.to_csv(folder / "detections.csv", index=False, lineterminator="\n")
        if collected.failures:
            write_table(folder / "failures.csv", _failure_table(collected.failures, spec))
    return Predicted(output, len(collected.names), len(rows), 0, collected.failures, counts)


def _collect(detector: Detector, paths: list[Path], wanted: Mapping[str, int]) -> _Collected:
    """Detections of all files, only as many an image as its `wanted` rows."""
    collected = _Collected()
    for one in _tracked(detector.detect_files(paths), len(paths)):
        collected.add(one, wanted[one.path.name])
    return collected


def _tracked(found: Iterable[Found], total: int) -> Iterator[Found]:
    with console.progress() as progress:
        yield from progress.track(found, total, description="Predict")


def _image_files(source: Path) -> list[Path]:
    """The image itself, or all files of a folder with an image's extension, by name."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UsageError(f"{source}: no such file or folder; give a test table (.csv), an image or a folder of images.")
    paths = sorted(path for path in source.iterdir() if path.suffix.lower() in EXTENSIONS)
    if not paths:
        raise CytoyoloError(f"{source} holds no images ({', '.join(sorted(EXTENSIONS))}); give a folder that does.")
    return paths


def _fallback(wanted: str | None, spec: DataSpec | None, codes: tuple[str, ...]) -> str:
    """The class of a row without a box: the one asked for, else that of the data set."""
    if wanted is not None:
        if wanted not in codes:
            raise UsageError(
                f"--fallback is '{wanted}', and the weights know {listed(list(codes), 30)}; give one of these."
            )
        return wanted
    if spec is None:
        raise UsageError("these weights don't say which class a row without a box gets; give --fallback CLASS.")
    return spec.fallback


def _plain_spec(codes: tuple[str, ...]) -> DataSpec:
    """What is known of weights that were trained elsewhere, for classes that no data set of this package has."""
    challenge = load_spec("cytologia")
    return DataSpec("unknown", codes, codes, (True,) * len(codes), codes[0], challenge.columns)


def _write_picture(path: Path, one: Found, codes: tuple[str, ...]) -> None:
    rows = detection_table([one.path.name], [(one.image.shape[1], one.image.shape[0])], [one.detections], codes)
    extension = ".jpg" if max(one.image.shape) <= MAX_JPEG_SIDE else ".png"
    target = path.with_suffix(extension)
    if target.exists():  # a.png beside a.jpg
        target = path.with_name(f"{path.name}{extension}")
    encoded = cv2.imencode(extension, annotate(one.image, rows, codes))[1]
    target.write_bytes(encoded.tobytes())


def _failed(collected: _Collected) -> str:
    return listed([f"{name} {problem}" for name, problem in collected.failures.items()], 3)


def _failure_table(failures: dict[str, str], spec: DataSpec) -> pd.DataFrame:
    return pd.DataFrame({spec.columns["image"]: list(failures), "problem": list(failures.values())})
