"""Trained weights of this package: for each name a checkpoint and its model card."""
