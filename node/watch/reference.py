"""The dated facts that rules go by, as they are shown: participants on a day, profiles announced."""

import json
from datetime import date
from typing import Any

from node.authority import OwnAuthority
from node.ledger import profiles
from node.office.officer import day_of


def participants(own: OwnAuthority, on: date | None = None) -> dict[str, Any]:
    """Participants on a day, today by default: status, open zones, embargoes on goods mined there.

    `replaced` names the tables that come from the home.
    """
    when = on or day_of(own, own.clock.now())
    known = own.ledger.read(own.reference)
    items = []
    for code in known.participants_on(when):
        row, embargo = known.standing(code, when), known.embargo(code, when)
        assert row is not None
        items.append(
            {
                "code": code,
                "name": row.name,
                "status": row.status,
                "zones": [zone.name for zone in known.zones_of(code, when)],
                "embargo": embargo.source if embargo else None,
                "note": row.scope,
            }
        )
    replaced = [name for name, _ in own.config.reference]
    return {"on": when.isoformat(), "replaced": replaced, "items": items, "next": None}


def announced(own: OwnAuthority) -> dict[str, Any]:
    """All profiles that were announced, oldest first."""
    found = [(one, json.loads(one.body)) for one in own.ledger.read(profiles.listed)]
    items = [
        {
            "authority": one.authority,
            "from": one.begins,
            "doc_id": one.doc_id,
            "number_pattern": body["number_pattern"],
            "profile": body,
        }
        for one, body in found
    ]
    return {"items": items, "next": None}
