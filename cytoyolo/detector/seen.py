"""Which images weights have seen. A training notes a short fingerprint of each image in its weights, besides the
fingerprints that the weights it started from had. So figures about these images are not taken for figures about new
images."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# The fingerprints are cut to this number of characters (64 bits): two of a million images differ almost surely.
_LENGTH = 16
_KEY = "seen"


@dataclass(frozen=True)
class Seen:
    """What a checkpoint knows of the images that it was trained on.

    Attributes
    ----------
    images : frozenset of str
        Short fingerprints of the image files, both as `convert` got them and as they stood in the YOLO folders. Older
        weights know only the second.
    dataset, labels : str or None
        The SHA-256 of the last training's images and label table. Older weights know only these.

    Examples
    --------
    >>> seen = Seen(frozenset({"00112233445566ff"}))
    >>> [seen.has(digest) for digest in ("00112233445566ff8899aabbccddeeff", "ff112233445566ff8899aabbccddeeff")]
    [True, False]
    """

    images: frozenset[str] = frozenset()
    dataset: str | None = None
    labels: str | None = None

    def has(self, digest: str) -> bool:
        """Tell whether the image with this fingerprint (`images.info.digest` of its bytes) was trained on."""
        return digest[:_LENGTH] in self.images

    def and_images(self, digests: Iterable[str]) -> dict[str, list[str]]:
        """As it is stored with weights that were trained on further images; {} if there are no images at all.

        Examples
        --------
        >>> Seen(frozenset({"ff00ff00ff00ff00"})).and_images(["00112233445566ff8899aabbccddeeff"])
        {'seen': ['00112233445566ff', 'ff00ff00ff00ff00']}
        """
        images = self.images | {digest[:_LENGTH] for digest in digests}
        return {_KEY: sorted(images)} if images else {}


def parse_seen(stored: Mapping[str, Any]) -> Seen:
    """Read what the facts of a checkpoint say of its images. Facts of another form say nothing.

    Examples
    --------
    >>> parse_seen({"seen": ["00112233445566ff"], "labels": 7})
    Seen(images=frozenset({'00112233445566ff'}), dataset=None, labels=None)
    """
    images = stored.get(_KEY)
    known = images if isinstance(images, list) else []
    texts = [stored[key] if isinstance(stored.get(key), str) else None for key in ("dataset", "labels")]
    return Seen(frozenset(one for one in known if isinstance(one, str)), *texts)
