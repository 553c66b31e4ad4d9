"""Prediction: speed against the plain way, memory, kills, the cost of int8, and the gain of fusion.

    python benchmarks/predict.py --work DIR [--parts speed rows memory kills scores] [--pairs 5] [--imgsz 384]

Three networks are trained on three quarters of the train images of ../shared/data/wbc5 (copies stay in one part; all
epochs, last weights): YOLO11n with 224 px and two seeds, and with 320 px. They are scored on the labels of the other
quarter. The times are medians of several runs, in which the ways take turns. They are from files to submission.csv, for
the test images of wbc5.
"""

import argparse
import random
import signal
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from _standins import run

from cytoyolo import convert, export, fuse, score, submit, train
from cytoyolo.detector.networks import BACKENDS, open_network
from cytoyolo.detector.preprocessing import to_input
from cytoyolo.files import atomic_file
from cytoyolo.images.info import decode
from cytoyolo.machine import cores
from cytoyolo.tables.table import XYXY

SHARED = Path(__file__).parents[2] / "shared"
DATA, START = SHARED / "data" / "wbc5", SHARED / "weights" / "yolo11n-pose.pt"
MODELS = {"a": (224, 0), "b": (224, 1), "c": (320, 0)}
PROGRAM = Path(sys.executable).with_name("cytoyolo")
TEST, IMAGES = DATA / "test.csv", DATA / "images"
KILLS = 20


def trained(work: Path) -> dict[str, Path]:
    """Return the three networks, and train those that are missing. work/truth.csv holds the labels that were kept
    out."""
    if not (work / "dataset").is_dir():
        convert(DATA / "train.csv", images=IMAGES, dataset="wbc5", val=0.25, output=work / "dataset")
    found = {}
    for name, (side, seed) in MODELS.items():
        found[name] = work / f"run-{name}" / "weights" / "last.pt"
        if not found[name].is_file():
            train(
                work / "dataset", output=work / f"run-{name}", recipe="quick", model=str(START), imgsz=side, seed=seed,
                device="cpu", val=False, patience=0, overwrite=True,
            )  # fmt: skip
    listing, table = pd.read_csv(work / "dataset" / "images.csv"), pd.read_csv(DATA / "train.csv")
    kept_out = table["NAME"].isin(listing.loc[listing["part"] == 1, "NAME"])
    for name, rows in (("truth", table[kept_out]), ("learned", table[~kept_out])):
        numbered = rows.reset_index(drop=True)
        if name == "truth":
            numbered.insert(0, "trustii_id", range(len(numbered)))
            numbered[["trustii_id", "NAME"]].to_csv(work / "rows.csv", index=False)
        numbered.to_csv(work / f"{name}.csv", index=False)
    return found


def exported(work: Path, weights: Path, side: int) -> dict[str, Path]:
    """Return fp32 and int8 exports for both runtimes, made once. int8 is calibrated on images of the training."""
    made = {}
    for kind, int8 in (("fp32", False), ("int8", True)):
        for form in ("onnx", "openvino"):
            path = work / f"{weights.parents[1].name}-{side}-{kind}{'.onnx' if form == 'onnx' else ''}"
            if not path.exists():
                more = {"calibrate": work / "learned.csv", "images": IMAGES, "imgsz": side, "max_loss": 1.0}
                export(weights, output=path, format=form, int8=int8, **(more if int8 else {}))
            made[f"{form} {kind}"] = path
    return made


def speed(work: Path, weights: Path, side: int, pairs: int) -> None:
    """Measure images per second of the plain way, torch and each runtime, in turns, and the time beside the network's
    time."""
    ways = {"plain": weights, "torch fp32": weights, **exported(work, weights, side)}
    images = pd.read_csv(TEST)["NAME"].nunique()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(pairs):
        for name, path in ways.items():
            seconds[name].append(_plain(path, side, work) if name == "plain" else _ours(path, name, side, work))
    plain = statistics.median(seconds["plain"])
    rows = [
        (name, images / statistics.median(times), statistics.median(times) / images * 1000,
         statistics.median(a / b for a, b in zip(seconds["plain"], times, strict=True)))
        for name, times in seconds.items()
    ]  # fmt: skip
    print(f"{images} images of wbc5 test, {side} px, {cores()} cores, medians of {pairs} runs by turns ({plain:.1f} s)")
    print(
        pd.DataFrame(rows, columns=["way", "images a second", "ms an image", "times plain"])
        .round(2)
        .to_string(index=False)
    )
    bare = statistics.median(_bare(ways["onnx fp32"], side) for _ in range(pairs))
    whole = statistics.median(seconds["onnx fp32"]) / images * 1000
    print(f"ONNX Runtime alone, on pixels that lie ready: {bare:.2f} ms an image; all the rest: {whole - bare:.2f} ms")


def show(rows: list[tuple], columns: list[str], digits: int) -> None:
    print(pd.DataFrame(rows, columns=columns).round(digits).to_string(index=False), flush=True)


def _plain(weights: Path, side: int, work: Path) -> float:
    script = Path(__file__).with_name("_plain_prediction.py")
    call = [sys.executable, script, weights, TEST, IMAGES, side, work / "plain.csv"]
    return float(subprocess.run(list(map(str, call)), check=True, capture_output=True, text=True).stdout.split()[-1])


def _ours(weights: Path, name: str, side: int, work: Path) -> float:
    code = (
        "import sys, time; from cytoyolo import submit; import pandas\n"
        "from cytoyolo.detector.engine import engine\n"
        "if sys.argv[2] == 'torch': engine(); import ultralytics.nn.autobackend\n"
        "start = time.perf_counter()\n"
        "submit(sys.argv[1], sys.argv[3], images=sys.argv[4], output=sys.argv[5], imgsz=int(sys.argv[6]), "
        "backend=sys.argv[2], device='cpu', dataset='wbc5', overwrite=True)\n"
        "print(time.perf_counter() - start)"
    )
    call = [sys.executable, "-c", code, weights, name.split()[0], TEST, IMAGES, work / f"{name}.csv", side]
    return float(subprocess.run(list(map(str, call)), check=True, capture_output=True, text=True).stdout.split()[-1])


def _bare(weights: Path, side: int) -> float:
    """Milliseconds per image of the network alone, called as in a prediction."""
    network = open_network(weights, imgsz=side)
    names = pd.read_csv(TEST)["NAME"].unique()[:64]
    pixels = [to_input([decode(IMAGES / name)[0]], side) for name in names]
    with ThreadPoolExecutor(network.calls) as pool:
        list(pool.map(network.run, pixels[:4]))
        start = time.perf_counter()
        list(pool.map(network.run, pixels))
    return (time.perf_counter() - start) / len(pixels) * 1000


def equal_rows(work: Path, weights: Path) -> None:
    """Compare the submissions of the runtimes with the submission of torch, on the test rows of both data sets."""
    for data in (DATA, SHARED / "data" / "pbc3"):
        found = {}
        for backend in BACKENDS:
            output = work / f"rows-{data.name}-{backend}.csv"
            submit(
                weights, data / "test.csv", images=data / "images", output=output, backend=backend, device="cpu",
                overwrite=True,
            )  # fmt: skip
            found[backend] = output
        wanted = pd.read_csv(found["torch"])
        for backend in BACKENDS[1:]:
            rows = pd.read_csv(found[backend])
            same, far = (rows["class"] == wanted["class"]).sum(), (rows[XYXY] - wanted[XYXY]).abs().max(axis=None)
            alike = found[backend].read_bytes() == found["torch"].read_bytes()
            print(f"{data.name}, {backend}: {same:,} of {len(rows):,} rows of the class that torch gives, corners at "
                  f"most {far} px apart, {'the same' if alike else 'other'} bytes", flush=True)  # fmt: skip


def memory(work: Path, weights: Path) -> None:
    """The peak of a prediction of 2,000 and of 20,000 images, at 96 px."""
    files = sorted(IMAGES.iterdir())
    peaks = []
    for count in (2_000, 20_000):
        folder = work / f"links-{count}"
        folder.mkdir(exist_ok=True)
        for number in range(count):
            link = folder / f"{number:05d}.{files[number % len(files)].suffix.lstrip('.')}"
            if not link.is_symlink():
                link.symlink_to(files[number % len(files)].resolve())
        for source in (folder, _table_of(folder, work / f"links-{count}.csv")):
            options = ["--no-pictures"] if source.is_dir() else ["--images", folder]
            output = work / f"memory-{count}{'' if source.is_dir() else '.csv'}"
            call = [
                PROGRAM,
                "predict" if source.is_dir() else "submit",
                weights,
                source,
                "-o",
                output,
                "--imgsz",
                96,
                "--overwrite",
                *options,
            ]
            seconds, peak = run(*call)
            peaks.append(peak)
            print(f"{count:,} images, {'folder' if source.is_dir() else 'table'}: {peak:.0f} MB at the peak, "
                  f"{seconds:.0f} s", flush=True)  # fmt: skip
    print(f"ratio: folder {peaks[2] / peaks[0]:.3f}, table {peaks[3] / peaks[1]:.3f}")


def _table_of(folder: Path, path: Path) -> Path:
    names = sorted(link.name for link in folder.iterdir())
    with atomic_file(path) as temporary:
        pd.DataFrame({"trustii_id": range(len(names)), "NAME": names}).to_csv(temporary, index=False)
    return path


def kills(work: Path, weights: Path, side: int, seed: int) -> None:
    """Kill a prediction (SIGKILL) at random moments, at least once, and start it again until it ends."""
    random.seed(seed)

    def call(output: Path) -> list[str]:
        parts = [
            PROGRAM,
            "submit",
            weights,
            TEST,
            "--images",
            IMAGES,
            "-o",
            output,
            "--imgsz",
            side,
            "--probabilities",
        ]
        return list(map(str, parts))

    whole = work / "whole.csv"
    start = time.perf_counter()
    subprocess.run([*call(whole), "--overwrite"], check=True, capture_output=True)
    seconds = time.perf_counter() - start
    same = killed = again = 0
    while killed < KILLS:
        output = work / f"killed-{killed}.csv"
        for path in (output, output.with_suffix(".detections.csv")):
            path.unlink(missing_ok=True)
        while True:
            process = subprocess.Popen(call(output), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            try:
                process.wait(random.uniform(0.2, seconds * 1.1) if killed < KILLS else None)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
        again += 1
        pairs = [(output, whole), (output.with_suffix(".detections.csv"), whole.with_suffix(".detections.csv"))]
        same += all(one.read_bytes() == other.read_bytes() for one, other in pairs)
    print(f"killed {killed} times in {again} predictions of {seconds:.1f} s: {same} of {again} the same byte for byte")


def scores(work: Path, models: dict[str, Path]) -> None:
    """Score single models, int8, mirrored images and fusions on the rows kept out of the trainings."""
    alone = {f"{name} ({side} px, seed {seed})": [models[name]] for name, (side, seed) in MODELS.items()}
    ways: dict[str, tuple[list[Path], dict[str, object]]] = {name: (paths, {}) for name, paths in alone.items()}
    ways |= {f"{name}, int8 {form}": ([exported(work, models[name], MODELS[name][0])[f"{form} int8"]], {})
             for name in MODELS for form in ("onnx", "openvino")}  # fmt: skip
    ways |= {f"{name} with flips": (paths, {"tta": ["hflip", "vflip"]}) for name, paths in alone.items()}
    ways["a + b + c"] = (list(models.values()), {})
    ways["a + b + c with flips"] = (list(models.values()), {"tta": ["hflip", "vflip"]})
    rows = []
    for name, (paths, options) in ways.items():
        submit(
            paths, work / "rows.csv", images=IMAGES, output=work / "scored.csv", dataset="wbc5", device="cpu",
            probabilities=True, overwrite=True, **options,
        )  # fmt: skip
        rows.append((name, *_scored(work)))
    for name in models:
        submit(
            models[name], work / "rows.csv", images=IMAGES, output=work / f"one-{name}.csv", dataset="wbc5",
            device="cpu", probabilities=True, overwrite=True,
        )  # fmt: skip
    tables = [work / f"one-{name}.detections.csv" for name in models]
    fuse(tables, output=work / "scored.csv", test=work / "rows.csv", dataset="wbc5", overwrite=True)
    rows.append(("a + b + c, from stored tables", *_scored(work)))
    print(
        pd.DataFrame(rows, columns=["model", "score", "from", "to", "GIoU part", "macro F1"])
        .round(4)
        .to_string(index=False)
    )


def _scored(work: Path) -> tuple[float, ...]:
    made = score(work / "truth.csv", work / "scored.csv", dataset="wbc5")
    return made.score, *made.interval, made.giou, made.macro_f1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=["speed", "rows", "memory", "kills", "scores"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--imgsz", type=int, default=384)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    models = trained(work)
    if "speed" in options.parts:
        speed(work, models["a"], options.imgsz, options.pairs)
    if "rows" in options.parts:
        equal_rows(work, models["a"])
    if "memory" in options.parts:
        memory(work, models["a"])
    if "kills" in options.parts:
        kills(work, models["a"], options.imgsz, options.seed)
    if "scores" in options.parts:
        scores(work, models)


if __name__ == "__main__":
    main()
