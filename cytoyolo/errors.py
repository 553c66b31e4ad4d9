"""The errors a user can meet. Their text is one sentence: what is wrong, where, and what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class CytoyoloError(Exception):
    """The work cannot be done, because of its input or of the machine (exit code 1)."""

    exit_code = 1


class UsageError(CytoyoloError):
    """The call itself is wrong: an argument, or a path given as one (exit code 2)."""

    exit_code = 2


def check_seed(seed: int) -> None:
    """Raise UsageError for a seed that numpy and torch would not take."""
    if seed < 0:
        raise UsageError(f"--seed is {seed}; give 0 or more.")


def quoted(value: str, limit: int = 80) -> str:
    """A value of the user's as a sentence shows it: in quotes, cut, without control characters."""
    return repr(value if len(value) <= limit else f"{value[:limit]}…")


def listed(items: list[str], limit: int = 5, total: int | None = None) -> str:
    """Join the first `limit` items with semicolons and count the others, of `total` where the items are not all."""
    rest = (len(items) if total is None else total) - limit
    return "; ".join(items[:limit]) + (f"; and {rest:,} more" if rest > 0 else "")


@contextmanager
def reworded(remedies: Mapping[str, str]) -> Iterator[None]:
    """Work in this block is part of another command, which lacks some options: what is to be done there instead of what
    errors say."""
    try:
        yield
    except CytoyoloError as error:
        sentence = str(error)
        for said, instead in remedies.items():
            sentence = sentence.replace(said, instead)
        if sentence == str(error):
            raise
        raise type(error)(sentence) from error
