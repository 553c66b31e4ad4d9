"""Trained weights that the package brings: for each name a checkpoint (NAME.pt) and its model card (NAME.md)."""
