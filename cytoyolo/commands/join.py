"""`join`: label tables of several sources, with their images, become one label table with one image folder."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from cytoyolo import console
from cytoyolo.annotations.corners import refuse_other_forms
from cytoyolo.annotations.folder_images import FolderImages
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.join_classes import coded, joined_spec, shared_codes, with_codes
from cytoyolo.commands.join_sources import Source, read_sources
from cytoyolo.errors import CytoyoloError, listed, quoted
from cytoyolo.files import check_folder, new_folder, write_text
from cytoyolo.images.folder import match_in_folder
from cytoyolo.machine import __version__
from cytoyolo.spec import COLUMNS, DataSpec, read_spec
from cytoyolo.tables.table import LABEL_ROLES, TEST_ROLES, fingerprint, line, note_form, read_table, refuse, write_table
from cytoyolo.yolo.groups import grouping, read_groups
from cytoyolo.yolo.staging import links_work

MAKER = "join"
LABELS, GROUPS, TEST, DATASET, MANIFEST, IMAGES = (
    "labels.csv", "groups.csv", "test.csv", "dataset.yaml", "sources.json", "images",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Joined:
    """The result of `join`.

    Attributes
    ----------
    folder : Path
        The folder that was made.
    images, rows, groups, test_images : int
        How many images the labels name, and how many rows, groups and test images there are.
    sources : DataFrame
        For each source: `source`, `images`, `rows`, `groups`, `test_images`, `missing` (names that have no file).
    classes : DataFrame
        For each class the number of rows in each source: `class` and a column for each source.
    """

    folder: Path
    images: int
    rows: int
    groups: int
    test_images: int
    sources: pd.DataFrame
    classes: pd.DataFrame


@dataclass(frozen=True)
class _Part:
    """What a source gives: rows of the three tables under their new names, and the file of each image."""

    source: Source
    spec: DataSpec
    labels: pd.DataFrame
    groups: pd.DataFrame
    test: pd.DataFrame
    files: Mapping[str, Path]

    def with_codes(self, other: Mapping[str, str]) -> "_Part":
        """Return the part with other codes of some classes."""
        classes = self.labels["class"].map(lambda code: other.get(code, code))
        return replace(self, spec=with_codes(self.spec, other), labels=self.labels.assign(**{"class": classes}))

    def record(self) -> dict[str, object]:
        names = set(self.labels["image"]) | set(self.test["image"])
        return {
            "source": self.source.name,
            "images": int(self.labels["image"].nunique()),
            "rows": len(self.labels),
            "groups": int(self.groups["group"].nunique()),
            "test_images": int(self.test["image"].nunique()),
            "missing": len(names - self.files.keys()),
        }


def join(
    sources: str | Path | Mapping[str, Mapping[str, str | Path]],
    *,
    output: str | Path,
    copy: bool = False,
    overwrite: bool = False,
) -> Joined:
    """Join label tables of several sources (laboratories, scanners, public data) into one data set.

    The folder gets `labels.csv`, `images/` with a sub-folder for each source, `dataset.yaml` with the classes that have
    labels, and `sources.json`. If sources have groups or test tables, it gets `groups.csv` and `test.csv` too. Classes
    are joined by their codes. Rows that have a class in another form (its English name, an id) get the code. Rows are
    not judged: `audit` and `convert` do that with the joined table.

    Parameters
    ----------
    sources : str, Path or mapping
        A YAML file, or what it contains: for each source its name, with a mapping of `labels`, `images`, and, if the
        source has them, `groups`, `test` and `dataset`.
    output : str or Path
        The folder to make.
    copy : bool
        Copy the images. Otherwise links lead to them.
    overwrite : bool
        Replace an existing output of `join`.

    Returns
    -------
    Joined

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For sources that can't be joined.

    Examples
    --------
    >>> import cytoyolo
    >>> one = {"labels": "labels.csv", "images": "slides"}
    >>> made = cytoyolo.join({"lab1": one, "lab2": one}, output="joined")
    >>> made.images, made.rows
    (48, 48)
    """
    parts_of, target = read_sources(sources), Path(output)
    listed_in = None if isinstance(sources, Mapping) else sources
    inputs = [path for source in parts_of for path in (*source.files.values(), source.images)]
    check_folder(target, MAKER, overwrite, inputs=(listed_in, *inputs))
    parts = [_read(source) for source in parts_of]
    other = shared_codes({part.source.name: (part.spec, part.labels["class"]) for part in parts})
    parts = [part.with_codes(other[part.source.name]) for part in parts]
    labels, groups, test = (
        pd.concat([getattr(part, table) for part in parts], ignore_index=True) for table in ("labels", "groups", "test")
    )
    spec = joined_spec([part.spec for part in parts], labels["class"])
    with new_folder(target, MAKER, overwrite) as folder:
        _place(folder / IMAGES, {name: file for part in parts for name, file in part.files.items()}, copy)
        write_table(folder / LABELS, labels.rename(columns=COLUMNS))
        if len(groups):
            write_table(folder / GROUPS, groups.rename(columns=COLUMNS))
        if len(test):
            write_table(folder / TEST, test.rename(columns=COLUMNS))
        write_text(folder / DATASET, yaml.safe_dump(spec.to_dict(), sort_keys=False, allow_unicode=True))
        manifest = {"cytoyolo": __version__, "copy": copy, "sources": [_manifest(part) for part in parts]}
        write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    table = pd.DataFrame([part.record() for part in parts])
    return Joined(
        target, int(labels["image"].nunique()), len(labels), int(groups["group"].nunique()),
        int(test["image"].nunique()), table, _classes(parts, spec),
    )  # fmt: skip


def _read(source: Source) -> _Part:
    """Read the tables of a source. All names of images get the source's name before them."""
    spec = read_spec(source.dataset)
    table = LabelTable.from_csv(source.labels, spec)
    refuse(source.labels, dict(table.broken), "correct or delete them")
    note_form(source.labels, table.records)
    labels = np.flatnonzero(table.labels)
    refuse_other_forms(source.labels, table.xyxy[labels], table.size[labels], table.image[labels])
    rows = pd.DataFrame({role: table.text[role][table.alive] for role in LABEL_ROLES}, dtype=object)
    if not rows["image"].str.strip().all():
        place = np.flatnonzero(table.alive)[int(np.argmin(rows["image"].str.strip().astype(bool)))]
        raise CytoyoloError(f"{source.labels}, {line(int(place))}: the row names no image; correct or delete it.")
    rows["class"] = coded(source.name, rows["class"], spec)
    test = pd.DataFrame(columns=list(TEST_ROLES), dtype=object)
    if source.test is not None:
        test = read_table(source.test, spec, TEST_ROLES)
    listing = FolderImages(source.images, thorough=False).listing
    file = match_in_folder([*rows["image"], *test["image"]], listing).file
    _warn_of_missing(source, [*rows["image"], *test["image"]], file)
    groups = _groups(source, spec, rows["image"], listing, file)
    paths = {name: source.images.resolve() / name for name in dict.fromkeys(file.values())}
    prefix = f"{source.name}/"

    def renamed(names: pd.Series) -> pd.Series:
        return prefix + names.map(lambda name: file.get(name, name))

    return _Part(
        source,
        spec,
        rows.assign(image=renamed(rows["image"])),
        groups,
        test.assign(id=prefix + test["id"], image=renamed(test["image"])),
        {prefix + name: path for name, path in paths.items()},
    )


def _warn_of_missing(source: Source, names: Sequence[str], file: Mapping[str, str]) -> None:
    if missing := [quoted(name) for name in dict.fromkeys(names) if name not in file]:
        console.warn(
            f"{source.name}: {len(missing):,} names of images have no file in {source.images} ({listed(missing)}); "
            "their rows stay in the table, and `cytoyolo audit` lists them."
        )


def _groups(
    source: Source, spec: DataSpec, names: pd.Series, listing: frozenset[str], file: Mapping[str, str]
) -> pd.DataFrame:
    """Return the groups of the labelled images, with the source's name before both."""
    if source.groups is None:
        return pd.DataFrame(columns=["image", "group"], dtype=object)
    files = names.map(lambda name: file.get(name, name))
    known = grouping(read_groups(source.groups, spec, names, listing), files, list(names))
    for sentence in known.notes(source.groups):
        console.note(f"{source.name}: {sentence}")
    group = known.group[known.group != ""]
    prefix = f"{source.name}/"
    return pd.DataFrame({"image": prefix + group.index, "group": prefix + group.to_numpy()}, dtype=object)


def _place(folder: Path, files: Mapping[str, Path], copy: bool) -> None:
    """Link or copy the images into a folder."""
    folder.mkdir()
    if files and not copy and not links_work(next(iter(files.values())), folder):
        console.warn(f"Links can't be made in {folder.parent.parent}, so the images are copied.")
        copy = True
    with console.progress() as progress:
        for name, path in progress.track(files.items(), len(files), description="Place images"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if copy:
                shutil.copyfile(path, target)
            else:
                target.symlink_to(path)


def _manifest(part: _Part) -> dict[str, object]:
    """Where the rows come from; names and hashes only, no path of this machine."""
    tables = {what: {"name": path.name, "sha256": fingerprint(path)} for what, path in part.source.files.items()}
    return {**part.record(), **tables, "dataset": part.spec.name}


def _classes(parts: Iterable[_Part], spec: DataSpec) -> pd.DataFrame:
    counts = {part.source.name: part.labels["class"].value_counts() for part in parts}
    columns = {name: count.reindex(list(spec.codes), fill_value=0).to_numpy() for name, count in counts.items()}
    return pd.DataFrame({"class": list(spec.codes), **columns})
