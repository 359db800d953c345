"""What can go wrong between two nodes that an operator must look at (protocol section 3 rule 9).

One entry a code; `docs/operations.md` tells the same at length and a test compares them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Incident:
    """What an incident means, in plain words, and what ends it.

    Attributes:
        means: For an operator.
        mend: What to do; commands as they are typed, PEER being the authority.
        stops: Whether documents wait until it is resolved.
    """

    means: str
    mend: str
    stops: bool


_CALL = "call its operator; then kpnode peer resume PEER --because TEXT"

INCIDENTS: dict[str, Incident] = {
    "stream-fork": Incident(
        "the two nodes hold different documents at the same place of a stream: one of them was "
        "restored from an old copy, or was changed",
        "find out which side lost documents: that node runs kpnode ledger resume; "
        "then kpnode peer resume PEER --because TEXT",
        stops=True,
    ),
    "log-fork": Incident(
        "a log was shown in two versions: its history was rewritten, or an old copy went on",
        "keep the evidence (kpnode peer show PEER --json) and call its operator; a node that lost "
        "entries begins a successor log; then kpnode peer resume PEER --because TEXT",
        stops=True,
    ),
    "log-succeeded": Incident(
        "the peer has lost log entries and has begun a successor log, which it announced",
        "compare what it names with what was seen here (kpnode peer show PEER --json), ask why; "
        "then kpnode peer resume PEER --because TEXT",
        stops=False,
    ),
    "bad-proof": Incident(
        "three proofs in a row of the peer's log did not verify", _CALL, stops=False
    ),
    "bad-inclusion": Incident(
        "a document that the peer sent is not in its log where it said", _CALL, stops=False
    ),
    "position-ahead": Incident(
        "the peer says it holds more of us than this ledger has: it is wrong, or this is an old copy",
        "if this ledger was restored or damaged: kpnode ledger resume --because TEXT; "
        "else call the peer's operator; then kpnode peer resume PEER --because TEXT",
        stops=False,
    ),
    "keys-changed": Incident(
        "the peer's key set is not the one that is pinned",
        "call its officials on a number you know and compare fingerprints; then "
        "kpnode peer renew PEER --jwks FILE --fingerprint F --because TEXT",
        stops=True,
    ),
    "key-set-unusable": Incident(
        "the file with the peer's keys cannot be read, or is no key set of the peer",
        "bring keys/PEER.jwks.json back, or see kpnode peer renew; it ends by itself",
        stops=True,
    ),
    "quarantine-full": Incident(
        "a thousand refused documents of the peer wait unresolved; nothing more is taken from it",
        "look at them with kpnode peer show PEER, call its operator; "
        "then kpnode peer resume PEER --because TEXT",
        stops=True,
    ),
}
