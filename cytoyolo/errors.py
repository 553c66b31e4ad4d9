"""The errors a user can meet. Their text is one sentence: what is wrong, where, and what to do.

A sentence can reach two readers. A user of the command line knows an option as `--max-loss 0.1`, a user of the Python
functions knows it as `max_loss=0.1`. A sentence therefore never holds an option's name as plain text:

- `UsageError("boxes", "lose", "give one of all, loose, none")` is for a parameter with a wrong value. The command line
  shows `--boxes is 'lose'; give one of all, loose, none.`, and Python shows `boxes='lose'; give ...`.
- `check_choice("boxes", boxes, BoxChoice)` does the same for a closed set of words, a Literal type.
- `option("images")` and `option("int8", True)` are options within a sentence: `f"{option('int8', True)} needs
  {option('images')}."`; `OVERWRITE` is the option that most sentences name.
- `call("train", dataset, output=run, resume=True)` is a whole call.
- `either("`cytoyolo audit --rules`", "`cytoyolo.rules()`")` is for anything else that the two readers write
  differently.

`str(error)` is what a Python caller reads. `error.sentence` still holds both forms: use it where a sentence becomes a
part of another sentence. `as_typed` gives the form of the command line, which files and notes hold too. `as_called`
gives the form of Python.
"""

import errno
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, get_args, overload

# The Debian/Ubuntu package of each system library OpenCV's wheel needs.
SYSTEM_PACKAGES = {"libGL.so": "libgl1", "libglib": "libglib2.0-0", "libgthread": "libglib2.0-0"}
# What OpenCV, torch and the runtimes say instead of raising MemoryError.
_NO_MEMORY = re.compile(
    r"insufficient memory|(can't|failed to|unable to) allocate|bad_alloc|out of memory", re.IGNORECASE
)


# The marks around the two forms of a part of a sentence: code points that Unicode keeps for a program's own use, so
# that no text has them.
_BEGIN, _OR, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_FORMS = re.compile(f"{_BEGIN}([^{_END}]*){_OR}([^{_END}]*){_END}")
# Options that have another name on the command line than in Python.
_OTHER_NAMES = {"output": "-o", "classifiers": "--classifier"}
# Commands whose functions have another name, because `import` is a word of Python and names have no dashes.
FUNCTIONS = {"import": "import_labels", "export-labels": "export_labels", "train-classifier": "train_classifier"}


def either(typed: str, called: str) -> str:
    """A part of a sentence that reads `typed` on the command line and `called` in Python."""
    return f"{_BEGIN}{typed}{_OR}{called}{_END}"


def as_typed(sentence: str) -> str:
    """The sentence as a user of the command line reads it."""
    return _FORMS.sub(r"\1", sentence)


def as_called(sentence: str) -> str:
    """The sentence as a Python caller reads it."""
    return _FORMS.sub(r"\2", sentence)


def option(parameter: str, value: object = None) -> str:
    """An option within a sentence: `--max-loss 0.1` or `max_loss=0.1`, `--overwrite` or `overwrite=True`.

    Without a value it is the option's name alone: --max-loss, or max_loss in backticks.
    """
    dashed = _dashed(parameter)
    if value is None:
        return either(dashed, f"`{parameter}`")
    if isinstance(value, bool):
        return either(dashed if value else f"--no-{dashed[2:]}", f"{parameter}={value}")
    return either(f"{dashed} {value}", f"{parameter}={_shown(value)}")


def call(command: str, *arguments: object, **options: object) -> str:
    """A whole call within a sentence: `cytoyolo train DATASET -o RUN`, or `cytoyolo.train('DATASET', output='RUN')`."""
    words = ["cytoyolo", command, *map(str, arguments)]
    for name, value in options.items():
        words += [_dashed(name), *([] if value is True else [str(value)])]
    given = [*map(_literal, arguments), *(f"{name}={_literal(value)}" for name, value in options.items())]
    return either(shlex.join(words), f"cytoyolo.{FUNCTIONS.get(command, command)}({', '.join(given)})")


def _dashed(parameter: str) -> str:
    return _OTHER_NAMES.get(parameter, f"--{parameter.replace('_', '-')}")


def _literal(value: object) -> str:
    return repr(str(value)) if isinstance(value, str | PurePath) else str(value)


def _shown(value: object) -> str:
    return quoted(str(value)) if isinstance(value, str | PurePath) else str(value)


# The option that most sentences name.
OVERWRITE = option("overwrite", True)


class CytoyoloError(Exception):
    """The work cannot be done, because of its input or of the machine (exit code 1).

    Attributes
    ----------
    sentence : str
        The text for both readers: see this module. `str(error)` is the text for a Python caller.

    Examples
    --------
    >>> import cytoyolo
    >>> try:
    ...     cytoyolo.audit("nowhere.csv")
    ... except cytoyolo.CytoyoloError as error:
    ...     print(error)
    nowhere.csv: no such file; check the path.
    """

    exit_code = 1

    def __init__(self, sentence: str) -> None:
        super().__init__(as_called(sentence))
        self.sentence = sentence


class UsageError(CytoyoloError):
    """The call itself is wrong: an argument, or a path given as an argument (exit code 2).

    It is made from a parameter, its value and what to give instead. If the fault is not in a single parameter, it is
    made from a whole sentence.

    Attributes
    ----------
    parameter : str or None
        The name of the parameter that is wrong. None if the fault is not in a single parameter.
    value : object
        Its value, or None.

    Examples
    --------
    >>> error = UsageError("boxes", "lose", "give one of all, loose, none")
    >>> print(error, error.parameter)
    boxes='lose'; give one of all, loose, none. boxes
    """

    exit_code = 2

    @overload
    def __init__(self, sentence: str, /) -> None: ...
    @overload
    def __init__(self, parameter: str, value: object, remedy: str, /) -> None: ...
    def __init__(self, sentence: str, value: object = None, remedy: str | None = None, /) -> None:
        self.parameter: str | None = None
        self.value = value
        if remedy is not None:
            self.parameter = sentence
            shown = _shown(value)
            sentence = f"{either(f'{_dashed(sentence)} is {shown}', f'{sentence}={shown}')}; {remedy}."
        super().__init__(sentence)


def check_choice(parameter: str, value: str, words: object) -> None:
    """Raise UsageError for a word that is not in a closed set. The set is a Literal type."""
    if value not in get_args(words):
        raise wrong_choice(parameter, value, get_args(words))


def wrong_choice(parameter: str, value: str, words: Sequence[str]) -> UsageError:
    """Return the error about a word that is not one of these words."""
    return UsageError(
        parameter, value, f"give {' or '.join(words)}" if len(words) == 2 else f"give one of {', '.join(words)}"
    )


def check_count(parameter: str, value: Any, least: int = 1) -> None:
    """Raise UsageError for a value that is not a whole number, or less than `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError(parameter, value, "give a whole number")
    if value < least:
        raise UsageError(parameter, value, f"give {least} or more")


def check_share(parameter: str, value: Any) -> None:
    """Raise UsageError for a value that is not a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise UsageError(parameter, value, "give a number from 0 to 1")


def check_seed(seed: int) -> None:
    """Raise UsageError for a seed that numpy and torch would not take."""
    check_count("seed", seed, 0)


def quoted(value: str, limit: int = 80) -> str:
    """A value of the user's as a sentence shows it: in quotes, cut, without control characters."""
    return repr(value if len(value) <= limit else f"{value[:limit]}…")


def listed(items: list[str], limit: int = 5, total: int | None = None) -> str:
    """Join the first `limit` items with semicolons and count the others. `total` is the number of all items, if some
    are missing."""
    rest = (len(items) if total is None else total) - limit
    return "; ".join(items[:limit]) + (f"; and {rest:,} more" if rest > 0 else "")


@contextmanager
def reworded(remedies: Mapping[str, str]) -> Iterator[None]:
    """In this block another command does the work, and some of its options don't exist here. `remedies` maps the advice
    of its errors to other advice."""
    try:
        yield
    except CytoyoloError as error:
        sentence = error.sentence
        for said, instead in remedies.items():
            sentence = sentence.replace(said, instead)
        if sentence == error.sentence:
            raise
        raise type(error)(sentence) from error


def explain(error: Exception) -> tuple[str, int]:
    """Return one sentence and the exit code for an error. `as_typed` or `as_called` give the sentence its form."""
    if isinstance(error, CytoyoloError):
        return error.sentence, error.exit_code
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # click's usage errors
        message = error.format_message()
        return message and f"{message.rstrip('.')}. See cytoyolo --help.", error.exit_code
    if isinstance(error, ImportError):
        for library, package in SYSTEM_PACKAGES.items():
            if library in str(error):
                return f"the system library {library} is missing; install it (Debian: apt-get install {package}).", 1
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # it names no file, or that which was read
        return "the disk of the output has no space left; free some, or give an output elsewhere.", 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{(error.strerror or str(error)).lower()}; check the disk, the path and its permissions.", 1
    if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        return "the memory of this machine is used up; try fewer images, or a smaller batch.", 1
    return (
        f"unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}; this is a "
        "fault of cytoyolo: please report it with the output of `cytoyolo info` (CYTOYOLO_DEBUG=1 shows where).",
        1,
    )
