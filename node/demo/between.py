"""What authorities ask and warn each other of: an inquiry, a forged number, a shipment that is late."""

import json
from datetime import date, timedelta
from typing import Any

from node.demo.nodes import DemoNode, wait_for

FORGED = "RU00019999"
LATE = "RU99990009"
LATE_BY_DAYS = 40


def inquiry(ru: DemoNode, be: DemoNode, number: str) -> dict[str, Any]:
    """EU-BE asks whether a certificate it holds is genuine, with figures read from the paper."""
    body = be.expect("certificate", "show", number)["body"]
    read = {"issued_on": body["issued_on"], "carats": body["totals"]["carats"], "parcels": 9999}
    asked = be.expect("inquiry", "ask", number, "--read", "-", stdin=json.dumps(read))
    answered = _answer(be, asked["doc_id"])["answered"]
    return {
        "number": number,
        "verdict": answered["verdict"],
        "differs": answered["differs"],
        "by_the_node": answered["automatic"],
        "asked_of": ru.authority,
    }


def forged(ru: DemoNode, be: DemoNode, by: DemoNode) -> dict[str, Any]:
    """A paper that RU never issued is found out at EU-BE, and caught by RU's alert at BY."""
    came = be.expect("present", FORGED, "--from", ru.authority, "--office", be.name)
    asked = be.expect("inquiry", "ask", FORGED, "--reason", "no document came for this paper")
    wait_for(f"{ru.authority} to be asked", lambda: bool(_waiting(ru, FORGED)))
    ru.expect("inquiry", "answer", FORGED, "--verdict", "not-genuine", "--office", ru.name)
    verdict = _answer(be, asked["doc_id"])["verdict"]
    alert = ru.expect("alert", "raise", "forged", FORGED, "--reason", "never issued")
    wait_for(f"{by.authority} to be warned", lambda: bool(_alerts(by, FORGED)))
    code, refused = by.run("present", FORGED, "--from", ru.authority)
    return {
        "number": FORGED,
        "at_first": came["state"],
        "verdict": verdict,
        "alert": alert["doc_id"],
        "exit_code": code,
        "code": refused["errors"][0]["code"],
        "caught_by": by.authority,
    }


def overdue(ru: DemoNode, be: DemoNode, template: dict[str, Any]) -> dict[str, Any]:
    """A certificate of forty days ago that nobody has confirmed; its importer is asked."""
    issued_on = (date.today() - timedelta(days=LATE_BY_DAYS)).isoformat()
    shipment = template | {"number": LATE, "issued_on": issued_on}
    ru.expect("issue", "-", "--office", ru.name, stdin=json.dumps(shipment))
    wait_for(f"{be.authority} to hold {LATE}", lambda: be.run("certificate", "show", LATE)[0] == 0)
    code, listed = ru.run("overdue", "--fail-on", "30d")
    asked = ru.expect("overdue", "--remind", "--office", ru.name)["items"][0]["reminder"]
    wait_for(f"{be.authority} to be asked", lambda: bool(_waiting(be, LATE)))
    be.expect("inquiry", "answer", LATE, "--verdict", "not-arrived", "--office", be.name)
    return {
        "exit_code": code,
        "numbers": [item["number"] for item in listed["items"]],
        "days_past": listed["items"][0]["days"],
        "answer": _answer(ru, asked)["verdict"],
    }


def _answer(node: DemoNode, inquiry_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def answered() -> bool:
        found.update(node.expect("inquiry", "show", inquiry_id))
        return found["verdict"] is not None

    wait_for(f"{node.authority} to be answered", answered)
    return found


def _waiting(node: DemoNode, number: str) -> list[Any]:
    items = node.expect("work", "inquiries")["items"]
    return [i for i in items if i["number"] == number and i["turn"] == node.authority]


def _alerts(node: DemoNode, number: str) -> list[Any]:
    found: list[Any] = node.expect("alert", "list", "--number", number)["items"]
    return found
