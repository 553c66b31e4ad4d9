"""`review`: a page on which people decide about labels, and the change log of what they decided."""

import getpass
import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.annotations.changes import COLUMNS
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.repair import check_output
from cytoyolo.commands.review_inputs import begin_labels, check_same, files_of
from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.files import atomic_file, check_place
from cytoyolo.locks import locked
from cytoyolo.reviewing.access import Access, check_host, check_reviewer, listen
from cytoyolo.reviewing.export import WITNESSES, agreement, edited, merged
from cytoyolo.reviewing.store import Store, create, is_review
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import check_writable, sha256, write_table

# The endings of the file of a review, of the table of disagreements beside a log, and of the table as it was reviewed.
REVIEW, CONFLICTS, REVIEWED = ".review.sqlite", ".conflicts.csv", ".reviewed-table.csv"
# Seconds until the browser is opened, so that the server answers by then.
_BROWSER_S = 0.5


@dataclass(frozen=True)
class Reviewed:
    """The state of a review.

    Attributes
    ----------
    review : Path
        The file of the review.
    items : int
        How many labels, cells and images there are to decide.
    reviewers : DataFrame
        reviewer, decided, skipped and left.
    agreement : DataFrame
        reviewer_a, reviewer_b, both (what both decided), same (with the same class) and kappa (Cohen's kappa).
    conflicts : DataFrame
        What reviewers disagree on, a row for each of them. It is not exported.
    changes : Path or None
        The change log that was written.
    """

    review: Path
    items: int
    reviewers: pd.DataFrame
    agreement: pd.DataFrame
    conflicts: pd.DataFrame
    changes: Path | None = None


def review(
    source: str | Path,
    *,
    images: str | Path | None = None,
    findings: str | Path | None = None,
    groups: str | Path | None = None,
    reviewer: str | None = None,
    output: str | Path | None = None,
    dataset: str | Path = defaults.DATASET,
    export: str | Path | None = None,
    port: int = defaults.PORT,
    host: str | None = None,
    password: str | None = None,
    browser: bool = True,
    overwrite: bool = False,
) -> Reviewed:
    """Show labels on a page on which a person decides about them, or export what was decided.

    The page is at an address of this machine that is printed. Every decision is stored at once. The call ends when it
    is interrupted (Ctrl-C), and the same call goes on with the review.

    Parameters
    ----------
    source : str or Path
        The label table to review, or the file of a review.
    images : str or Path, optional
        The image folder. A review that goes on knows it.
    findings : str or Path, optional
        What is to be decided: the folder that `audit` made, or the .findings.csv or .scores.csv of `curate`. Without it
        every label is shown.
    groups : str or Path, optional
        A table of groups (NAME,group), to choose by.
    reviewer : str, optional
        The name of the reviewer, by default the user's. With `export`: only the decisions of this reviewer.
    output : str or Path, optional
        The file of the review, by default beside the table. If it exists, it goes on.
    dataset : str or Path
        The data set, which knows the classes. A review that goes on knows it.
    export : str or Path, optional
        Write the decisions as a change log that `apply` and `undo` read, and show no page.
    port : int
        The port of the page. If it is in use, the next free port is taken.
    host : str, optional
        An address of this machine in a trusted network, to review from other machines. Nothing is encrypted.
    password : str, optional
        The password for other machines, at least 8 characters.
    browser : bool
        Whether to open the page in the browser of this machine.
    overwrite : bool
        Replace an existing change log of `export`.

    Returns
    -------
    Reviewed

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For a table that was changed since the review began, a review that another process has open, or findings of
        another table.

    Examples
    --------
    >>> import cytoyolo
    >>> cytoyolo.review("labels.csv", images="images", findings="audit")  # doctest: +SKIP
    >>> made = cytoyolo.review("labels.review.sqlite", export="changes.csv")  # doctest: +SKIP
    >>> reviewed = cytoyolo.apply("labels.csv", made.changes)  # doctest: +SKIP
    """
    source = Path(source)
    name = None if reviewer is None else check_reviewer(reviewer)
    check_host(host, password)
    path = _path(source, None if output is None else Path(output))
    if export is not None:
        return _export(path, Path(export), name, overwrite)
    if overwrite:
        raise UsageError(f"{option('overwrite', True)} needs {option('export')}; a review is never replaced.")
    _check_extra()
    given = (None if images is None else Path(images), None if findings is None else Path(findings))
    check_place(path)
    with locked(path):
        if not path.exists():
            if given[0] is None:
                raise UsageError(f"{option('images')} is missing; give the image folder of {source}.")
            about, items = begin_labels(
                source, given[0], given[1], None if groups is None else Path(groups), load_spec(dataset)
            )
            create(path, about, items)
        elif groups is not None:
            raise UsageError(f"{path} has its groups already; leave {option('groups')} out to go on with it.")
        store = Store(path)
        if not is_review(source):
            check_same(path, store.about, source, given[1])
        elif given[1] is not None:
            check_same(path, store.about, Path(store.about.source), given[1])
        _serve(store, given[0], name or _user(), (host, port, password), browser)
        return _state(store, None)


def _path(source: Path, output: Path | None) -> Path:
    """The file of the review of a source."""
    if is_review(source):
        if output is not None:
            raise UsageError(f"{source} is a review already; leave {option('output')} out.")
        return source
    if not source.exists():
        raise UsageError(f"{source}: no such file; check the path.")
    if source.is_dir():
        raise UsageError(f"{source} is a folder; give a label table, or the file of a review.")
    path = source.with_name(f"{source.stem}{REVIEW}") if output is None else output
    if path.exists() and not is_review(path):
        raise UsageError(f"{path} is not a review; give another name.")
    return path


def _check_extra() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise CytoyoloError(
            "a review needs starlette and uvicorn; install them with `pip install 'cytoyolo[review]'`."
        ) from error


def _user() -> str:
    with suppress(OSError, KeyError, ImportError, UsageError):
        return check_reviewer(getpass.getuser())
    return "reviewer"


def _serve(
    store: Store, images: Path | None, reviewer: str, where: tuple[str | None, int, str | None], browser: bool
) -> None:
    """Show the page until the program is interrupted."""
    from cytoyolo.reviewing.desk import Desk
    from cytoyolo.reviewing.pictures import PictureMaker
    from cytoyolo.reviewing.server import application, server_of

    host, port, password = where
    folder = Path(store.about.images) if images is None else images
    table = LabelTable.parse(Path(store.about.source), store.about.table, store.about.spec)
    names = dict.fromkeys([*map(str, table.text["image"][table.alive]), *(item.image for item in store.items)])
    pictures = PictureMaker(folder, files_of(folder, [name for name in names if name]))
    bound, address, hosts = listen(host, port)
    if (taken := int(address.rpartition(":")[2])) != port:
        console.note(f"Port {port} is in use; the page is at port {taken}.")
    access = Access(address, hosts, reviewer, password or "")
    if host is not None:
        console.warn(
            f"Everyone in the network who knows the password can review at http://{address}/. Nothing is encrypted."
        )
    console.note(f"{reviewer} reviews {Path(store.about.source).name} at {access.url}")
    console.note(f"Every decision is stored at once in {store.path}. End with Ctrl-C.")
    if browser:
        Timer(_BROWSER_S, webbrowser.open, [access.url]).start()
    try:
        server_of(application(Desk(store, pictures), access)).run(sockets=[bound])
    except KeyboardInterrupt:
        pass  # the usual end of a review
    finally:
        pictures.close()
        bound.close()


def _state(store: Store, only: str | None) -> Reviewed:
    """The state of a review, of all reviewers or `only` one."""
    table = LabelTable.parse(Path(store.about.source), store.about.table, store.about.spec)
    by_reviewer = {name: one for name, one in store.histories.items() if only in (None, name)}
    rows = []
    for name, history in sorted(by_reviewer.items()):
        states = [history.decision(item.subject) for item in store.items]
        skipped = sum(one is not None and one.outcome.state == "open" for one in states)
        left = states.count(None)
        rows.append((name, len(states) - skipped - left, skipped, left))
    reviewers = pd.DataFrame(rows, columns=["reviewer", "decided", "skipped", "left"])
    made = merged(by_reviewer, table, store.items)
    return Reviewed(store.path, len(store.items), reviewers, agreement(by_reviewer, table, store.items), made.conflicts)


def _export(path: Path, log: Path, only: str | None, overwrite: bool) -> Reviewed:
    """Write the change log of what was decided, and beside it what the reviewers disagree on."""
    if not path.exists():
        raise UsageError(f"{path}: no such review; give the file that `cytoyolo review` made.")
    conflicts, kept = (log.with_name(f"{log.stem}{suffix}") for suffix in (CONFLICTS, REVIEWED))
    store = Store(path)
    about = store.about
    for output in (log, conflicts, kept):
        check_output(output, (path, about.source))
    check_writable(log, [*COLUMNS, *WITNESSES], overwrite)
    if only is not None and only not in store.histories:
        raise UsageError(
            f"{path} holds no decision of {only!r}; its reviewers are {', '.join(store.histories) or 'none yet'}."
        )
    state = _state(store, only)
    check_writable(conflicts, list(state.conflicts.columns), overwrite=True)
    by_reviewer = {name: one for name, one in store.histories.items() if only in (None, name)}
    table = LabelTable.parse(Path(about.source), about.table, about.spec)
    _, changes = edited(table, merged(by_reviewer, table, store.items).verdicts, store.items)
    with atomic_file(log) as temporary:
        changes.to_csv(temporary, index=False, lineterminator="\n")
    conflicts.unlink(missing_ok=True)
    if len(state.conflicts):
        write_table(conflicts, state.conflicts)
    source = Path(about.source)
    if not source.is_file() or sha256(source.read_bytes()) != about.sha256:
        with atomic_file(kept) as temporary:
            temporary.write_bytes(about.table)
        console.warn(f"{source} is not the table that was reviewed. The log belongs to {kept}, which holds that table.")
    return Reviewed(path, state.items, state.reviewers, state.agreement, state.conflicts, log)
