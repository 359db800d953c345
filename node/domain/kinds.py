"""The kinds of documents this node knows (protocol section 2), as one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document.

    Attributes:
        name: As in ``vnd.kp.<name>.v<version>+jwt``.
        role: Role of the key that signs it.
        travels: Whether it may stand in a bundle.
        outsiders: Whether a body that belongs to no participant (``X-SEC``) may issue it.
        version: The newest version this node knows.
    """

    name: str
    role: str
    travels: bool
    outsiders: bool = False
    version: int = 1

    @property
    def typ(self) -> str:
        """The header's ``typ``."""
        return f"vnd.kp.{self.name}.v{self.version}+jwt"


CERTIFICATE = Kind("certificate", "doc", travels=True)
CONFIRMATION = Kind("confirmation", "doc", travels=True)
RECORD = Kind("record", "doc", travels=False)
MANIFEST = Kind("manifest", "msg", travels=False, outsiders=True)
RECEIPT = Kind("receipt", "msg", travels=False, outsiders=True)
REQUEST = Kind("request", "msg", travels=False, outsiders=True)

KINDS: dict[str, Kind] = {
    kind.typ: kind for kind in (CERTIFICATE, CONFIRMATION, RECORD, MANIFEST, RECEIPT, REQUEST)
}


def accepted_types() -> list[str]:
    """The types this node accepts in a bundle, as its well-known file says."""
    return sorted(typ for typ, kind in KINDS.items() if kind.travels)
