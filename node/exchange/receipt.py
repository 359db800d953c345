"""The receipt: what it says, in which order, and within which size (protocol section 3)."""

from collections.abc import Mapping, Sequence
from typing import Any

from node import base64url, strict_json
from node.authority import OwnAuthority
from node.documents import Document
from node.errors import Finding
from node.exchange import peer_log
from node.ledger import entries, witness
from node.ledger.database import Transaction
from node.log.chain import Place

MAX_RESULTS_BYTES = 600 * 1024
"""Of a receipt's 1 MiB, which base64 makes 768 KiB of JSON; the rest is for `rejudged` and log."""

_ORDER = ("manifest", "stream", "results", "rejudged", "log", "witnessed", "code")


def body(
    tx: Transaction,
    own: OwnAuthority,
    manifest: Document,
    have: Place,
    results: list[dict[str, Any]],
    from_size: int,
    now_s: int,
) -> dict[str, Any]:
    """The body of the receipt for a manifest, with this log's checkpoint as the tree stands now.

    Its proof leads from `from_size`, which the sender has witnessed.
    """
    return {
        "manifest": manifest.doc_id,
        "stream": {"have": have.position, "head": base64url.encode(have.head)},
        "results": _fitting(results),
        "log": peer_log.own_log_part(tx, own, from_size, now_s),
        "witnessed": peer_log.head_of(witness.held(tx, manifest.iss)),
    }


def in_order(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a receipt's body in the order they are written."""
    return {name: members[name] for name in _ORDER if name in members}


def accepted(doc_id: str, index: int) -> dict[str, Any]:
    """The result of a document that entered the log."""
    return {"doc": doc_id, "outcome": "accepted", "index": index}


def duplicate(doc_id: str, index: int) -> dict[str, Any]:
    """The result of a document that the log has held since `index`."""
    return {"doc": doc_id, "outcome": "duplicate", "index": index}


def rejected(doc_id: str, errors: Sequence[Finding] | Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The result of a refused document, with its findings."""
    told = [error.as_json() if isinstance(error, Finding) else error for error in errors]
    return {"doc": doc_id, "outcome": "rejected", "errors": told}


def checkpoint_of(receipt: bytes) -> str:
    """The checkpoint in a receipt that this node has given."""
    note: str = entries.claims(receipt)["body"]["log"]["checkpoint"]
    return note


def _fitting(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results with as many findings as there is room for; each refusal keeps its first code."""
    allowance = MAX_RESULTS_BYTES // max(1, len(results))
    return [
        result | {"errors": _fitting_errors(result["errors"], allowance)}
        if result["outcome"] == "rejected"
        else result
        for result in results
    ]


def _fitting_errors(errors: list[dict[str, Any]], allowance: int) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for error in errors:
        allowance -= len(strict_json.dumps(error))
        if allowance < 0:
            break
        kept.append(error)
    first = errors[0]
    return kept or [{"code": first["code"], "rule": first["rule"], "detail": first["detail"][:80]}]
