"""The same work with several seeds: a sub-folder for each seed, and a summary of their scores (`--seeds`)."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cytoyolo.console import note
from cytoyolo.detector.settings import SeedSettings, TrainingSettings
from cytoyolo.errors import UsageError, option
from cytoyolo.files import write_text
from cytoyolo.report.page import PAGE, write_page
from cytoyolo.report.pages.seeds import seeds_page
from cytoyolo.scoring.over_seeds import COLUMNS, over_seeds

SUMMARY, TABLE = "seeds.json", "seeds.csv"
_LARGEST = 2**32 - 1
_WANTED = f"give two or more different whole numbers from 0 to {_LARGEST}, such as 0,1,2"
_OWN = re.compile(rf"seed\d+|seeds\.json|seeds\.csv|{re.escape(PAGE)}|jobs|\..*")


def divide_settings(settings: SeedSettings) -> tuple[tuple[int, ...], TrainingSettings]:
    """Return the seeds of a call, and its other settings. There are no seeds if `seeds` is not given.

    Raises UsageError for seeds that are wrong, and for `seed` beside them.
    """
    others: Any = {name: value for name, value in settings.items() if name != "seeds"}
    if settings.get("seeds") is None:
        return (), others
    seeds = parse_seeds(settings["seeds"])
    if others.get("seed") is not None:
        raise UsageError(f"{option('seed')} and {option('seeds')} are both given; leave one of them out.")
    return seeds, {name: value for name, value in others.items() if name != "seed"}  # type: ignore[return-value]


def parse_seeds(given: object) -> tuple[int, ...]:
    """Parse seeds: "0,1,2" or [0, 1, 2]. Raises UsageError for anything else, for one seed, and for equal seeds.

    Examples
    --------
    >>> parse_seeds("0,1,2"), parse_seeds([3, 1])
    ((0, 1, 2), (3, 1))
    """
    parts = [part.strip() for part in given.split(",")] if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or any(isinstance(part, bool | float) for part in parts):
        raise UsageError("seeds", given, _WANTED)
    texts = [str(part) for part in parts]
    seeds = tuple(int(text) for text in texts if re.fullmatch(r"\d{1,10}", text, re.ASCII))
    if len(seeds) != len(texts) or len(set(seeds)) != len(seeds) or len(seeds) < 2 or max(seeds) > _LARGEST:
        raise UsageError("seeds", given if isinstance(given, str) else ",".join(texts), _WANTED)
    return seeds


def folders_of(folder: Path, seeds: Sequence[int]) -> dict[int, Path]:
    """Return the sub-folder of each seed, those that are there already first, so that what differs from them is told
    before a training begins.

    Raises UsageError if the folder holds anything else than sub-folders of seeds and their summary.
    """
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if other := next((name for name in there if not _OWN.fullmatch(name)), None):
        raise UsageError(f"{folder} holds {other}, which no call with {option('seeds')} made; give another folder.")
    return {seed: folder / f"seed{seed}" for seed in sorted(seeds, key=lambda seed: f"seed{seed}" not in there)}


def say(seed: int, places: Mapping[int, Path]) -> None:
    """Tell which seed is worked on."""
    note(f"Seed {seed} ({list(places).index(seed) + 1} of {len(places)}): {places[seed]}")


def write_summary(folder: Path, scores: Mapping[int, Mapping[str, Any]], report: bool) -> pd.DataFrame:
    """Write seeds.csv, seeds.json and, for a `report`, a page, and return the table of `over_seeds`. The order of the
    seeds makes no difference. Without a `report`, an earlier page is removed, because it has other figures."""
    table = over_seeds(dict(sorted(scores.items())))
    write_text(folder / TABLE, table.to_csv(index=False, lineterminator="\n"))
    write_text(folder / SUMMARY, json.dumps(to_dict(table), indent=2, ensure_ascii=False) + "\n")
    if report:
        pages = {seed: f"seed{seed}/{PAGE}" for seed in sorted(scores)}
        there = {seed: path if (folder / path).is_file() else "" for seed, path in pages.items()}
        write_page(folder / PAGE, seeds_page(folder.name, table, there))
    else:
        (folder / PAGE).unlink(missing_ok=True)
    return table


def read_summary(folder: Path) -> pd.DataFrame:
    """Read the table that `write_summary` wrote."""
    return pd.read_csv(folder / TABLE)


def to_dict(table: pd.DataFrame) -> dict[str, Any]:
    """Return the table of `over_seeds` for JSON: by figure, the mean, sd, low, high, and the figure of each seed."""
    seeds = [str(name) for name in table if str(name).startswith("seed")]
    return {
        row["figure"]: {
            **{name: row[name] for name in COLUMNS[1:]},
            "seeds": {name.removeprefix("seed"): row[name] for name in seeds},
        }
        for row in table.to_dict("records")
    }
