"""A user's own rules, from Python modules that a config names and from installed packages.

Loading a module runs its code. This only happens if the user names the config on the command line, or has installed a
package with an entry point of the group `cytoyolo.rules`.
"""

import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from cytoyolo.annotations.rules.checked import checked
from cytoyolo.annotations.rules.registry import (
    DROP,
    KEEP,
    MERGE,
    OFF,
    REGISTERED,
    REVIEW,
    REWRITE,
    STOP,
    Findings,
    Rule,
    Source,
)
from cytoyolo.annotations.table import LabelTable
from cytoyolo.errors import CytoyoloError
from cytoyolo.files import read_bytes

ENTRY_POINTS = "cytoyolo.rules"
# The key of a config that names modules. No rule can have this name.
MODULES = "modules"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def installed_rules() -> Iterator[Rule]:
    """Yield the rules of installed packages. Raises CytoyoloError, which names the package, for a fault in it."""
    for point in entry_points(group=ENTRY_POINTS):
        title = f"{point.value} of the package {point.dist.name if point.dist else point.name}"
        yield from _rules(title, partial(_imported, point))


def module_rules(config: Path, names: object) -> Iterator[Rule]:
    """Yield the rules of the modules that a config names: files (relative to the config) or importable modules.

    Raises CytoyoloError, which names the module and the rule, for a fault in a module.
    """
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, list) or not all(isinstance(name, str) and name for name in listed):
        raise CytoyoloError(f"{config}: '{MODULES}' is {names!r}; give a list of modules, such as [my_rules.py].")
    for name in listed:
        path = config.parent / name
        with _beside(config):
            if not name.endswith(".py"):
                yield from _rules(name, partial(importlib.import_module, name))
            elif path.is_file():
                yield from _rules(name, partial(_run, path), path)
            else:
                raise CytoyoloError(f"{config}: there is no file {path}; correct '{MODULES}'.")


def ask(rule: Rule, table: LabelTable) -> Iterator[Findings]:
    """Yield what a rule finds in a table.

    Raises CytoyoloError, one sentence that names the rule, if a user's own rule fails or yields anything but findings.
    """
    if rule.source is None:
        yield from rule.check(table, **rule.thresholds)
        return
    try:
        yield from checked(rule, table, rule.check(table, **rule.thresholds))
    except CytoyoloError:
        raise
    except (Exception, SystemExit) as error:
        raise _fault(rule, f"failed ({_reason(error, rule.source.file)}); correct it") from error


def place(ours: Mapping[str, Rule], own: Sequence[Rule]) -> dict[str, Rule]:
    """Return all rules by name. A user's own rule stands after the rule that it names (`after`), or at the end.

    Raises CytoyoloError for a name that is used already, and for a rule after a rule that does not exist.
    """
    ordered = list(ours.values())
    for rule in own:
        names = [other.name for other in ordered]
        if rule.name in names:
            owner = ordered[names.index(rule.name)].source
            raise _fault(rule, f"has the name of a rule of {owner.name if owner else 'cytoyolo'}; give it another name")
        at = len(names)
        if rule.after is not None:
            if rule.after not in names:
                raise _fault(rule, f"is to be asked after '{rule.after}', and there is no such rule before it")
            at = names.index(rule.after) + 1
            while at < len(ordered) and ordered[at].source and ordered[at].after == rule.after:
                at += 1
        ordered.insert(at, rule)
    return {rule.name: rule for rule in ordered}


@contextmanager
def _beside(config: Path) -> Iterator[None]:
    """Let modules beside the config be imported, unless an installed module has the same name."""
    folder = str(config.parent.absolute())
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _imported(point: EntryPoint) -> ModuleType:
    return importlib.import_module(point.module)


def _run(path: Path) -> ModuleType:
    """Run a file and return it as a module, again at each call. Nothing is written beside the file."""
    module = ModuleType(f"cytoyolo_rules_{sha256(str(path.absolute()).encode()).hexdigest()[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    REGISTERED[:] = [rule for rule in REGISTERED if rule.module != module.__name__]
    exec(compile(read_bytes(path), str(path), "exec", dont_inherit=True), module.__dict__)
    return module


def _rules(title: str, load: Callable[[], ModuleType], path: Path | None = None) -> Iterator[Rule]:
    """Load a module and yield its rules. Messages call the module `title`; `path` is its file, if it is known."""
    try:
        module = load()
    except (Exception, SystemExit) as error:
        # Python forgets a module that failed, and its rules must not be there twice when it is loaded again.
        REGISTERED[:] = [rule for rule in REGISTERED if rule.module in sys.modules]
        reason = _reason(error, str(path))
        raise CytoyoloError(f"the rules of {title} can't be loaded ({reason}); correct the module.") from error
    rules = [rule for rule in REGISTERED if f"{rule.module}.".startswith(f"{module.__name__}.")]
    if not rules:
        raise CytoyoloError(f"{title} has no rule; write one with `@rule` (see docs/audit.md).")
    for rule in rules:
        file = Path(str(sys.modules[rule.module].__file__))
        name = title if rule.module == module.__name__ else rule.module
        named = replace(rule, source=Source(name, str(file), sha256(read_bytes(file)).hexdigest()))
        _refuse(named)
        yield named


def _refuse(rule: Rule) -> None:
    """Raise CytoyoloError for a rule that can't be asked."""
    actions = [STOP, REVIEW, KEEP, OFF]
    actions += [DROP] if rule.about in ("row", "image") else []
    actions += [MERGE, *REWRITE] if rule.about == "row" else []
    if not isinstance(rule.name, str) or not _NAME.fullmatch(rule.name) or rule.name == MODULES:
        raise _fault(rule, "needs a name of letters, digits, - and _")
    if rule.about == "file":
        raise _fault(rule, "is about the file; give row, image, class or table")
    if rule.action not in actions:
        raise _fault(rule, f"has the action '{rule.action}'; give one of {', '.join(actions)}")
    if not rule.text:
        raise _fault(rule, "says nothing about itself; say in the docstring of its function what it finds")
    try:
        inspect.signature(rule.check).bind(None, **rule.thresholds)
    except TypeError as error:
        given = ", ".join(("table", *rule.thresholds))
        raise _fault(rule, f"needs a function of ({given}), and Python says: {error}") from error


def _fault(rule: Rule, what: str) -> CytoyoloError:
    return CytoyoloError(f"rule '{rule.name}' of {rule.source.name if rule.source else 'cytoyolo'} {what}.")


def _reason(error: BaseException, file: str | None) -> str:
    """Say which error was raised, and in which line of the user's file."""
    said = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".: ")
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"line {lines[-1]}: {said}" if lines else said
