"""How many random examples a property gets: `make test-all` tries all of them, `make test` a quarter."""

import os
from typing import Any

from hypothesis import settings

_FEWEST = 20
_SHARE = 1 if os.environ.get("TEST_ALL") else 4


def examples(count: int, **more: Any) -> settings:
    """Return the settings of a property that gets `count` examples in `make test-all`."""
    return settings(max_examples=max(count // _SHARE, min(count, _FEWEST)), **more)
