"""Synthetic blood smears of 23 kinds of cell, in the challenge's form."""

from cytoyolo.synthetic.smear.scene import CODES, EXAMPLES, Scene, kind_sheet, kind_tile, render_scene

__all__ = ["CODES", "EXAMPLES", "Scene", "kind_sheet", "kind_tile", "render_scene"]
