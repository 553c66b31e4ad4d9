"""Why an image file can't be used: it is damaged, or it is sound and not for this tool."""


class Unusable(Exception):
    """What is wrong with a file, in a few words: it is damaged, or no image."""


class Unsupported(Unusable):
    """What of a sound file isn't read here, in a few words, with a remedy. Its labels are as good as before."""
