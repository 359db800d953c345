"""The folder beside the project that has the third-party vectors and the sample data."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

_NAMED = os.environ.get("KPNODE_SHARED")
_FOLDER = Path(_NAMED) if _NAMED else Path(__file__).parents[2] / "shared"


def load(name: str) -> Any:
    """A file of the folder as JSON, e.g. ``vectors/kpx/example.json``.

    The vectors stay where they are, so a plain clone has none: there the test skips and says so.
    A folder that is there, or named by ``KPNODE_SHARED`` as CI does, must have the file.
    """
    if not _NAMED and not _FOLDER.is_dir():
        pytest.skip(f"no folder {_FOLDER}; set KPNODE_SHARED")
    return json.loads((_FOLDER / name).read_text("utf-8"))
