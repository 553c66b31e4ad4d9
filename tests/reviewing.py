"""Reviews for tests: small images with painted cells, a review of them, and its server in a thread."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.review_cells import begin_cells
from cytoyolo.reviewing.access import Access, listen
from cytoyolo.reviewing.decisions import Outcome
from cytoyolo.reviewing.desk import Desk
from cytoyolo.reviewing.gallery import Gallery
from cytoyolo.reviewing.items import Item, examples
from cytoyolo.reviewing.pictures import PictureMaker
from cytoyolo.reviewing.server import Guard, application, server_of
from cytoyolo.reviewing.store import About, Store, create
from cytoyolo.spec import load_spec

SPEC = load_spec("wbc5")
WIDTH, HEIGHT = 200, 160


def painted(folder: Path, count: int, suffix: str = "png") -> str:
    """Paint images with two cells each into a folder. Returns the label table."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["NAME,x1,y1,x2,y2,class"]
    for number in range(count):
        image = np.full((HEIGHT, WIDTH, 3), (214, 222, 236), np.uint8)
        for at, left in enumerate((20, 110)):
            code = SPEC.codes[(number + at) % len(SPEC.codes)]
            top = 30 + number % 20
            cv2.circle(image, (left + 30, top + 30), 28, (150, 90, 60 + 30 * (number % 5)), -1)
            cv2.circle(image, (left + 30, top + 30), 14, (120, 30, 60), -1)
            rows.append(f"{number}.{suffix},{left},{top},{left + 60},{top + 60},{code}")
        cv2.imwrite(str(folder / f"{number}.{suffix}"), image)
    return "\n".join(rows) + "\n"


def suspected(table: LabelTable, count: int) -> list[Item]:
    """Items that suggest another class for the first label of each image."""
    items = []
    for row in range(0, 2 * count, 2):
        other = SPEC.codes[(SPEC.ids[str(table.text["class"][row])] + 1) % len(SPEC.codes)]
        text = f"wrong-class: labelled {table.text['class'][row]}, looks like {other}, 0.61 more probable"
        items.append(
            Item(f"row:{row}", str(table.text["image"][row]), ("wrong-class",), (text,), Outcome("label", other))
        )
    return items


def made_review(folder: Path, count: int = 12, items: Sequence[Item] | None = None, more: str = "") -> Path:
    """Make a review of painted images, whose table has more lines behind its own. Returns its file."""
    text = painted(folder / "images", count) + more
    (folder / "labels.csv").write_text(text)
    table = LabelTable.parse(folder / "labels.csv", text.encode(), SPEC)
    chosen = suspected(table, count) if items is None else list(items)
    about = About(
        "labels", str(folder / "labels.csv"), table.sha256, str(folder / "images"), "", "", SPEC, text.encode(),
        examples(table, chosen, {}), {f"{number}.png": f"slide {number % 2 + 1}" for number in range(count)},
    )  # fmt: skip
    create(folder / "r.sqlite", about, chosen)
    return folder / "r.sqlite"


def made_gallery(folder: Path, count: int = 6) -> Path:
    """Make a review of a prediction: images in two folders, which are slides. Returns its file."""
    text = painted(folder / "images" / "s1", count) + painted(folder / "images" / "s2", count).split("\n", 1)[1]
    rows = ["NAME,x1,y1,x2,y2,class,confidence,second_class,margin"]
    for at, line in enumerate(text.splitlines()[1:]):
        rows.append(f"s{1 + at // (2 * count)}/{line},{0.4 + at % 50 / 100:.2f},LY,0.1")
    (folder / "results").mkdir()
    (folder / "results" / "detections.csv").write_text("\n".join(rows) + "\n")
    about = begin_cells(folder / "results", folder / "images", None, "wbc5")
    create(folder / "cells.sqlite", about, [])
    return folder / "cells.sqlite"


@dataclass
class Served:
    """A review that is served: its application, access and store."""

    app: Guard
    access: Access
    store: Store
    desk: Desk


def opened_review(path: Path, reviewer: str = "ann", password: str = "", port: int = 8765) -> Served:
    """Open a review as the command does, without a server."""
    store = Store(path)
    folder = Path(store.about.images)
    names = [file.relative_to(folder).as_posix() for file in folder.rglob("*.*")]
    pictures = PictureMaker(folder, dict(zip(names, names, strict=True)))
    desk = Gallery(store, pictures) if store.about.kind == "cells" else Desk(store, pictures)
    access = Access(f"127.0.0.1:{port}", frozenset({f"127.0.0.1:{port}"}), reviewer, password)
    return Served(application(desk, access), access, store, desk)


@contextmanager
def served(path: Path, reviewer: str = "ann", password: str = "") -> Iterator[Served]:
    """Serve a review in a thread."""
    bound, address, _ = listen(None, 18_765)
    made = opened_review(path, reviewer, password, int(address.rpartition(":")[2]))
    server = server_of(made.app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield made
    finally:
        server.should_exit = True
        thread.join(10)
        bound.close()
        made.desk.pictures.close()
        made.store.close()
