"""The API's description as a page to read, made from the description alone; needs no network."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from node.schema import catalogue
from node.web import description


def page(base: str) -> dict[str, Any]:
    """What the page shows; `base` is where this console is reached."""
    described = catalogue.description()
    return {"base": base, "info": described["info"], "tags": _tags()}


@cache
def _tags() -> list[dict[str, Any]]:
    described = catalogue.description()
    operations = [_told(one) for one in description.operations().values()]
    return [
        {**tag, "operations": [one for one in operations if tag["name"] in one["tags"]]}
        for tag in described["tags"]
    ]


def _told(one: description.Operation) -> dict[str, Any]:
    served = description.served()
    told = served["paths"][one.path][one.method.lower()]
    media, sample = _sample(told)
    return {
        "id": one.id,
        "method": one.method,
        "path": one.path,
        "tags": told["tags"],
        "summary": told["summary"],
        "description": told.get("description", ""),
        "open": one.open,
        "scopes": sorted(one.scopes),
        "parameters": [
            {
                "name": name,
                "in": place,
                "form": _form(parameter["schema"]),
                "description": parameter.get("description", ""),
            }
            for (place, name), parameter in one.parameters.items()
        ],
        "body": json.dumps(_short(_schema(one)), indent=2, ensure_ascii=False) if one.body else "",
        "media": media,
        "sample": sample,
        "example": _as_curl(one, media, sample),
        "answers": [
            {"status": status, "description": _resolved(served, answer, "responses")["description"]}
            for status, answer in told["responses"].items()
        ],
    }


def _sample(told: Mapping[str, Any]) -> tuple[str, str]:
    """The media type of a body and an example of one; empty where there is none."""
    body = _resolved(description.served(), told.get("requestBody", {}), "requestBodies")
    for media, content in body.get("content", {}).items():
        example = content.get("example", "")
        if not isinstance(example, str):
            example = json.dumps(example, ensure_ascii=False, indent=2)
        return media, example
    return "", ""


def _as_curl(one: description.Operation, media: str, sample: str) -> str:
    """The example as curl sends it."""
    if not sample:
        return ""
    quoted = sample.replace("'", "'\\''")
    return (
        f'curl -X {one.method} "$NODE{one.path}" -H "Authorization: Bearer $TOKEN" \\\n'
        f"  -H 'Content-Type: {media}' --data-binary '{quoted}'"
    )


def _schema(one: description.Operation) -> Any:
    """The body's schema with its references left as names."""
    part: Any = catalogue.description()
    for step in one.body.split("/")[1:]:
        part = part[step.replace("~1", "/").replace("~0", "~")]
    return part


def _short(part: Any) -> Any:
    """A schema for people: names of what it refers to, without what is the same everywhere."""
    if isinstance(part, list):
        return [_short(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return "→ " + part["$ref"].removeprefix("common.v1.json#/$defs/").removesuffix("#/")
    hidden = ("additionalProperties", "type") if "properties" in part else ()
    return {name: _short(value) for name, value in part.items() if name not in hidden}


def _form(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    known = [str(schema.get("title") or schema.get("type", "text"))]
    if "default" in schema:
        known.append(f"default {schema['default']}")
    return ", ".join(known)


def _resolved(served: Mapping[str, Any], part: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    name = part.get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = served["components"][kind][name] if name else part
    return found
