"""Write a page of a run: one HTML file that needs nothing else. It holds no script, and its policy forbids all scripts
and everything from outside, so that a name from a table is shown whatever it holds."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cytoyolo.files import write_text
from cytoyolo.machine import __version__
from cytoyolo.report.parts import Heat, Link, Mark, Page, Share, number_text, share_text
from cytoyolo.text import one_line

if TYPE_CHECKING:
    from jinja2 import Environment

# The name of the page in the folder of a command's output, and the folder beside it for pictures that it can't hold.
PAGE, PAGE_FILES = "report.html", "report_files"


def write_page(path: Path, page: Page) -> None:
    """Write a page whole or not at all."""
    write_text(path, html_of(page))


def html_of(page: Page) -> str:
    """Return the HTML of a page.

    Examples
    --------
    >>> page = Page("Audit", "<script>alert(1)</script>.csv", "No findings.", "good")
    >>> "<script" in html_of(page), "&lt;script&gt;alert(1)" in html_of(page)
    (False, True)
    """
    return _environment().get_template("page.html").render(page=page, version=__version__).lstrip() + "\n"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cytoyolo.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_in_one_line,
    )
    environment.filters.update(number=number_text, share=share_text, cell=_cell_kind, per_cent=_per_cent)
    return environment


def _in_one_line(value: Any) -> Any:
    """What the template shows of a value: control characters become escapes. What is HTML already stays."""
    return value if hasattr(value, "__html__") else one_line(str(value))


def _cell_kind(value: object) -> str:
    """How the template shows a cell."""
    for kind, name in ((Share, "share"), (Link, "link"), (Mark, "mark"), (Heat, "heat"), (str, "text")):
        if isinstance(value, kind):
            return name
    return "number"


def _per_cent(value: float) -> str:
    """A fraction as a length of CSS."""
    return f"{min(max(value, 0), 1) * 100:.2f}%"
