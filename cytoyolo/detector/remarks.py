"""Remarks about the images that a prediction reads. Each remark is made once in a run, with the number of its
images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cytoyolo.images.info import DecodedFile
from cytoyolo.images.samples import White, is_dark

_OWN, _BEYOND, _DARK, _TAKEN, _WARNED = "own", "beyond", "dark", "taken", "warned"


@dataclass
class Remarks:
    """Collects remarks about the images that a run reads. `white` is the range that the weights know."""

    white: White
    _about: dict[str, tuple[int, str]] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def add(self, name: str, shown: DecodedFile) -> None:
        """Take note of an image that was read."""
        if shown.samples:
            level, here = self.white.level(shown.samples), f"{name}: 0 to {shown.white:.10g}"
            if not level:
                self._note(_OWN, here)
            elif shown.white != level:
                self._note(_BEYOND, here)
            elif is_dark(shown.peak, shown.white, float(shown.picture.mean())):
                self._note(_DARK, f"{name}: values to {shown.peak:.10g}")
        if shown.taken:
            self._note(_TAKEN, f"{name}: {shown.taken}")
        if shown.warning:
            self._note(_WARNED, f"{name}: {shown.warning}")

    def _note(self, kind: str, what: str) -> None:
        count, first = self._about.get(kind, (0, what))
        self._about[kind] = count + 1, first

    def to_dict(self) -> dict[str, tuple[int, str]]:
        """Return the number of images of each kind of remark, and what is said of the first image."""
        return dict(self._about)

    def join(self, others: Mapping[str, Sequence[Any]]) -> None:
        """Add the remarks that `to_dict` gave for later images."""
        for kind, (more, what) in others.items():
            count, first = self._about.get(kind, (0, str(what)))
            self._about[kind] = count + int(more), first

    def tell(self, say: Callable[[str], object]) -> None:
        """Make the remarks that were not made before."""
        known = ", ".join(f"0 to {level:.10g}" for level in self.white.to_dict().values())
        trained = f"the range that the weights were trained with ({known})"
        sentences = {
            _OWN: "Images of more than 8 bits, each shown in the smallest range that holds its own values because the "
            "weights don't say which range they were trained with: {}.",
            _BEYOND: f"Images beyond {trained}, so that each was shown in its own: {{}}. Check that they are of "
            "the same camera.",
            _DARK: f"Images that are dark in {trained}: {{}}. Check that they are of the same camera.",
            _TAKEN: "Files of several pictures; only a part of the pictures was searched: {}.",
            _WARNED: "Images that their decoder complains of: {}. Look at them.",
        }
        for kind, (count, first) in self._about.items():
            if kind not in self._said:
                self._said.add(kind)
                say(sentences[kind].format(f"{count:,} (such as {first})"))
