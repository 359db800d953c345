"""The rule of a succession: an authority speaks of its own logs only (protocol section 5)."""

from collections.abc import Iterator

from node.config import log_number
from node.documents import Content
from node.domain.context import Context
from node.errors import Finding, finding


def own_log(document: Content, _: Context) -> Iterator[Finding]:
    """KP-A-006: `origin` is a later log of the issuer than `predecessor`.

    Whether the predecessor is the log that was seen here is no rule: the recipient compares, and
    shows an operator the difference.
    """
    origin: str = document.body["origin"]
    before: str = document.body["predecessor"].partition("\n")[0]
    later, earlier = (log_number(document.iss, text) for text in (origin, before))
    if later is None or earlier is None or earlier >= later:
        detail = (
            f"expected logs of {document.iss}, the later one first; got {origin}, {before!r:.60}"
        )
        yield finding("KP-A-006", "/origin", detail)
