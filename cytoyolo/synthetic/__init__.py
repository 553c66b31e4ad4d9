"""Makers of test data: painted smears, and faults put into a data set."""
