"""What happens to goods here: local records, signed and in the log, never sent."""

from collections.abc import Mapping
from typing import Any

from node.authority import OwnAuthority
from node.domain.kinds import RECORD
from node.office.act import Circumstances, Done, perform
from node.office.officer import Officer


def record(
    own: OwnAuthority, act: str, number: str, officer: Officer, details: Mapping[str, Any]
) -> Done:
    """Put a local act on record.

    Args:
        own: Whose goods or certificate.
        act: ``sealing``, ``presentation``, ``inspection``, ``hold``, ``release``, ``seizure`` or
            ``laboratory-return``.
        number: The certificate.
        officer: Who acted.
        details: The act's own members, as in ``schemas/record.v1.json``.

    Raises:
        NotFoundError, RefusedError, LogBehindError: As `node.office.act.perform`.
    """

    def make(case: Circumstances) -> dict[str, Any]:
        told = {name: value for name, value in details.items() if value is not None}
        return {"act": act, **told, "by": case.by}

    return perform(own, act, RECORD, [number], officer, make)[0]
