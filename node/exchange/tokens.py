"""Request tokens: what authenticates a GET under ``/kpx/`` (protocol section 4)."""

from node.authority import OwnAuthority
from node.clock import seconds
from node.documents import MAX_DOCUMENT_BYTES
from node.domain.kinds import REQUEST
from node.errors import ProblemError, RefusedError
from node.exchange.admission import authenticate, check_addressed
from node.ids import Authority
from node.jose.strict import parse
from node.ledger import transport
from node.schema.validation import check_document

SCHEME = "KPX"
LIFE_S = 60
REMEMBERED_S = 120
"""How long beyond `exp` a token is remembered; as long as the clock's grace accepts it."""


def make(own: OwnAuthority, peer: str, target: str) -> str:
    """The ``Authorization`` header of a GET of `target` (path and query) at a peer."""
    now_s = own.now_s()
    body = {"method": "GET", "target": target}
    signed = own.sign(REQUEST, [peer], body, iat=now_s, exp=now_s + LIFE_S)
    return f"{SCHEME} {signed.raw.decode()}"


def check(own: OwnAuthority, header: str | None, target: str) -> Authority:
    """Who asks for `target`, once and now.

    Args:
        own: Who is asked.
        header: The ``Authorization`` header, if any.
        target: Path and query as received.

    Raises:
        ProblemError: ``bad-request``, ``unknown-peer``, ``paused``, ``bad-signature``,
            ``unsupported-version``, ``wrong-audience``, ``wrong-sandbox``, ``expired`` or
            ``replayed``.
    """
    if header is None:
        raise ProblemError("unknown-peer", "expected Authorization: KPX <request>")
    scheme, _, text = header.partition(" ")
    try:
        untrusted = parse(text.strip().encode("utf-8", "replace"), MAX_DOCUMENT_BYTES)
    except RefusedError as refusal:
        raise ProblemError("bad-request", f"token: {refusal}") from None
    if scheme.upper() != SCHEME or untrusted.typ != REQUEST.typ:
        raise ProblemError("bad-request", f"expected {SCHEME} and a token of {REQUEST.typ}")
    signed = authenticate(own, untrusted, REQUEST)
    now = own.clock.now()
    check_addressed(own, signed.claims, now)
    try:
        document = check_document(signed, REQUEST.name)
    except RefusedError as refusal:
        raise ProblemError("bad-signature", f"token: {refusal}") from None
    claims = signed.claims
    if not 0 < claims["exp"] - document.iat <= LIFE_S:
        raise ProblemError("bad-signature", f"token: exp at most {LIFE_S} s after iat")
    if document.body["target"] != target:
        raise ProblemError("bad-signature", "token: made for another target")
    now_s, until_s = seconds(now), claims["exp"] + REMEMBERED_S
    fresh = own.ledger.write(
        lambda tx: transport.use_token(tx, signed.iss, claims["jti"], now_s, until_s)
    )
    if not fresh:
        raise ProblemError("replayed", "token: used before")
    return signed.iss
