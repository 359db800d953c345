"""The kinds of documents this node knows (protocol section 2), as one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document.

    Attributes:
        name: As in ``vnd.kp.<name>.v<version>+jwt``.
        role: Role of the key that signs it.
        travels: Whether it may stand in a bundle.
        speaker: The member of the body that names who acted; ``""`` if there is none.
        outsiders: Whether a body that belongs to no participant (``X-SEC``) may issue it.
        version: The newest version this node knows.
    """

    name: str
    role: str
    travels: bool
    speaker: str = ""
    outsiders: bool = False
    version: int = 1

    @property
    def typ(self) -> str:
        """The header's ``typ``."""
        return f"vnd.kp.{self.name}.v{self.version}+jwt"


CERTIFICATE = Kind("certificate", "doc", travels=True, speaker="issued_by")
CONFIRMATION = Kind("confirmation", "doc", travels=True, speaker="confirmed_by")
DISCREPANCY = Kind("discrepancy", "doc", travels=True, speaker="raised_by")
RESOLUTION = Kind("resolution", "doc", travels=True, speaker="decided_by")
AMENDMENT = Kind("amendment", "doc", travels=True, speaker="amended_by")
TECHNICAL_CERTIFICATE = Kind("technical-certificate", "doc", travels=True, speaker="issued_by")
RETURN = Kind("return", "doc", travels=True, speaker="taken_in_by")
REVOCATION = Kind("revocation", "doc", travels=True, speaker="revoked_by")
INQUIRY = Kind("inquiry", "doc", travels=True, speaker="asked_by", outsiders=True)
ANSWER = Kind("answer", "doc", travels=True, speaker="answered_by", outsiders=True)
ALERT = Kind("alert", "doc", travels=True, speaker="raised_by", outsiders=True)
PROFILE = Kind("profile", "doc", travels=True, speaker="published_by", outsiders=True)
SUCCESSION = Kind("succession", "doc", travels=True, speaker="announced_by", outsiders=True)
RECORD = Kind("record", "doc", travels=False, speaker="by")
MANIFEST = Kind("manifest", "msg", travels=False, outsiders=True)
RECEIPT = Kind("receipt", "msg", travels=False, outsiders=True)
REQUEST = Kind("request", "msg", travels=False, outsiders=True)

KINDS: dict[str, Kind] = {
    kind.typ: kind
    for kind in (
        CERTIFICATE,
        CONFIRMATION,
        DISCREPANCY,
        RESOLUTION,
        AMENDMENT,
        TECHNICAL_CERTIFICATE,
        RETURN,
        REVOCATION,
        INQUIRY,
        ANSWER,
        ALERT,
        PROFILE,
        SUCCESSION,
        RECORD,
        MANIFEST,
        RECEIPT,
        REQUEST,
    )
}
NAMED: dict[str, Kind] = {kind.name: kind for kind in KINDS.values()}


def accepted_types() -> list[str]:
    """The types this node accepts in a bundle, as its well-known file says."""
    return sorted(typ for typ, kind in KINDS.items() if kind.travels)
