"""Why an image file can't be used: it is damaged, or it is a good file of a kind that is not read here."""


class Unusable(Exception):
    """The file is damaged or not an image. The message says in a few words what is wrong."""


class Unsupported(Unusable):
    """No fault of the file is known, but it is not read here. Its labels stay valid.

    The message says in a few words what is not read and what the user can do.
    """
