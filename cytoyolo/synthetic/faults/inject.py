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
from cytoyolo.synthetic.faults.faulty_image import Host, Made, Setting, Spread, is_sound_jpeg, spread
from cytoyolo.synthetic.faults.registry import Kind, kinds
from cytoyolo.synthetic.faults.stops import ROWS, Listed, write_stops
from cytoyolo.tables.dialect import PLAIN
from cytoyolo.tables.table import LABEL_ROLES, TEST_ROLES, read_table, write_table

MAX_RATE = 0.5
TRAIN, FAULTS, STOPS = "train.csv", "faults.csv", "stops"
# A class of fewer rows has no spread of its own.
_MIN_ROWS = 20


def check_rate(rate: float, images: int, wanted: Sequence[Kind]) -> None:
    """Raise UsageError for a share of images that can't be given faults, or not one of each kind."""
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
    """Write images/, train.csv (faulty), faults.csv and stops/ into the folder `output`; return the faults.

    `rate` is the share of images of the table that get a fault, spread evenly over the kinds; none gets two, nor does a
    row. Faults go into sound JPEGs with whole, sound boxes; what else the table holds stays as it is. The inputs are
    only read. Of the audit's rules all have their kind but many-boxes, rare-class and imbalance, which are facts of a
    whole set.

    The faults have the columns table ("train.csv" or "stops/..."), line (the header is 1; none for an image without a
    row), NAME (as it stands), rule, detail and truth: the row as it should be after repair, empty where it should be
    dropped and where a repair changes no row. A fault that changes or drops an image's rows is listed with each of
    them, any other once. Coordinates of a truth are in the picture as it is in images/, which for overhang and
    boxes-unturned may be moved or extended. For leak, copies of images that `test` names get into the table. Raises
    UsageError where there are too few images for a fault of each kind.
    """
    check_seed(seed)
    table = read_table(labels, spec, LABEL_ROLES)
    tested = [] if test is None else list(dict.fromkeys(read_table(test, spec, TEST_ROLES)["image"]))
    if not images.is_dir():
        raise UsageError(f"{images}: no such folder; give the folder of the images.")
    (output / "images").mkdir()
    # The list of kinds depends on whether the file system takes names that differ only in case for two.
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
    """The images of a table, and which of them still are without a fault."""

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
        """The first images of the table that are sound, with so many rows in all or what there is."""
        found: list[Host] = []
        for host in self.hosts:
            if sum(len(one.rows) for one in found) >= count and len(found) >= count // 2:
                break
            if self._is_sound(host):
                found.append(host)
        return found

    def faults(self, wanted: Sequence[Kind], total: int) -> Iterator[tuple[Kind, Made]]:
        """One fault of each kind in turn, until there are `total` or no image takes another."""
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
                    raise UsageError(f"no image without a fault takes one of '{kind.rule}'; give more images.")
                if made is None:
                    full.add(kind.rule)
                    continue
                count[kind.rule] += 1
                yield kind, made

    def _one(self, kind: Kind, index: int, turn: int, setting: Setting) -> Made | None:
        """The next variant of a kind that an image takes."""
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


def _lines(table: pd.DataFrame, made: Sequence[tuple[Kind, Made]]) -> tuple[list[str], list[Listed]]:
    """The lines of the faulty table, without the header, and its faults."""
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


def _write_images(source: Path, target: Path, made: Sequence[Made]) -> None:
    written = {name: data for fault in made for name, data in fault.files.items()}
    gone = {name for fault in made for name in fault.gone}
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name not in gone and path.name not in written:
            shutil.copyfile(path, target / path.name)
    for name, data in written.items():
        (target / name).write_bytes(data)
