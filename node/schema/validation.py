"""Validation against the schemas, and findings people can act on.

Form only: rules with codes of their own are in `node.domain`.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from node.documents import Document, SignedDocument
from node.errors import Finding, RefusedError, finding
from node.schema.accepting import accepts

if TYPE_CHECKING:
    from jsonschema import ValidationError

_RULE_OF_KEYWORD = {"x-text": "KP-D-002", "x-sorted": "KP-D-003", "uniqueItems": "KP-D-003"}


def check_document(signed: SignedDocument, kind: str, version: int = 1) -> Document:
    """Check an authentic document against the schema of its kind.

    Args:
        signed: Output of `node.jose.verify`.
        kind: The kind of its ``typ``.
        version: The version of its ``typ``.

    Raises:
        RefusedError: ``schema-invalid``, pointers relative to the body; what is wrong with the
            envelope has pointer ``""`` and names the member in the detail.
    """
    findings = check_payload(f"{kind}.v{version}", signed.claims)
    if findings:
        raise RefusedError(findings)
    return formed(signed, kind)


def formed(signed: SignedDocument, kind: str) -> Document:
    """A document whose form was checked already, here or by a worker."""
    claims = signed.claims
    return Document(
        signed=signed,
        kind=kind,
        aud=tuple(claims["aud"]),
        iat=claims["iat"],
        re=tuple(claims.get("re", ())),
        sandbox=claims.get("sandbox", False),
        body=claims["body"],
    )


def check_payload(name: str, claims: Any) -> list[Finding]:
    """Findings of a whole payload, pointers relative to its body."""
    return [_to_body(found) for found in check(name, claims)]


def check(name: str, instance: Any) -> list[Finding]:
    """Findings of any instance against a schema of the catalogue, pointers from its top."""
    if accepts(name, instance):
        return []
    from node.schema.explaining import explaining  # late: see there

    return [found for error in explaining(name).iter_errors(instance) for found in _findings(error)]


def _to_body(found: Finding) -> Finding:
    if found.pointer == "/body" or found.pointer.startswith("/body/"):
        return Finding(found.code, found.rule, found.pointer.removeprefix("/body"), found.detail)
    member = found.pointer.removeprefix("/") or "envelope"
    return finding(found.rule, "", f"{member}: {found.detail}")


def _findings(error: "ValidationError") -> Iterator[Finding]:
    """One finding a missing or unknown member, so that each has its own pointer."""
    at: Sequence[str | int] = list(error.absolute_path)
    if error.validator == "additionalProperties":
        for name in sorted(set(error.instance) - set(error.schema["properties"])):
            yield finding("KP-D-001", _pointer([*at, name]), "the schema knows no such member")
        return
    if error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield finding("KP-D-001", _pointer([*at, name]), "required member is missing")
        return
    if error.validator == "dependentRequired":
        for name, others in error.validator_value.items():
            for other in others if name in error.instance else ():
                if other not in error.instance:
                    yield finding("KP-D-001", _pointer([*at, other]), f"{name} needs {other}")
        return
    if error.context:  # if/then and anyOf: what failed inside says more
        yield from (found for inner in error.context for found in _findings(inner))
        return
    rule = _RULE_OF_KEYWORD.get(str(error.validator), "KP-D-001")
    yield finding(rule, _pointer(at), _detail(error))


def _detail(error: "ValidationError") -> str:
    got = f"{error.instance!r:.60}"
    if error.validator in ("pattern", "format", "type") and "title" in error.schema:
        return f"expected {error.schema['title']}, got {got}"
    match error.validator:
        case "pattern":
            return f"expected the form {_readable(error.validator_value)}, got {got}"
        case "type":
            return f"expected {error.validator_value}, got {got}"
        case "enum" if len(error.validator_value) > 20:
            return f"expected an ISO 3166-1 country or EU, got {got}"
        case "enum" | "const":
            return f"expected {error.validator_value!r}, got {got}"
        case "format":
            return f"expected a real date YYYY-MM-DD, got {got}"
        case "x-text" | "x-sorted" | "uniqueItems":
            return str(error.message)
        case _:
            return f"{error.validator} {error.validator_value}: got {got}"


def _readable(pattern: str) -> str:
    return pattern.removesuffix("$(?!\\n)").removeprefix("^")


def _pointer(path: Sequence[str | int]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
