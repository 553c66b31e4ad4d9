"""`python -m cytoyolo`: the program."""

from cytoyolo.cli import main

if __name__ == "__main__":  # worker processes import this module under another name
    main()
