"""How long does a reviewer wait for the next cell, and how much memory does a long review need?

    python benchmarks/review.py [--findings 20000] [--decisions 1000] [--work DIR]

A table with this number of findings is made: every cell of painted fields of 640 x 480 pixels, 20 cells each, with a
suggested class. `cytoyolo review` shows it, and a headless Chromium decides by keys, as a person would. The time from
the key to the next cell on the screen is measured in the page. The decision is on the disk by then. The memory is the
resident memory of the server's process and of the page (its JavaScript heap). It needs the extras `review` and `dev`.
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

PROGRAM = Path(sys.executable).with_name("cytoyolo")
WIDTH, HEIGHT, CELLS = 640, 480, 20
CODES = ("BA", "EO", "LY", "MO", "PNN")
# Waits in the page until another item is shown, and returns the milliseconds since the key.
TIMED = """async ([key]) => {
  const before = document.body.dataset.place, began = performance.now();
  document.getElementById('boxes').dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
  while (document.body.dataset.place === before || document.body.dataset.busy === 'yes') {
    await new Promise(done => setTimeout(done, 1));
  }
  await new Promise(done => requestAnimationFrame(() => done()));
  return performance.now() - began;
}"""


def paint(folder: Path, findings: int) -> None:
    """Write images, labels.csv and findings.csv as `curate` names its columns."""
    (folder / "images").mkdir(parents=True)
    random = np.random.default_rng(0)
    labels, found = ["NAME,x1,y1,x2,y2,class"], ["line,NAME,rule,value,action,detail,fold,confidence,iou"]
    suggested = ["line,NAME,class,suggested,margin,doubt,score,fold,confidence,iou"]
    for number in range(-(-findings // CELLS)):
        field = random.normal((214, 222, 236), 6, (HEIGHT, WIDTH, 3))
        image = np.clip(field, 0, 255).astype(np.uint8)
        for at in range(CELLS):
            x, y = 20 + at % 5 * 122, 10 + at // 5 * 117
            cv2.circle(image, (x + 50, y + 50), 46, tuple(random.integers(90, 200, 3).tolist()), -1)
            cv2.circle(image, (x + 50, y + 50), 25, (120, 30, 60), -1)
            code, other = CODES[at % 5], CODES[(at + 1) % 5]
            labels.append(f"{number}.jpg,{x},{y},{x + 100},{y + 100},{code}")
            found.append(f"{len(labels)},{number}.jpg,wrong-class,,review,labelled {code},0,0.9,0.8")
            suggested.append(f"{len(labels)},{number}.jpg,{code},{other},0.5,2,0.1,0,0.9,0.8")
        cv2.imwrite(str(folder / "images" / f"{number}.jpg"), image)
    order = random.permutation(len(found) - 1) + 1  # neighbours in the list are in different images
    found[1:] = [found[at] for at in order]
    for name, lines in {"labels.csv": labels, "c.findings.csv": found, "c.suggestions.csv": suggested}.items():
        (folder / name).write_text("\n".join(lines) + "\n")


def served(folder: Path) -> tuple["subprocess.Popen[str]", str, float]:
    """Start the review. Returns its process, its address, and the seconds until it answered."""
    call = [PROGRAM, "review", "labels.csv", "--images", "images", "--findings", "c.findings.csv", "--dataset", "wbc5"]
    began = time.perf_counter()
    process = subprocess.Popen([*call, "--no-browser"], cwd=folder, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if address := re.search(r"http://\S+token=\S+", line):
            return process, address[0], time.perf_counter() - began
    raise SystemExit("the review did not start")


def decide(
    address: str, process: "subprocess.Popen[str]", decisions: int
) -> tuple[np.ndarray, list[tuple[int, float, float]]]:
    """Decide by keys. Returns the milliseconds of each decision, and (decisions, MB of the server, MB of the page)."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.goto(address, timeout=120_000)
        page.wait_for_selector('body[data-place]:not([data-busy="yes"])', timeout=120_000)
        session = page.context.new_cdp_session(page)
        waits, memory = [], [(0, *_megabytes(process, session))]
        for number in range(decisions):
            waits.append(page.evaluate(TIMED, ["akis3"[number % 5]]))
            if (number + 1) % (decisions // 5) == 0:
                memory.append((number + 1, *_megabytes(process, session)))
        browser.close()
    return np.array(waits), memory


def _megabytes(process: "subprocess.Popen[str]", session: Any) -> tuple[float, float]:
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    return psutil.Process(process.pid).memory_info().rss / 1e6, heap / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, default=20_000)
    parser.add_argument("--decisions", type=int, default=1_000)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        folder = Path(name)
        paint(folder, given.findings)
        process, address, seconds = served(folder)
        try:
            waits, memory = decide(address, process, given.decisions)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        print(f"{given.findings:,} findings, begun in {seconds:.1f} s; {given.decisions:,} decisions by keys")
        print("ms to the next cell: " + ", ".join(f"{np.quantile(waits, q):.0f} ({label})" for q, label in QUANTILES))
        for count, server, page in memory:
            print(f"after {count:,} decisions: server {server:.0f} MB, page {page:.1f} MB")


QUANTILES = ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"), (1.0, "longest"))

if __name__ == "__main__":
    main()
