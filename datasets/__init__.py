"""Descriptions of data sets, one YAML each; installed as cytoyolo.datasets."""
