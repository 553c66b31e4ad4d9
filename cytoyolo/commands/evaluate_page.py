"""The page of `evaluate`: figures, and with images the cells behind them."""

from collections.abc import Sequence
from pathlib import Path

from cytoyolo.commands.page_cells import OutcomeTiles, draw_outcome
from cytoyolo.commands.page_tiles import reader
from cytoyolo.report.page import PAGE, write_page
from cytoyolo.report.pages.evaluation import evaluation_page
from cytoyolo.report.pictures import Pictures
from cytoyolo.scoring.cells import Cells
from cytoyolo.scoring.evaluation import Evaluation


def write_evaluation_page(
    folder: Path,
    about: str,
    made: Evaluation,
    cells: Cells,
    names: Sequence[str],
    images: str | Path | None,
    seen: str = "",
    precision: float | None = None,
) -> None:
    """Write the page into a folder. Without images it has no pictures. `seen` says that the weights know the images,
    and `precision` is what the proposed thresholds must reach."""
    tiles, without = OutcomeTiles({}, [], []), "Without the image folder there are no pictures of the cells."
    if images is not None:
        read, pictures, without = reader(Path(images), names), Pictures(folder / PAGE), ""
        tiles = draw_outcome(cells, names, made.best.threshold, read, pictures)
    write_page(folder / PAGE, evaluation_page(about, made, tiles.cells, tiles.worst, without, seen, precision))
