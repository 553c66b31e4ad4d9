"""The annotation-cleaning module: facts and judgements of labels and image files."""
