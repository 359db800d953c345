"""Every example of a request in the API's description, sent to two running nodes in one story."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from node.web import description
from tests.nodes import serving
from tests.test_api import Api, make_token
from tests.test_watch import until


def examples() -> dict[str, tuple[str, Any]]:
    """By operation id: the media type and the example of its body."""
    served, found = description.served(), {}
    for one in description.operations().values():
        body = served["paths"][one.path][one.method.lower()].get("requestBody", {})
        if "$ref" in body:
            body = served["components"]["requestBodies"][body["$ref"].rpartition("/")[2]]
        for media, content in body.get("content", {}).items():
            if "example" in content:
                found[one.id] = (media, content["example"])
    return found


WRITTEN_ON = "2026-11-26"
"""The day of the examples; sent as today, as nobody consults before a certificate is issued."""


class Player:
    """Sends the examples, and keeps count of which were sent."""

    def __init__(self, ru: Api, be: Api) -> None:
        self._apis, self._examples = {"RU": ru, "BE": be}, examples()
        self.played: set[str] = set()

    def __call__(self, who: str, operation: str, expected: int = 200, **path: str) -> Any:
        one, (media, body) = description.operations()[operation], self._examples[operation]
        self.played.add(operation)
        text = body if isinstance(body, str) else json.dumps(body)
        raw = text.replace(WRITTEN_ON, date.today().isoformat()).encode()
        address = one.path.format(**path)
        status, told, _ = self._apis[who](one.method, address, raw, Content_Type=media)
        assert status == expected, (operation, told)
        return told

    def unplayed(self) -> set[str]:
        """Which are still to be sent."""
        return self._examples.keys() - self.played


@pytest.fixture
def apis(homes: dict[str, Path]) -> Iterator[tuple[Api, Api]]:
    settings = homes["RU"] / "peers.toml"
    with settings.open("a") as file:
        file.write('\n[webhooks]\nallow = ["http://localhost:8190"]\n')
    tokens = {name: make_token(home) for name, home in homes.items()}
    with ExitStack() as stack:
        for home in homes.values():
            stack.enter_context(serving(home))
        yield Api(homes["RU"], tokens["RU"]), Api(homes["EU-BE"], tokens["EU-BE"])


def test_every_example_does_what_it_shows(apis: tuple[Api, Api]) -> None:
    ru, be = apis
    play = Player(ru, be)
    state = lambda api, number: api("GET", f"/api/v1/certificates/{number}")[1].get("state")  # noqa: E731

    def announced(last: int) -> str:
        """A further certificate like that of the example, once the importer has it."""
        number = f"RU0003000{last}"
        (shipment,) = examples()["issue"][1]["shipments"]
        body = {"shipments": [{**shipment, "number": number}]}
        assert ru("POST", "/api/v1/certificates", body)[0] == 201
        until(lambda: state(be, number), "announced")
        return number

    (issued,) = play("RU", "issue", 201)["results"]
    arriving = issued["number"]
    assert play("RU", "seal", number=arriving)["state"] in ("sealed", "delivered")
    until(lambda: state(be, arriving), "announced")
    assert play("BE", "present", number=arriving)["state"] == "presented"
    assert play("BE", "inspect", number=arriving)["state"] == "inspected"
    assert play("BE", "confirm", number=arriving)["state"] == "admitted"

    differing = announced(2)
    assert play("BE", "dispute", number=differing)["state"] == "disputed"
    until(lambda: state(ru, differing), "disputed")
    assert play("RU", "consent", number=differing)["state"] == "consented"
    until(lambda: state(be, differing), "consented")
    assert play("BE", "amend", number=differing)["state"] == "amended"

    going_back = announced(3)
    play("BE", "dispute", number=going_back)
    until(lambda: state(ru, going_back), "disputed")
    assert play("RU", "refuse", number=going_back)["state"] == "contested"
    until(lambda: state(be, going_back), "contested")
    assert play("BE", "order-return", number=going_back)["state"] == "return ordered"
    until(lambda: state(ru, going_back), "return ordered")
    assert play("RU", "take-in", number=going_back)["state"] == "lapsed"
    assert play("RU", "revoke", number=announced(4))["state"] == "void"

    suspect = announced(5)
    assert play("BE", "hold", number=suspect)["state"] == "held, announced"
    assert play("BE", "release", number=suspect)["state"] == "announced"
    play("BE", "hold", number=suspect)
    assert play("BE", "seize", number=suspect)["state"] == "seized"
    examined = announced(6)
    play("BE", "present", number=examined)
    play("BE", "inspect", number=examined)
    assert play("BE", "send-to-laboratory", number=examined)["state"] == "at the laboratory"
    assert play("BE", "take-back", number=examined)["state"] != "at the laboratory"

    first, second = play("RU", "draft", 201)["drafted"]
    assert play("RU", "inspect-draft", number=first)["state"] == "inspected before export"
    assert play("RU", "issue-draft", 201, number=first)["number"] == first
    assert play("RU", "withdraw-draft", number=second)["state"] == "withdrawn"
    play("RU", "transit", 201)
    play("RU", "admit-source", 201, number="EU0000003")
    play("RU", "adjust-source", 201, number="EU0000003")
    assert play("RU", "import-table")["items"][0]["will"] == "record as admitted on paper"

    asked = play("BE", "ask", 201)["doc_id"]
    until(lambda: ru("GET", f"/api/v1/inquiries/{asked}")[0], 200)
    play("RU", "answer", 201, doc_id=asked)
    until(lambda: be("GET", f"/api/v1/inquiries/{asked}")[1]["verdict"], "not-genuine")
    flagged = announced(7)
    alert = play("RU", "raise-alert", 201)["doc_id"]
    until(lambda: state(be, flagged), "held, announced")
    assert play("BE", "release-flagged", doc_id=alert) == {"released": [flagged]}
    play("RU", "say-of-alert", 201, doc_id=alert)
    play("RU", "publish-profile", 201)
    play("RU", "remind")

    hook = play("RU", "add-webhook", 201)["id"]
    assert play("RU", "ping-webhook", id=hook)["taken"] is False
    play("RU", "replay-webhook", id=hook)
    play("RU", "remove-webhook", id=hook)
    assert all(step["ok"] for step in play("RU", "probe-peer", authority="EU-BE")["items"])
    assert play("RU", "sync-peer", authority="EU-BE")["items"][0]["error"] is None
    assert play("RU", "sync")["items"][0]["error"] is None
    assert play("RU", "export-bundle", authority="EU-BE").count("\n") >= 1
    assert play("RU", "pause-peer", authority="EU-BE")["paused"] is True
    assert play("RU", "resume-peer", authority="EU-BE")["paused"] is False
    pinned = play("RU", "add-peer", 201)
    until(lambda: [p["authority"] for p in ru("GET", "/api/v1/peers")[1]["items"]], ["EU-BE", "BW"])
    assert play("RU", "renew-keys", authority="BW")["fingerprint"] != pinned["fingerprint"]
    (token,) = ru("GET", "/api/v1/tokens")[1]["items"]
    assert play("RU", "revoke-token", id=token["id"])["state"] == "revoked"
    assert ru("GET", "/api/v1/tokens")[0] == 401

    assert play.unplayed() == set()
