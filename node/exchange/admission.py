"""Whom to listen to: what a manifest and a request token have in common (protocol section 4)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from node import bundle
from node.authority import OwnAuthority
from node.clock import CLOCK_GRACE_S, seconds
from node.documents import SignedDocument, UnverifiedJws
from node.domain.context import Context
from node.domain.kinds import Kind
from node.errors import ProblemError, RefusedError
from node.exchange.judge import Judge
from node.ids import Authority
from node.jose.verify import verify
from node.ledger import peers
from node.ledger.database import Transaction

RETRY_AFTER_PAUSE_S = 900


def judge_of(own: OwnAuthority, sender: Authority, context: Context) -> Judge:
    """Who judges what stands in the stream of a peer; a peer that is stopped has no keys."""
    ring = {sender: own.book.ring[sender]} if sender in own.book.ring else {}
    return Judge(own.name, own.sandbox, sender, ring, context)


def check_known(own: OwnAuthority, issuer: str, tx: Transaction | None = None) -> None:
    """Only pinned peers are spoken to, and only while neither side is paused.

    Args:
        own: Who is called.
        issuer: Who calls.
        tx: A transaction, where there is one already.

    Raises:
        ProblemError: ``unknown-peer``, or ``paused`` by the operator or because keys have changed.
    """
    if issuer in own.book.stopped:
        raise ProblemError(
            "paused",
            "this peer is stopped; its operator should call ours",
            {"retry_after": RETRY_AFTER_PAUSE_S},
        )
    if issuer not in own.book.ring:
        raise ProblemError("unknown-peer", "no such peer")
    state = peers.state(tx, issuer) if tx else own.ledger.read(lambda tx: peers.state(tx, issuer))
    if state is not None and state.paused_at is not None:
        raise ProblemError(
            "paused",
            "the exchange with this peer is paused here; its operator should call ours",
            {"retry_after": RETRY_AFTER_PAUSE_S},
        )


def authenticate(own: OwnAuthority, untrusted: UnverifiedJws, kind: Kind) -> SignedDocument:
    """A manifest or token, signed by a known peer.

    Raises:
        ProblemError: ``unknown-peer``, ``paused`` or ``bad-signature``.
    """
    check_known(own, untrusted.claimed_issuer)
    try:
        return verify(untrusted, own.book.ring, kind.role)
    except RefusedError as refusal:
        raise ProblemError("bad-signature", str(refusal)) from None


def check_addressed(own: OwnAuthority, claims: Mapping[str, Any], now: datetime) -> None:
    """Version, audience, sandbox and time of an authentic manifest or token.

    Raises:
        ProblemError: ``unsupported-version``, ``wrong-audience``, ``wrong-sandbox``, ``expired``.
    """
    body = claims.get("body")
    protocol = body.get("protocol", bundle.PROTOCOL) if isinstance(body, dict) else bundle.PROTOCOL
    if protocol != bundle.PROTOCOL:
        raise ProblemError("unsupported-version", f"expected {bundle.PROTOCOL}")
    if claims.get("aud") != [own.name]:
        raise ProblemError("wrong-audience", f"this is {own.name}")
    if bool(claims.get("sandbox")) != own.sandbox:
        raise ProblemError("wrong-sandbox", "sandbox and production never mix")
    now_s, iat, exp = seconds(now), claims.get("iat"), claims.get("exp")
    early = type(iat) is int and iat > now_s + CLOCK_GRACE_S
    late = type(exp) is int and exp + CLOCK_GRACE_S < now_s
    if early or late:
        detail = f"iat {iat}, exp {exp}: {'not yet valid' if early else 'expired'}"
        raise ProblemError("expired", detail, {"now": now_s})
