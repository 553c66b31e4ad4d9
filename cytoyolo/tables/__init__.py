"""The one way to read and write a CSV: line numbers and bytes are kept."""
