"""The defaults of the commands' options, and their closed sets of words, each in this place only.

The functions and the command line both take them from here. Nothing but typing is imported, so that `--help` is quick.
"""

DATASET = "cytologia"
RECIPE = "third-place"
FOLDS = 5
DEVICE = "auto"
JOBS = 1
VAL = 0.05
