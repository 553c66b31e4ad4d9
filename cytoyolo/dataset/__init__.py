"""A table and its images become a YOLO folder: splits, staging, the embedded smear set."""
