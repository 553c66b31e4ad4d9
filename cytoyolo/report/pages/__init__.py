"""One file a page: how the tables and pictures of a run are arranged."""
