"""What a prediction searches: images and folders of images, or a test table. Weights are recognised by their kind."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cytoyolo import console
from cytoyolo.detector.ensemble_folder import is_ensemble
from cytoyolo.detector.journal import JOURNAL, SUFFIX
from cytoyolo.detector.networks import XML_FILE
from cytoyolo.errors import CytoyoloError, UsageError, call, listed, option
from cytoyolo.images.decoding import EXTENSIONS
from cytoyolo.images.folder import is_hidden, walk_files
from cytoyolo.images.kinds import is_image, unread_kind
from cytoyolo.images.slides import is_slide
from cytoyolo.images.sorted_names import NameSorter
from cytoyolo.locks import PREFIX
from cytoyolo.shipped import weights_path
from cytoyolo.text import listed_by_kind

# The extensions of trained networks, also of networks that can't be used: the code that opens them says so.
_WEIGHTS = frozenset(
    (".pt", ".pth", ".onnx", ".torchscript", ".engine", ".tflite", ".safetensors", ".ckpt", ".mlpackage")
)
# A spreadsheet saves tables with tabs as .txt or .tsv.
_TABLES = (".csv", ".tsv", ".txt")
_WANTED = f"first the weights, then images or folders: {call('predict', 'best.pt', 'images/', output='results')}"
_FILLED = call("submit", "best.pt", "test.csv", images="DIR", output="submission.csv")
_WANTED_TABLE = f"first the weights, then a test table: {_FILLED}"
# Parts of a name that a table with one line for each row can't hold: bytes that are not UTF-8, and line ends.
_UNFIT = re.compile("[\ud800-\udfff\r\n]")
_SHOWN = 5


@dataclass(frozen=True)
class Images:
    """Image files and whole slides to search. `names` and `slides` are relative to `folder`, sorted, with "/" between
    their parts. Their memory does not grow with the number of images.

    `problems` gives the reason for images of a kind that is not read, and for folders that can't be read. `others`
    counts files that are not images, by their extension, and `hidden` counts files that are hidden (._a.jpg) or belong
    to an operating system. Messages call all this `shown`.
    """

    folder: Path
    names: Sequence[str]
    slides: Sequence[str]
    problems: dict[str, str]
    others: Counter[str]
    hidden: int
    shown: str

    def say(self) -> None:
        """Tell what is left out."""
        others = f"because they are not images: {self.others_in_words()}" if self.others else ""
        hidden = f"because they are hidden: {self.hidden:,}" if self.hidden else ""
        if others or hidden:
            console.note(f"Files skipped, {'; '.join(filter(None, (others, hidden)))}.")

    def others_in_words(self) -> str:
        """Say how many other files there are, and their kinds."""
        kinds = sorted(self.others.items(), key=lambda one: (-one[1], one[0]))
        return f"{self.others.total():,} ({listed([f'{kind} {count:,}' for kind, count in kinds], _SHOWN)})"


def divide(paths: Sequence[Path], wanted: str = _WANTED) -> tuple[list[Path], list[Path]]:
    """Divide the paths of a call into weights and images to search. Raises UsageError if either is missing.

    The kind of a path decides, not its position: a shell replaces `slides/*.jpg` by a list of images. `wanted` says how
    a right call looks.
    """
    if not paths:
        raise UsageError(f"there is nothing to predict; give {wanted}.")
    paths = _named(paths)
    is_one = [is_weights(path) for path in paths]
    if not any(is_one) and not _is_source(paths[0]):
        is_one[0] = True  # what opens it says what is wrong with it
    weights = [path for path, found in zip(paths, is_one, strict=True) if found]
    sources = [path for path, found in zip(paths, is_one, strict=True) if not found]
    if not weights:
        raise _no_weights(sources, wanted)
    if not sources:
        raise UsageError(f"there is nothing to search with {listed([str(one) for one in weights], 2)}; give {wanted}.")
    if list(paths[: len(weights)]) != weights:
        late = next(path for path in reversed(paths) if path in weights)
        raise UsageError(f"{late} is a file of weights and comes after {sources[0]}; give {wanted}.")
    return weights, sources


def _named(paths: Sequence[Path]) -> list[Path]:
    """Replace names of the package's weights by their files. A name stands first, or after other weights.

    After other weights, a file or folder of the user of this name is to be searched. Raises UsageError if the first
    path could mean either.
    """
    named: list[Path] = []
    for path in paths:
        after_weights = all(map(is_weights, named))
        is_name = after_weights and (not named or not path.exists())
        named.append(weights_path(path) if is_name else path)
    return named


def divide_table(paths: Sequence[Path]) -> tuple[list[Path], Path]:
    """The weights among the paths of a call, and the test table. Raises UsageError where either is missing."""
    weights, sources = divide(paths, _WANTED_TABLE)
    if len(sources) > 1:
        raise UsageError(f"{sources[1]} comes after {sources[0]}, and one test table is filled; give {_WANTED_TABLE}.")
    return weights, sources[0]


def _no_weights(sources: Sequence[Path], wanted: str) -> UsageError:
    for path in sources:
        if is_ensemble(path / "ensemble"):
            kept = path / "ensemble"
            return UsageError(f"{path} is the folder of a cross-validation; give its ensemble, {kept}.")
        if (path / "weights" / "best.pt").is_file():
            return UsageError(f"{path} is the folder of a training; give its weights, {path / 'weights' / 'best.pt'}.")
    return UsageError(f"no weights are given, and {sources[0]} is not a file of weights; give {wanted}.")


def refuse_table(sources: Sequence[Path]) -> None:
    """Raise UsageError for a table among the paths to search.

    A table beside images of its own folder is left out, as in a folder: a shell replaces `slides/*` by such a list.
    """
    if not sources:
        raise UsageError("there is nothing to search; give images or folders of images.")
    beside = {path.parent for path in sources if not path.is_dir() and is_image(path)}
    if alone := next((path for path in sources if _is_table(path) and path.parent not in beside), None):
        other = call("submit", "WEIGHTS", alone, images="DIR", output="submission.csv")
        raise UsageError(f"{alone} is a table, and predict takes images and folders; `{other}` fills it.")


def refuse_images(test: Path) -> None:
    """Raise UsageError if the test table is a folder or an image."""
    is_one = not _is_table(test) and not test.is_dir()
    slide = is_one and is_slide(test)
    if test.is_dir() or slide or (is_one and is_image(test)):
        kind = "a folder" if test.is_dir() else "a whole slide" if slide else "an image"
        other = call("predict", "WEIGHTS", test, output="DIR")
        raise UsageError(f"{test} is {kind}, and submit takes a test table; `{other}` predicts images.")


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in _TABLES and not path.is_dir()


def find_images(sources: Sequence[Path], flat: bool = False) -> Images:
    """Find the images among files and folders, and in the sub-folders unless `flat`.

    Raises UsageError for a path that does not exist, and CytoyoloError if there is no image and no slide, or a name
    that no table can hold.
    """
    for path in sources:
        _check(path)
    folder = _common(sources)
    found = _Found(folder)
    # A folder that lies in another one, or that a link of it leads to, is searched once, with its shortest name.
    for path in sorted(sources, key=lambda path: len(path.resolve().parts)):
        if path.is_dir():
            _look_into(path, flat, found)
        elif len(sources) == 1 and not is_slide(path) and not unread_kind(path):
            found.keep(found.names, found.relative(path))  # whatever it is called: its bytes decide
        else:
            found.judge(path, found.relative(path))
    if found.unfit:
        raise CytoyoloError(f"the file name {_printable(found.unfit)} is not UTF-8 text of one line; rename it.")
    shown = str(sources[0]) if len(sources) == 1 else f"the {len(sources):,} paths given"
    names, slides, hidden = found.names.sorted(), found.slides.sorted(), len(found.hidden.sorted())
    others = Counter(PurePosixPath(name).suffix.lower() or "without extension" for name in found.others.sorted())
    images = Images(folder, names, slides, dict(sorted(found.problems.items())), others, hidden, shown)
    if not names and not slides:
        refuse_nothing(images)
    return images


def _check(path: Path) -> None:
    if os.path.lexists(path):
        return
    if re.search(r"[*?\[]", str(path)):
        raise UsageError(f"no file matches {path}; check the pattern, or give the folder itself.")
    raise UsageError(f"{path}: no such file or folder; give an image or a folder of images.")


def refuse_nothing(images: Images) -> None:
    """Raise CytoyoloError if no image can be used."""
    if images.problems:
        problems = images.problems
        bad = listed_by_kind([f"{name} {problem}" for name, problem in problems.items()], list(problems.values()), 3)
        raise CytoyoloError(f"no image of {images.shown} can be used ({bad}).")
    others = f", but other files: {images.others_in_words()}" if images.others else ""
    raise CytoyoloError(
        f"{images.shown} holds no images ({', '.join(sorted(EXTENSIONS))}){others}; give a folder that does."
    )


@dataclass
class _Found:
    """The images, slides, problems, other files and hidden files found so far. Names are relative to `folder`.
    A file that is given twice is there twice. `unfit` is the first name, in their order, that no table can hold."""

    folder: Path
    names: NameSorter = field(default_factory=NameSorter)
    slides: NameSorter = field(default_factory=NameSorter)
    problems: dict[str, str] = field(default_factory=dict)
    others: NameSorter = field(default_factory=NameSorter)
    hidden: NameSorter = field(default_factory=NameSorter)
    unfit: str = ""
    seen: set[tuple[int, int]] = field(default_factory=set)

    def relative(self, path: Path) -> str:
        return _escaped(Path(os.path.relpath(path, self.folder)).as_posix())

    def keep(self, names: NameSorter, name: str) -> None:
        """Add a name to the images or slides."""
        if not _UNFIT.search(name) and not _is_replaced(self.folder, name):
            names.add(name)
        elif not self.unfit or name < self.unfit:
            self.unfit = name

    def judge(self, path: Path, name: str) -> None:
        """Decide whether a file is an image, a whole slide, an image of a kind that is not read, or another file.
        `name` is its path in `folder`."""
        if is_hidden(path.name):
            if not path.name.startswith(PREFIX):  # such a file is this tool's own
                self.hidden.add(name)
        elif is_slide(path):
            self.keep(self.slides, name)
        elif is_image(path):
            self.keep(self.names, name)
        elif problem := unread_kind(path):
            self.problems[name] = problem
        else:
            self.others.add(name)


def _look_into(folder: Path, flat: bool, found: _Found) -> None:
    unread, unfinished = list[str](), dict[str, bool]()
    prefix = found.relative(folder)
    prefix = "" if prefix == "." else f"{prefix}/"
    for name in _files_of(folder) if flat else walk_files(folder, unread, found.seen):
        if SUFFIX not in name or not _is_unfinished(folder, name, unfinished):
            found.judge(folder / name, prefix + name)
    for name in unread:
        found.problems[found.relative(folder / name)] = "is a folder that can't be read; check its permissions"


def _files_of(folder: Path) -> Iterator[str]:
    """Yield the files of a folder. A message counts its sub-folders, whose files are left out."""
    below = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir():
                yield _escaped(entry.name)
            elif not is_hidden(entry.name):
                below += 1
    if below:
        console.note(f"Sub-folders of {folder} left out, as {option('flat', True)} asks: {below:,}.")


def _is_unfinished(folder: Path, name: str, known: dict[str, bool]) -> bool:
    """Tell whether a file is in the folder of an interrupted prediction."""
    parents = name.split("/")[:-1]
    for depth, part in enumerate(parents, 1):
        if part.endswith(SUFFIX):
            place = "/".join(parents[:depth])
            if place not in known:
                known[place] = (folder / place / JOURNAL).is_file()
            if known[place]:
                return True
    return False


def _common(sources: Sequence[Path]) -> Path:
    """Return the folder to which names are relative: the given folder, or the folder that holds all given paths."""
    if len(sources) == 1:
        return sources[0] if sources[0].is_dir() else sources[0].parent
    folders = [path if path.is_dir() else path.parent for path in sources]
    if len(set(folders)) == 1:
        return folders[0]
    try:
        return Path(os.path.commonpath([os.path.normpath(one.absolute()) for one in folders]))
    except ValueError as error:
        raise UsageError("the images lie on different disks; predict each disk in its own call.") from error


def _is_replaced(folder: Path, name: str) -> bool:
    """Tell whether bytes that are not UTF-8 were replaced in a listed name."""
    return "\\x" in name and not os.path.lexists(folder / name)


def _escaped(name: str) -> str:
    """Return a name with \\x and their number for bytes that are not UTF-8, as in a listed folder."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _printable(name: str) -> str:
    return name.replace("\n", "\\n").replace("\r", "\\r")


def is_weights(path: Path) -> bool:
    """Tell whether a file or folder holds a trained network, by its name or its first bytes."""
    if path.is_dir():
        if (path / XML_FILE).is_file() or is_ensemble(path) or path.suffix.lower() in _WEIGHTS:
            return True
        return any(one.with_suffix(".bin").is_file() for one in path.glob("*.xml"))
    return path.suffix.lower() in _WEIGHTS or _is_checkpoint(path)


def _is_checkpoint(path: Path) -> bool:
    """Whether a file of another name is a PyTorch checkpoint by its first bytes."""
    if _is_source(path) or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(200)
    return head[:4] == b"PK\x03\x04" and b"data.pkl" in head


def _is_source(path: Path) -> bool:
    """Whether a path is something to search, by its name or as a folder."""
    is_one = path.is_dir() or path.suffix.lower() in _TABLES or bool(re.search(r"[*?\[]", str(path)))
    return is_one or is_image(path) or bool(unread_kind(path))
