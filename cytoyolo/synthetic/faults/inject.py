"""Put faults of every kind into copies of a label table and its images, and list them."""

import math
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image

from cytoyolo.errors import UsageError, check_seed
from cytoyolo.spec import DataSpec
from cytoyolo.synthetic.faults.faulty_image import Fault, Host, Setting, Spread, is_sound_jpeg, spread
from cytoyolo.synthetic.faults.registry import Kind, kinds
from cytoyolo.synthetic.faults.stops import ROWS, Listed, write_stops
from cytoyolo.tables.dialect import PLAIN
from cytoyolo.tables.table import LABEL_ROLES, TEST_ROLES, read_table, write_table

MAX_RATE = 0.5
TRAIN, FAULTS, STOPS = "train.csv", "faults.csv", "stops"
# A class of fewer rows has no spread of its own.
_MIN_ROWS = 20


def check_rate(rate: float, images: int, wanted: Sequence[Kind]) -> None:
    """Raise UsageError if the share of faulty images is impossible, or too small for one fault of each kind."""
    if not 0 < rate <= MAX_RATE:
        raise UsageError("faults", rate, f"give more than 0 and at most {MAX_RATE}")
    if round(rate * images) < len(wanted):
        raise UsageError(
            f"{images:,} images with a share of faults of {rate} can't have one of each of the {len(wanted)} kinds; "
            f"give at least {math.ceil(len(wanted) / rate):,} images, or a larger share."
        )


def inject(
    labels: Path, images: Path, output: Path, *, spec: DataSpec, rate: float, seed: int, test: Path | None = None
) -> pd.DataFrame:
    """Write images/, train.csv (faulty), faults.csv and stops/ into a folder.

    Faults are put into good JPEG files with whole, good boxes. Everything else in the table stays as it is. No image
    and no row gets two faults. The inputs are only read. There is a kind of fault for each rule of the audit, except
    rules about a whole set (such as rare-class), about rows without a label, and about sound files. For `leak`, copies
    of test images are added to the table.

    Parameters
    ----------
    labels, images : Path
        The label table and its image folder.
    output : Path
        The folder to write into.
    spec : DataSpec
        The data set.
    rate : float
        The share of the images that get a fault. All kinds of faults are about equally frequent.
    seed : int
        Seed of all random choices.
    test : Path, optional
        The test table.

    Returns
    -------
    DataFrame
        The faults:

        - table: "train.csv" or "stops/...",
        - line: the line in the table (the header is line 1), none for an image without a row,
        - NAME: the image's name as it is in the table,
        - rule, detail: the rule that should find the fault, and what is wrong,
        - truth: the row as it should be after a repair, in the coordinates of the picture in images/ (which may be
          moved or extended). It is empty if the row should be dropped or stay as it is.

        A fault that changes or drops several rows of an image is listed for each of them; other faults are listed once.

    Raises
    ------
    UsageError
        If there are too few images for one fault of each kind.
    """
    check_seed(seed)
    table = read_table(labels, spec, LABEL_ROLES)
    tested = [] if test is None else list(dict.fromkeys(read_table(test, spec, TEST_ROLES)["image"]))
    if not images.is_dir():
        raise UsageError(f"{images}: no such folder; give the folder of the images.")
    (output / "images").mkdir()
    # The kinds depend on whether names that differ only in case are two files on this file system.
    wanted = kinds(test=bool(tested), case=not (output / "IMAGES").exists())
    count = table["image"].nunique()
    check_rate(rate, count, wanted)
    work = _Work(table, images, spec, seed, tested)
    made = list(work.faults(wanted, round(rate * count)))
    lines, listed = _lines(table, made)
    header = ",".join(spec.column_list(*LABEL_ROLES))
    (output / TRAIN).write_bytes("".join(f"{line}\n" for line in [header, *lines]).encode())
    _write_images(images, output / "images", [fault for _, fault in made])
    listed += write_stops(output / STOPS, work.first_sound(ROWS), spec, np.random.default_rng([seed, 2]))
    columns = ["table", "line", spec.columns["image"], "rule", "detail", "truth"]
    faults = pd.DataFrame(listed, columns=columns).astype({"line": "Int64"})
    write_table(output / FAULTS, faults)
    return faults


@dataclass
class _Work:
    """The images of a table, and which of them have no fault yet."""

    table: pd.DataFrame
    images: Path
    spec: DataSpec
    seed: int
    tested: list[str]
    used: set[str] = field(default_factory=set)
    soundness: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = [tuple(row) for row in self.table[list(LABEL_ROLES)].to_numpy().tolist()]
        places: dict[str, list[int]] = {}
        for row, (name, *_) in enumerate(values):
            places.setdefault(name, []).append(row)
        existing, tested = {path.name for path in self.images.iterdir()}, set(self.tested)
        self.hosts = [
            Host(self.images / name, tuple(at), tuple(values[row] for row in at))
            for name, at in places.items()
            if name in existing and name not in tested
        ]
        self.stems = {PurePosixPath(name).stem.casefold() for name in (*existing, *places)}
        rng = np.random.default_rng([self.seed, 0])
        self.order = [self.hosts[place] for place in rng.permutation(len(self.hosts))]
        self.tests = iter([self.tested[place] for place in rng.permutation(len(self.tested))])

    def first_sound(self, count: int) -> list[Host]:
        """Return the first good images of the table, with at least `count` rows together if the table has that many."""
        hosts: list[Host] = []
        for host in self.hosts:
            if sum(len(chosen.rows) for chosen in hosts) >= count and len(hosts) >= count // 2:
                break
            if self._is_sound(host):
                hosts.append(host)
        return hosts

    def faults(self, wanted: Sequence[Kind], total: int) -> Iterator[tuple[Kind, Fault]]:
        """Yield faults of each kind in turn, until there are `total` faults or no image fits any more."""
        setting, count = self._setting(), Counter[str]()
        full: set[str] = set()
        while count.total() < total and len(full) < len(wanted):
            for index, kind in enumerate(wanted):
                if count.total() == total:
                    return
                if kind.rule in full or count[kind.rule] == kind.limit:
                    full.add(kind.rule)
                    continue
                made = self._one(kind, index, count[kind.rule], setting)
                if made is None and not count[kind.rule]:
                    raise UsageError(f"no image without a fault fits the fault '{kind.rule}'; give more images.")
                if made is None:
                    full.add(kind.rule)
                    continue
                count[kind.rule] += 1
                yield kind, made

    def _one(self, kind: Kind, index: int, turn: int, setting: Setting) -> Fault | None:
        """Put the next possible variant of a kind into an image; None if no image fits."""
        for step in range(len(kind.variants)):
            variant = kind.variants[(turn + step) % len(kind.variants)]
            rng = np.random.default_rng([self.seed, 1, index, turn, step])
            for host in self._free():
                made = kind.make(host, variant, rng, setting)
                if made is not None:
                    self.used |= {self.table["image"].iloc[row] for row in made.rows}
                    return made
        return None

    def _free(self) -> Iterator[Host]:
        return (host for host in self.order if host.name not in self.used and self._is_sound(host))

    def _is_sound(self, host: Host) -> bool:
        if host.name not in self.soundness:
            self.soundness[host.name] = host.is_sound(self.spec)
        return self.soundness[host.name]

    def _setting(self) -> Setting:
        xyxy = self.table[["x1", "y1", "x2", "y2"]].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        side = xyxy[:, 2:] - xyxy[:, :2]
        usable = (side > 0).all(axis=1)
        code = self.table["class"].to_numpy()
        logs = np.log(np.where(usable[:, None], side, 1))
        areas, aspects, typical = dict[str, Spread](), dict[str, Spread](), dict[str, tuple[float, float]]()
        for one in self.spec.codes:
            members = usable & (code == one)
            members = members if members.sum() >= _MIN_ROWS else usable
            areas[one] = spread(logs[members].sum(axis=1))
            aspects[one] = spread(logs[members, 0] - logs[members, 1])
            typical[one] = (float(np.median(side[members, 0])), float(np.median(side[members, 1])))
        return Setting(
            self.spec, self._another, self._next_test, self._new_name, areas, aspects, typical, self._image_area
        )

    def _another(self, host: Host) -> Host | None:
        return next((one for one in self._free() if one is not host and one.path.suffix == host.path.suffix), None)

    def _next_test(self) -> Path | None:
        paths = (self.images / name for name in self.tests)
        return next((path for path in paths if is_sound_jpeg(path)), None)

    def _new_name(self, like: str) -> str:
        stem, extension = PurePosixPath(like).stem, PurePosixPath(like).suffix
        number = next(number for number in range(2, 10**6) if f"{stem}-{number}".casefold() not in self.stems)
        self.stems.add(f"{stem}-{number}".casefold())
        return f"{stem}-{number}{extension}"

    def _image_area(self) -> Spread:
        """The spread of log image area."""
        areas = []
        for host in self.hosts:
            try:
                areas.append(math.log(math.prod(host.size)))
            except (OSError, ImportError, Image.DecompressionBombError):  # no image; see decoding.py for the second
                continue
        return spread(np.array(areas))


def _lines(table: pd.DataFrame, made: Sequence[tuple[Kind, Fault]]) -> tuple[list[str], list[Listed]]:
    """Return the lines of the faulty table, without the header, and its faults."""
    by_row = {row: (kind, fault, lines) for kind, fault in made for row, lines in fault.rows.items()}
    texts: list[str] = []
    listed: list[Listed] = []
    for row, values in enumerate(table[list(LABEL_ROLES)].to_numpy().tolist()):
        if row not in by_row:
            texts.append(PLAIN.join(values))
            continue
        kind, fault, lines = by_row[row]
        for line in lines:
            texts.append(line.text)
            if line.listed:
                listed.append((TRAIN, len(texts) + 1, line.name, kind.rule, fault.detail, line.truth))
    listed += [(TRAIN, None, fault.name, kind.rule, fault.detail, "") for kind, fault in made if fault.name]
    return texts, listed


def _write_images(source: Path, target: Path, made: Sequence[Fault]) -> None:
    written = {name: data for fault in made for name, data in fault.files.items()}
    gone = {name for fault in made for name in fault.gone}
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name not in gone and path.name not in written:
            shutil.copyfile(path, target / path.name)
    for name, data in written.items():
        (target / name).write_bytes(data)
