"""The values of a certificate, or those that a document brings about it, as people compare them."""

from collections.abc import Iterator, Mapping
from typing import Any

_BRINGS = ("found", "proposed", "amended")
"""Members in which documents and records name the figures they are about."""

_SEALS = ("seals_intact", "containers")


def brought(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says of goods or seals beside what its certificate says.

    Args:
        body: Of whatever answers a certificate.
    """
    told = {name: body[name] for name in _SEALS if name in body}
    for member in _BRINGS:
        told |= body.get(member) or {}
    return told


def rows(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Values as labels and texts, each a line; those that nobody compares are left out.

    Args:
        values: Members of a certificate's body, of what was found, proposed or agreed.
    """
    if "parcels" in values:
        yield "parcels", str(values["parcels"])
    if "totals" in values:
        yield "totals", _amount(values["totals"])
    for line in values.get("lines", ()):
        described = f", {line['description']}" if "description" in line else ""
        yield f"HS {line['hs']}", _amount(line) + described
    if "mining_origins" in values:
        named = ", ".join(values["mining_origins"])
        yield "mined in", f"mixed: {named}".strip(": ") if values["mixed_origin"] else named
    for role in ("exporter", "importer"):
        if role in values:
            party = values[role]
            yield role, f"{party['name']}, {party['address']}, {party['country']}"
    if "seals_intact" in values:
        yield "seals", "intact" if values["seals_intact"] else "BROKEN"
    if "containers" in values:
        yield "seals", ", ".join(container["seal"] for container in values["containers"])


def in_short(values: Mapping[str, Any]) -> str:
    """Values on one line; of goods the totals."""
    return "; ".join(
        f"{label} {text}" for label, text in rows(values) if not label.startswith("HS ")
    )


def _amount(of: Mapping[str, Any]) -> str:
    return f"{of['carats']} ct, US$ {of['value_usd']}"
