"""The schemas of the tree, read once: one closed JSON Schema per kind and version."""

import json
from functools import cache
from importlib import resources
from typing import Any

from node.errors import ConfigError


@cache
def load(name: str) -> dict[str, Any]:
    """A schema with its references resolved in place.

    References lead only to other files of this folder, never to a network; resolved once here,
    they cost nothing at each validation.

    Args:
        name: Without ending, e.g. ``certificate.v1``.

    Raises:
        ConfigError: ``unknown-schema``.
    """
    schema = _read(f"{name}.json")
    resolved = _resolve(schema, schema)
    assert isinstance(resolved, dict)
    return resolved


@cache
def _read(file_name: str) -> dict[str, Any]:
    file = _folder() / file_name
    if not file.is_file():
        raise ConfigError(f"no schema {file_name}", code="unknown-schema")
    schema: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return schema


def _folder() -> Any:
    # In the wheel the schemas stand inside the package, in the source tree beside it.
    package = resources.files("node")
    inside = package / "schemas"
    return inside if inside.is_dir() else package / ".." / "schemas"


def _resolve(part: Any, root: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_resolve(item, root) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        file_name, _, path = part["$ref"].partition("#/")
        target_root = _read(file_name) if file_name else root
        target: Any = target_root
        for step in path.split("/"):
            target = target[step]
        return _resolve(target, target_root)
    return {key: _resolve(value, root) for key, value in part.items()}
