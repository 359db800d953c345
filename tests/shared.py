"""The folder beside the project that has the third-party vectors and the sample data."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

_NAMED = os.environ.get("KPNODE_SHARED")
_FOLDER = Path(_NAMED) if _NAMED else Path(__file__).parents[2] / "shared"


def lacking(what: str) -> None:
    """Skip a test whose surroundings this machine lacks, and say so; the only place that skips.

    A plain clone on a laptop has no vectors beside it, and perhaps no nginx and no root: `make test`
    must work there all the same. Where ``KPNODE_SHARED`` is named, as CI does, nothing may skip.
    """
    assert not _NAMED, f"{what}: where KPNODE_SHARED is named, everything must be there"
    pytest.skip(what)


def load(name: str) -> Any:
    """A file of the folder as JSON, e.g. ``vectors/kpx/example.json``.

    The vectors stay where they are, so a plain clone has none: there the test skips and says so.
    A folder that is there, or named by ``KPNODE_SHARED`` as CI does, must have the file.
    """
    if not _FOLDER.is_dir():
        lacking(f"no folder {_FOLDER}; set KPNODE_SHARED")
    return json.loads((_FOLDER / name).read_text("utf-8"))
