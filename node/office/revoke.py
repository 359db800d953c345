"""Revoke a certificate: void, replaced, lost, stolen or cancelled (KPCS section II)."""

from typing import Any

from node.authority import OwnAuthority
from node.domain.kinds import REVOCATION
from node.office.act import Circumstances, Done, perform
from node.office.officer import Officer


def revoke(
    own: OwnAuthority,
    number: str,
    officer: Officer,
    *,
    reason: str,
    replaced_by: str | None = None,
    remarks: str | None = None,
) -> Done:
    """Tell the importer that a certificate is no longer good.

    Args:
        own: The exporting authority.
        number: The certificate.
        officer: Who revokes it.
        reason: ``void``, ``replaced``, ``lost``, ``stolen`` or ``cancelled``.
        replaced_by: The number of the certificate in its place, if it was replaced.
        remarks: In words.

    Raises:
        NotFoundError, RefusedError, LogBehindError: As `node.office.act.perform`.
    """

    def make(case: Circumstances) -> dict[str, Any]:
        more = {"replaced_by": replaced_by, "remarks": remarks}
        told = {name: value for name, value in more.items() if value is not None}
        return {"reason": reason, **told, "revoked_by": case.by}

    return perform(own, "revoke", REVOCATION, [number], officer, make)[0]
