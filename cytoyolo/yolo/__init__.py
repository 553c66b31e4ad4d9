"""A table and its images become a YOLO folder: splits, staged images, label files, and the check of all that."""
