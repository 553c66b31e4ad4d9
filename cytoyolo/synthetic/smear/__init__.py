"""Synthetic blood smears of 23 kinds of cell, in the challenge's form."""

from cytoyolo.synthetic.smear.scene import Scene, kind_sheet, render_scene

__all__ = ["Scene", "kind_sheet", "render_scene"]
