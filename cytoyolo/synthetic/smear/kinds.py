"""The morphology of the 23 kinds of cell, as a painter needs it.

Lengths are pixels at about 10 px/um, the scale of the challenge's images; colours are RGB. Morphology after common
haematology atlases: size, nucleus, nucleus to cytoplasm ratio, chromatin, granules, colour of the cytoplasm.
"""

from dataclasses import dataclass
from typing import Literal

Colour = tuple[int, int, int]
Nucleus = Literal["round", "oval", "indented", "kidney", "lobed", "cleaved", "cerebriform", "smudged", "none"]


@dataclass(frozen=True)
class CellKind:
    """How one kind of cell looks.

    - radius: the mean radius of the cell.
    - ratio: the radius of the nucleus divided by the radius of the cell.
    - offset: the distance of the nucleus from the centre, in cell radii.
    - lobes, vacuoles, nucleoli, rods (Auer rods): the least and the greatest number.
    - chromatin: (grain in pixels, contrast 0 to 1). `blocky` hardens it into clumps.
    - outline, villi: the amplitudes of the slow and the quick undulation of the cell's edge, in radii.
    - halo: the strength of a pale zone around the nucleus, or beside it if negative.
    - granules: (count, size, colour, whether they are painted over the nucleus too).
    """

    radius: float
    nucleus: Nucleus
    ratio: float
    cytoplasm: Colour
    nucleus_colour: Colour = (98, 50, 140)
    offset: float = 0.05
    lobes: tuple[int, int] = (0, 0)
    chromatin: tuple[float, float] = (3.0, 0.25)
    blocky: bool = False
    nucleoli: tuple[int, int] = (0, 0)
    outline: float = 0.025
    villi: float = 0.0
    halo: float = 0.0
    vacuoles: tuple[int, int] = (0, 0)
    granules: tuple[int, float, Colour, bool] = (0, 0.0, (0, 0, 0), False)
    rods: tuple[int, int] = (0, 0)


_AZURE: Colour = (142, 40, 112)
_FINE: Colour = (196, 132, 160)

KINDS: dict[str, CellKind] = {
    # Nothing but a blast: fine chromatin, several nucleoli, little cytoplasm, no granules.
    "B": CellKind(62, "round", 0.87, (158, 172, 222), (128, 82, 164), chromatin=(1.6, 0.12), nucleoli=(2, 3)),
    # Big dark violet granules hide the nucleus.
    "BA": CellKind(57, "lobed", 0.66, (212, 190, 222), lobes=(2, 3), granules=(85, 4.4, (52, 20, 84), True)),
    # Orange granules fill the cytoplasm; two lobes.
    "EO": CellKind(65, "lobed", 0.62, (238, 176, 150), lobes=(2, 2), granules=(330, 3.4, (222, 104, 56), False)),
    # Small; a round, nearly black nucleus in grey-pink cytoplasm.
    "Er": CellKind(43, "round", 0.55, (205, 172, 186), (48, 26, 78), chromatin=(4.0, 0.15), offset=0.08),
    # Packed with red-violet granules over the nucleus as well, and Auer rods in bundles.
    "LAM3": CellKind(
        76, "indented", 0.68, (186, 122, 184), (112, 58, 146), chromatin=(2.0, 0.15),
        granules=(330, 2.4, (138, 28, 104), True), rods=(3, 7), outline=0.04,
    ),
    # Small; a deep cleft runs into the nucleus.
    "LF": CellKind(48, "cleaved", 0.88, (176, 190, 228), (88, 44, 130), chromatin=(3.5, 0.22)),
    # Much clear cytoplasm with a handful of coarse azure granules.
    "LGL": CellKind(66, "round", 0.56, (208, 220, 242), offset=0.22, granules=(14, 3.0, _AZURE, False), outline=0.05),
    # Large; deep blue cytoplasm that darkens towards its uneven edge.
    "LH_lyAct": CellKind(80, "oval", 0.58, (92, 112, 196), (108, 58, 148), offset=0.16, outline=0.07, halo=0.35),
    # Small; chromatin in hard blocks, like a football.
    "LLC": CellKind(49, "round", 0.86, (184, 198, 234), (92, 46, 132), chromatin=(4.6, 0.55), blocky=True),
    # A notched nucleus of irregular outline, larger than a small lymphocyte.
    "LM": CellKind(57, "indented", 0.82, (170, 186, 228), (104, 58, 146), chromatin=(2.4, 0.25), outline=0.05),
    # Small, dense, smooth and round.
    "LY": CellKind(46, "round", 0.8, (176, 198, 238), (80, 38, 122), chromatin=(6.0, 0.14)),
    # Hair-like villi around a pale cytoplasm.
    "LZMG": CellKind(58, "round", 0.62, (192, 208, 236), (96, 50, 136), chromatin=(3.4, 0.3), villi=0.11),
    # Fine chromatin, hardly a rim of deep blue cytoplasm.
    "LyB": CellKind(
        55, "oval", 0.92, (104, 122, 204), (118, 70, 156), chromatin=(2.2, 0.16), nucleoli=(0, 1),
        vacuoles=(0, 2),
    ),
    # A smear of chromatin strands; no cytoplasm, no edge.
    "Lysee": CellKind(84, "smudged", 0.9, (222, 206, 226), (150, 92, 172), chromatin=(7.0, 0.35), outline=0.14),
    # Oval eccentric nucleus, pink cytoplasm with fine granules.
    "M": CellKind(
        73, "oval", 0.58, (226, 190, 204), (100, 54, 140), offset=0.24, chromatin=(3.6, 0.3),
        granules=(240, 1.7, _FINE, False),
    ),
    # Blast with a few azure granules and prominent nucleoli; more, bluer cytoplasm than B.
    "MBL": CellKind(
        70, "round", 0.72, (134, 154, 216), (124, 76, 162), offset=0.12, chromatin=(1.6, 0.12),
        nucleoli=(2, 4), granules=(16, 2.2, _AZURE, False),
    ),
    # As M, with a kidney-shaped nucleus.
    "MM": CellKind(
        69, "kidney", 0.62, (236, 204, 208), (92, 48, 134), offset=0.14, chromatin=(4.0, 0.32),
        granules=(220, 1.7, _FINE, False),
    ),
    # Large, grey-blue, vacuoles, lacy folded nucleus.
    "MO": CellKind(
        80, "kidney", 0.74, (166, 170, 198), (118, 76, 158), chromatin=(4.4, 0.24), vacuoles=(3, 8),
        outline=0.06,
    ),
    # Large; round pale nucleus with one great nucleolus, grey-blue cytoplasm.
    "MoB": CellKind(
        84, "round", 0.7, (136, 142, 188), (134, 90, 172), offset=0.14, chromatin=(2.0, 0.12), nucleoli=(1, 1),
        vacuoles=(0, 2), outline=0.05,
    ),
    # The largest; azure granules over a blue cytoplasm, pale zone beside the eccentric nucleus.
    "PM": CellKind(
        86, "round", 0.58, (150, 162, 214), (110, 62, 150), offset=0.26, chromatin=(2.2, 0.18),
        nucleoli=(1, 2), granules=(130, 2.7, _AZURE, True), halo=-0.25,
    ),
    # Three to five lobes in pale pink.
    "PNN": CellKind(
        62, "lobed", 0.68, (240, 214, 214), (84, 42, 124), lobes=(3, 5), chromatin=(4.0, 0.3),
        granules=(200, 1.4, (220, 170, 186), False),
    ),
    # A brain: folds across the whole nucleus.
    "SS": CellKind(58, "cerebriform", 0.84, (178, 192, 230), (96, 50, 136), chromatin=(2.6, 0.2), outline=0.04),
    # No nucleus: a granular violet platelet as large as a cell.
    "Thromb": CellKind(48, "none", 0.0, (196, 178, 222), outline=0.11, granules=(170, 2.3, (122, 62, 156), False)),
}  # fmt: skip
