"""Make test data: draw synthetic smears, and put faults into a data set."""
