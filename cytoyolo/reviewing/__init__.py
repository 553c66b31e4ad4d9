"""People decide about labels and cells: what they are shown, what they decided, and what becomes of the table."""
