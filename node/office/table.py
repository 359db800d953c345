"""Certificates as a CSV table: the row of EU Regulation 2368/2002 article 10, and what else is told.

One row for each line of a certificate; what belongs to the whole certificate stands in each. UTF-8.
No cell is a formula: what a spreadsheet would take for one gets an apostrophe in front, which is
taken off again on the way in.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from node.errors import Finding, RefusedError, finding

COLUMNS = (
    "number", "issued_by", "validated_by", "issued_on", "validated_on", "expires_on", "provenance",
    "mining_origins", "mixed_origin", "destination", "to", "exporter", "exporter_address",
    "exporter_country", "exporter_id", "importer", "importer_address", "importer_country",
    "importer_id", "parcels", "hs", "carats", "value_usd", "description", "seals",
    "consignment_kind", "transport", "declared_by", "sources", "state", "verified_by",
    "confirmed_on",
)  # fmt: skip

OF_A_LINE = ("hs", "carats", "value_usd", "description")
"""Columns of a line; all others are of the certificate, and the same in each of its rows."""

NEEDED = ("number", "issued_by")
"""Columns without which a table says nothing."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
MAX_TABLE_BYTES = 16 * 1024 * 1024


def to_csv(rows: Iterable[Mapping[str, str]]) -> str:
    """A table of rows, with its heading."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _plain(value) for name, value in row.items()})
    return text.getvalue()


def rows_of(
    body: Mapping[str, Any], to: str, state: str, confirmed: Mapping[str, Any] | None
) -> Iterator[dict[str, str]]:
    """The rows of a certificate.

    Args:
        body: Its body, with the figures that count.
        to: The authority it is addressed to.
        state: On this side.
        confirmed: The body of its confirmation, if there is one.
    """
    by = body["validated_by"]
    whole: dict[str, str] = {}
    for role in ("exporter", "importer"):
        party = body[role]
        whole |= {
            role: party["name"],
            f"{role}_address": party["address"],
            f"{role}_country": party["country"],
            f"{role}_id": party.get("trader_id", ""),
        }
    whole |= {
        "number": body["number"],
        "issued_by": body["issued_by"]["authority"],
        "validated_by": ", ".join(by[m] for m in ("authority", "office", "officer") if m in by),
        "issued_on": body["issued_on"],
        "validated_on": by["on"],
        "expires_on": body["expires_on"],
        "provenance": body["provenance"],
        "mining_origins": " ".join(body["mining_origins"]),
        "mixed_origin": "yes" if body["mixed_origin"] else "no",
        "destination": body["destination"],
        "to": to,
        "parcels": str(body["parcels"]),
        "seals": " ".join(one["seal"] for one in body["containers"]),
        "consignment_kind": body["consignment_kind"],
        "transport": body.get("transport", {}).get("mode", ""),
        "declared_by": body.get("declaration", {}).get("by", ""),
        "state": state,
        "verified_by": confirmed["confirmed_by"]["authority"] if confirmed else "",
        "confirmed_on": confirmed["received_on"] if confirmed else "",
    }
    for line in body["lines"]:
        yield whole | {name: line[name] for name in OF_A_LINE if name in line}


Rows = list[tuple[int, dict[str, str]]]
"""Rows of one certificate, each with the line of the file that it ends in."""


def read(raw: bytes) -> list[Rows]:
    """The certificates of a table, in the order of their first rows.

    Rows of one certificate belong together wherever they stand: a table may have been sorted.

    Raises:
        RefusedError: ``not-csv``: it is no table of this form; says which line, and what to do.
    """
    if len(raw) > MAX_TABLE_BYTES:
        raise _no_table(f"expected at most {MAX_TABLE_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_table(f"no UTF-8 at byte {error.start}; save it as CSV UTF-8") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    found: dict[str, Rows] = {}
    try:
        names = list(reader.fieldnames or ())
        if len(names) == 1 and ";" in names[0]:
            raise _no_table(
                "its cells are separated by semicolons; save it with commas (CSV UTF-8)"
            )
        if len(set(names)) != len(names):
            raise _no_table("a column stands twice in its heading")
        if unknown := [name for name in names if name not in COLUMNS]:
            raise _no_table(f"unknown columns {', '.join(unknown)}; expected {','.join(COLUMNS)}")
        if missing := [name for name in NEEDED if name not in names]:
            raise _no_table(f"the columns {', '.join(missing)} are missing")
        for record in reader:
            row = {name: _read_cell(value) for name, value in record.items() if name is not None}
            if None in record or None in record.values():
                raise _no_table(f"line {reader.line_num}: expected {len(names)} cells")
            found.setdefault(row["number"], []).append((reader.line_num, row))
    except csv.Error as error:
        raise _no_table(f"line {reader.line_num}: {error}") from None
    return list(found.values())


def contradictions(rows: Rows) -> list[Finding]:
    """Where rows of one certificate say different things of the whole of it."""
    first_line, first = rows[0]
    return [
        finding(
            "KP-J-006",
            f"/{name}",
            f"line {first_line} has {first[name]!r}, line {line} has {row[name]!r}",
        )
        for line, row in rows[1:]
        for name in first
        if name not in OF_A_LINE and row[name] != first[name]
    ]


def shipment(rows: list[dict[str, str]]) -> dict[str, Any]:
    """The shipment that a certificate's rows describe, as `issue` takes it; judged there."""
    row = rows[0]

    def told(name: str) -> str:
        return row.get(name, "")

    lines = [{name: one[name] for name in OF_A_LINE if one.get(name)} for one in rows]
    made: dict[str, Any] = {
        "from": told("issued_by"),
        "to": told("to"),
        "number": told("number"),
        "issued_on": told("issued_on"),
        "expires_on": told("expires_on"),
        "mining_origins": sorted(set(told("mining_origins").split())),
        "mixed_origin": _YES.get(told("mixed_origin").lower(), told("mixed_origin")),
        "provenance": told("provenance"),
        "destination": told("destination"),
        "exporter": _party(row, "exporter"),
        "importer": _party(row, "importer"),
        "parcels": int(told("parcels")) if _is_count(told("parcels")) else told("parcels"),
        "lines": lines,
        "totals": {name: str(_total(rows, name)) for name in ("carats", "value_usd")},
        "containers": [{"seal": seal} for seal in told("seals").split()],
        "consignment_kind": told("consignment_kind") or "commercial",
        "transport": {"mode": told("transport")} if told("transport") else "",
        "source_certificates": [_source(text) for text in told("sources").split()],
    }
    if told("declared_by"):
        made["declaration"] = {"not_conflict": True, "by": told("declared_by")}
    return {name: value for name, value in made.items() if value not in ("", [])} | {
        "mining_origins": made["mining_origins"], "containers": made["containers"],
    }  # fmt: skip


def carats(rows: list[dict[str, str]]) -> str:
    """The carats of all rows together, as documents write them."""
    return str(_total(rows, "carats"))


def paper_row(number: str, record: Mapping[str, Any]) -> dict[str, str]:
    """The row of a certificate that was admitted on paper, from the body of its record."""
    return {
        "number": number,
        "issued_by": record["from"],
        "issued_on": record.get("issued_on", ""),
        "carats": record["carats"],
        "value_usd": record.get("value_usd", ""),
        "state": "admitted on paper",
        "confirmed_on": record["received_on"],
    }


_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": False}


def _total(rows: list[dict[str, str]], name: str) -> Decimal | str:
    try:
        return sum((Decimal(row.get(name, "")) for row in rows), Decimal(0))
    except ArithmeticError:
        return ""


def _party(row: Mapping[str, str], role: str) -> dict[str, str]:
    members = {
        "name": row.get(role), "address": row.get(f"{role}_address"),
        "country": row.get(f"{role}_country"), "trader_id": row.get(f"{role}_id"),
    }  # fmt: skip
    return {name: value for name, value in members.items() if value}


def _source(text: str) -> dict[str, str]:
    number, _, amount = text.rpartition(":")
    return {"number": number, "carats": amount}


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _plain(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _read_cell(value: str | None) -> str:
    text = (value or "").strip()
    return text[1:] if text.startswith("'") else text


def _no_table(detail: str) -> RefusedError:
    return RefusedError([finding("KP-J-006", "", detail)])
