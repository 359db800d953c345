"""Where the third-party vectors are, or a skip that says so."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("KPNODE_VECTORS") or Path(__file__).parents[2] / "shared" / "vectors")


def load(name: str) -> Any:
    """A vector file as JSON; skips the test where the folder is absent."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no vectors at {path}; set KPNODE_VECTORS")
    return json.loads(path.read_text("utf-8"))
