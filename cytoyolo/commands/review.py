"""`review`: a page on which people decide about labels and cells, and the export of what they decided."""

import getpass
import socket
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from cytoyolo import console, defaults
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.review_cells import begin_cells, check_prediction
from cytoyolo.commands.review_export import Reviewed, export_review, state_of
from cytoyolo.commands.review_inputs import begin_labels, check_same, check_same_groups, files_of, images_of
from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.files import check_place
from cytoyolo.locks import locked
from cytoyolo.reviewing.access import Access, check_host, check_reviewer, listen
from cytoyolo.reviewing.store import CELLS, Store, create, is_review
from cytoyolo.spec import load_spec

# The ending of the file of a review.
REVIEW = ".review.sqlite"
# Seconds until the browser is opened, so that the server answers by then.
_BROWSER_S = 0.5


def review(
    source: str | Path,
    *,
    images: str | Path | None = None,
    findings: str | Path | None = None,
    groups: str | Path | None = None,
    reviewer: str | None = None,
    output: str | Path | None = None,
    dataset: str | Path | None = None,
    export: str | Path | None = None,
    port: int = defaults.PORT,
    host: str | None = None,
    password: str | None = None,
    browser: bool = True,
    overwrite: bool = False,
) -> Reviewed:
    """Show labels or predicted cells on a page on which a person decides about them, or export what was decided.

    The page is at an address of this machine that is printed. Every decision is stored at once. The call ends when it
    is interrupted (Ctrl-C), and the same call goes on with the review.

    Parameters
    ----------
    source : str or Path
        The label table to review, the folder of a prediction, or the file of a review.
    images : str or Path, optional
        The image folder. A review that goes on knows it.
    findings : str or Path, optional
        What is to be decided: the folder that `audit` made, or the .findings.csv or .scores.csv of `curate`. Without it
        every label is shown.
    groups : str or Path, optional
        A table of groups (NAME,group), to choose by. For a prediction: the slide of each image, by default its
        sub-folder.
    reviewer : str, optional
        The name of the reviewer, by default the user's. With `export`: only the decisions of this reviewer.
    output : str or Path, optional
        The file of the review, by default beside the table. If it exists, it goes on.
    dataset : str or Path
        The data set, which knows the classes, by default "cytologia", or the data set that `predict` noted. A review
        that goes on knows it.
    export : str or Path, optional
        Write the decisions as a change log that `apply` and `undo` read, and show no page. For a prediction: write the
        cells of signed slides as a label table.
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
    >>> reviewed = cytoyolo.apply("labels.csv", made.output)  # doctest: +SKIP
    """
    source = Path(source)
    name = None if reviewer is None else check_reviewer(reviewer)
    check_host(host, password)
    path = _path(source, None if output is None else Path(output))
    if export is not None:
        inputs = {"images": images, "findings": findings, "groups": groups, "dataset": dataset}
        if known := [one for one, value in inputs.items() if value is not None]:
            raise UsageError(
                f"{option('export')} writes a review, which knows its inputs; leave out {option(known[0])}."
            )
        return export_review(path, Path(export), name, overwrite)
    if overwrite:
        raise UsageError(f"{option('overwrite', True)} needs {option('export')}; a review is never replaced.")
    _check_extra()
    folder, found, grouped = (None if one is None else Path(one) for one in (images, findings, groups))
    given = _Given(source, folder, found, grouped, dataset)
    check_place(path)
    # A call that is wrong in its address leaves no new review, which the right call could not change.
    with locked(path), _listening(host, port) as listening:
        goes_on = path.exists()
        if not goes_on:
            _begin(path, given)
        store = Store(path)
        if goes_on:  # a new review has the inputs that were given, and they said their notes as it was made
            _check_inputs(store, given)
        bound, address, hosts = listening
        if host is not None:
            console.warn(
                f"Everyone in the network who knows the password can review at http://{address}/. Nothing is encrypted."
            )
        _serve(store, given.images, Access(address, hosts, name or _user(), password or ""), bound, browser)
        return state_of(store, None)[0]


@dataclass(frozen=True)
class _Given:
    """The inputs of a call."""

    source: Path
    images: Path | None
    findings: Path | None
    groups: Path | None
    dataset: str | Path | None


def _begin(path: Path, given: _Given) -> None:
    """Make the file of a new review."""
    if given.images is None:
        raise UsageError(f"{option('images')} is missing; give the image folder of {given.source}.")
    if given.source.is_dir():
        if given.findings is not None:
            raise UsageError(
                f"{option('findings')} needs a label table, and {given.source} is a prediction; leave it out."
            )
        create(path, begin_cells(given.source, given.images, given.groups, given.dataset), [])
        return
    spec = load_spec(defaults.DATASET if given.dataset is None else given.dataset)
    about, items = begin_labels(given.source, given.images, given.findings, given.groups, spec)
    create(path, about, items)


def _check_inputs(store: Store, given: _Given) -> None:
    """Refuse a review of another table, prediction, data set, findings or groups than are given."""
    if given.dataset is not None and load_spec(given.dataset).codes != store.about.spec.codes:
        raise UsageError(f"{store.path} has other classes; leave {option('dataset')} out to go on with it.")
    if not is_review(given.source):
        check_same(store.path, store.about, given.source, given.findings)
    elif given.findings is not None:
        check_same(store.path, store.about, Path(store.about.source), given.findings)
    if given.groups is not None:
        check_same_groups(store, given.groups)


def _path(source: Path, output: Path | None) -> Path:
    """The file of the review of a source."""
    if is_review(source):
        if output is not None:
            raise UsageError(f"{source} is a review already; leave {option('output')} out.")
        return source
    if not source.exists():
        raise UsageError(f"{source}: no such file; check the path.")
    if source.is_dir():
        check_prediction(source)
    stem = source.resolve().name if source.is_dir() else source.stem
    path = source.resolve().with_name(f"{stem}{REVIEW}") if source.is_dir() else source.with_name(f"{stem}{REVIEW}")
    path = path if output is None else output
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


@contextmanager
def _listening(host: str | None, port: int) -> Iterator[tuple[socket.socket, str, frozenset[str]]]:
    """Bind the port of the page; see `listen`."""
    bound, address, hosts = listen(host, port)
    with bound:
        if (taken := int(address.rpartition(":")[2])) != port:
            console.note(f"Port {port} is in use; the page is at port {taken}.")
        yield bound, address, hosts


def _serve(store: Store, images: Path | None, access: Access, bound: socket.socket, browser: bool) -> None:
    """Show the page until the program is interrupted."""
    from cytoyolo.reviewing.desk import Desk
    from cytoyolo.reviewing.gallery import Gallery
    from cytoyolo.reviewing.pictures import PictureMaker
    from cytoyolo.reviewing.server import application, server_of

    folder = Path(store.about.images) if images is None else images
    table = LabelTable.parse(Path(store.about.source), store.about.table, store.about.spec)
    names = images_of(store, table)
    partners = {name for item in store.items for name in item.partner_images if name not in names}
    pictures = PictureMaker(folder, files_of(folder, names, sorted(partners)))
    console.note(f"{access.reviewer} reviews {Path(store.about.source).name} at {access.url}")
    console.note(f"Every decision is stored at once in {store.path}. End with Ctrl-C.")
    if browser:
        Timer(_BROWSER_S, webbrowser.open, [access.url]).start()
    desk = Gallery(store, pictures) if store.about.kind == CELLS else Desk(store, pictures)
    try:
        server_of(application(desk, access)).run(sockets=[bound])
    except KeyboardInterrupt:
        pass  # the usual end of a review
    finally:
        pictures.close()
