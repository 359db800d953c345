"""The API's description (``schemas/openapi.yaml``): what is routed, asked for, checked and served.

The description comes first. Routes are made from it, requests are checked against it, and it is
served with the very schemas of the documents that it refers to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from node.errors import Finding, ProblemError
from node.schema import catalogue
from node.schema.explaining import errors
from node.schema.validation import check

FILE = "openapi.yaml"
METHODS = ("get", "post")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the description.

    Attributes:
        id: Its ``operationId``; a handler has the same name.
        scopes: Any one of them is enough.
        open: Whether it is answered without a token on loopback.
        parameters: As described, by place and name.
        body: The pointer to its JSON body's schema, or ``""``.
        media: The media types of its body.
        streams: Whether it can be answered by server-sent events.
    """

    id: str
    method: str
    path: str
    scopes: frozenset[str]
    open: bool
    parameters: Mapping[tuple[str, str], Mapping[str, Any]]
    body: str
    media: tuple[str, ...]
    streams: bool

    @property
    def keyed(self) -> bool:
        """Whether it is done in one transaction with the answer that is kept for its key."""
        return ("header", "Idempotency-Key") in self.parameters

    @property
    def acts(self) -> bool:
        """Whether it changes anything; what only reads is for the scope of readers."""
        return "read" not in self.scopes and self.method == "POST"

    def query(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The query's values, of their types, with the defaults.

        Raises:
            ProblemError: ``bad-request``: unknown, or not of the form.
        """
        described = {name: p for (place, name), p in self.parameters.items() if place == "query"}
        if unknown := sorted(given.keys() - described.keys()):
            raise ProblemError("bad-request", f"unknown parameter {unknown[0]!r:.60}")
        values: dict[str, Any] = {}
        for name, parameter in described.items():
            schema = parameter["schema"]
            if name in given:
                values[name] = _typed(name, given[name], schema)
            elif parameter.get("required"):
                raise ProblemError("bad-request", f"the parameter {name} is missing")
            elif "default" in schema:
                values[name] = schema["default"]
        return values

    def path_values(self, given: Mapping[str, str]) -> dict[str, str]:
        """The parameters of the path.

        Raises:
            ProblemError: ``bad-request``: not of the form.
        """
        return {
            name: _typed(name, text, self.parameters["path", name]["schema"])
            for name, text in given.items()
        }

    def headers(self, given: Mapping[str, str]) -> dict[str, str]:
        """The headers that are described and given.

        Raises:
            ProblemError: ``bad-request``: not of the form.
        """
        found = {}
        for (place, name), parameter in self.parameters.items():
            if place == "header" and name in given:
                found[name] = _typed(name, given[name], parameter["schema"])
        return found

    def checked(self, instance: Any) -> list[Finding]:
        """What is wrong with a body."""
        return check(f"{FILE}#{self.body}", instance)


@cache
def operations() -> dict[str, Operation]:
    """All operations, by id."""
    return {one.id: one for one in _operations(catalogue.description())}


@cache
def served() -> dict[str, Any]:
    """The description as one JSON document, with every schema it refers to."""
    described = catalogue.description()
    bundled: dict[str, Any] = _bundled(described)
    for name in sorted(catalogue.files_named(described)):
        schema = {k: v for k, v in catalogue.raw(name).items() if k not in ("$schema", "$id")}
        bundled["components"]["schemas"][_component(name)] = _bundled(schema, _component(name))
    return bundled


def _operations(described: Mapping[str, Any]) -> Iterator[Operation]:
    for path, item in described["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            told = item[method]
            demands = told.get("security", described["security"])
            shared = [*item.get("parameters", ()), *told.get("parameters", ())]
            pointer, content = _body(described, path, method)
            yield Operation(
                id=told["operationId"],
                method=method.upper(),
                path=path,
                scopes=frozenset(scope for one in demands for scope in one.get("token", ())),
                open={} in demands,
                parameters={(p["in"], p["name"]): p for p in map(_resolver(described), shared)},
                body=pointer if "application/json" in content else "",
                media=tuple(content),
                streams=any(
                    "text/event-stream" in answer.get("content", ())
                    for answer in told["responses"].values()
                ),
            )


def _resolver(described: Mapping[str, Any]) -> Any:
    def resolve(parameter: Mapping[str, Any]) -> Mapping[str, Any]:
        name = parameter.get("$ref", "").rpartition("/")[2]
        found: Mapping[str, Any] = parameter
        if name:
            found = described["components"]["parameters"][name]
        reference = found["schema"].get("$ref", "")
        if reference:
            own = f"{FILE}{reference}" if reference.startswith("#") else reference
            found = {**found, "schema": catalogue.load(own)}
        return found

    return resolve


def _body(described: Mapping[str, Any], path: str, method: str) -> tuple[str, Mapping[str, Any]]:
    """Where the schema of a JSON body stands, and what kinds of body there are."""
    body = described["paths"][path][method].get("requestBody")
    if body is None:
        return "", {}
    if "$ref" in body:
        name = body["$ref"].rpartition("/")[2]
        pointer, content = (
            f"/components/requestBodies/{name}",
            described["components"]["requestBodies"][name]["content"],
        )
    else:
        place = path.replace("~", "~0").replace("/", "~1")
        pointer, content = f"/paths/{place}/{method}/requestBody", body["content"]
    return f"{pointer}/content/application~1json/schema", content


def _typed(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    value: Any = text
    if schema.get("type") == "integer" and text.removeprefix("-").isascii():
        digits = text.removeprefix("-")
        value = int(text) if digits.isdigit() and len(digits) < 17 else text
    elif schema.get("type") == "boolean":
        value = {"true": True, "false": False, "": True}.get(text, text)
    if findings := errors(dict(schema), value):
        raise ProblemError("bad-request", f"{name}: {findings[0]}")
    return value


def _component(file_name: str) -> str:
    return file_name.removesuffix(".json")


def _bundled(part: Any, home: str = "") -> Any:
    """A part with its references as they are in the bundle."""
    if isinstance(part, list):
        return [_bundled(item, home) for item in part]
    if not isinstance(part, dict):
        return part
    reference = part.get("$ref")
    if isinstance(reference, str):
        file_name, _, pointer = reference.partition("#")
        where = _component(file_name) if file_name else home
        if where:
            return {"$ref": f"#/components/schemas/{where}{pointer.rstrip('/')}"}
    return {name: _bundled(value, home) for name, value in part.items()}
