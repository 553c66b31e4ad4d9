"""Trained weights of this package: a checkpoint and its model card for each name. See docs/leukocytes.md."""
