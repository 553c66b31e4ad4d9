"""Detections become submission rows; submission rows become a score."""
