"""Submission rows, their check and their score; the leukocyte differential."""
