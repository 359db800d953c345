"""The schemas of the tree, read once: one closed JSON Schema per kind and version."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from node.errors import ConfigError


@cache
def load(name: str) -> dict[str, Any]:
    """A schema with its references resolved in place.

    References lead only to other files of this folder, never to a network; resolved once here,
    they cost nothing at each validation.

    Args:
        name: Without ending, e.g. ``certificate.v1``; or a part of the API's description, e.g.
            ``openapi.yaml#/components/schemas/Done``.

    Raises:
        ConfigError: ``unknown-schema``.
    """
    file_name, _, pointer = name.partition("#")
    schema = _read(file_name if pointer else f"{name}.json")
    resolved = _resolve(_at(schema, pointer), schema)
    assert isinstance(resolved, dict)
    return resolved


@cache
def _read(file_name: str) -> dict[str, Any]:
    file = _folder() / file_name
    if not file.is_file():
        raise ConfigError(f"no schema {file_name}", code="unknown-schema")
    text = file.read_text("utf-8")
    if not file_name.endswith(".yaml"):
        return dict(json.loads(text))
    import yaml  # late: only the API's description is YAML

    return dict(yaml.safe_load(text))


def description() -> dict[str, Any]:
    """The API's description as it stands in the tree, references and all."""
    return _read("openapi.yaml")


def files_named(part: Any) -> set[str]:
    """The schemas that the references in a part lead to, by file name; and theirs in turn."""
    found: set[str] = set()
    _collect(part, found)
    return found


def raw(file_name: str) -> dict[str, Any]:
    """A schema as its file has it, with references."""
    return _read(file_name)


def _collect(part: Any, found: set[str]) -> None:
    for item in part if isinstance(part, list) else part.values() if isinstance(part, dict) else ():
        _collect(item, found)
    if isinstance(part, dict) and isinstance(part.get("$ref"), str):
        file_name = part["$ref"].partition("#")[0]
        if file_name and file_name not in found:
            found.add(file_name)
            _collect(_read(file_name), found)


def _at(schema: Any, pointer: str) -> Any:
    """The part that a JSON Pointer leads to."""
    for step in pointer.split("/"):
        if step:
            schema = schema[step.replace("~1", "/").replace("~0", "~")]
    return schema


def _folder() -> Path:
    # In the wheel the schemas stand inside the package, in the source tree beside it.
    package = Path(__file__).parents[1]
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"


def _resolve(part: Any, root: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_resolve(item, root) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        file_name, _, pointer = part["$ref"].partition("#")
        target_root = _read(file_name) if file_name else root
        return _resolve(_at(target_root, pointer), target_root)
    return {key: _resolve(value, root) for key, value in part.items()}
