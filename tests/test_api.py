"""The HTTP API as an authority's own systems use it; every answer is held against the description."""

import asyncio
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from node.cli.token import SCOPES
from node.client import ApiProblemError, AsyncClient, Client
from node.ledger import access, acts
from node.office import access as office_access
from node.watch import worklists
from node.web import description, operations
from node.wiring import open_node, read_config
from tests.nodes import serving as process
from tests.nodes import shipments
from tests.test_cli import result, run
from tests.test_kill import serving as faulty
from tests.test_watch import until

NUMBER = "RU00010118"
ALL = ("read", "issue", "confirm", "operate")


def make_token(home: Path, *scopes: str) -> str:
    asked = [word for scope in scopes or ALL for word in ("--scope", scope)]
    return str(result("--home", home, "token", "make", "erp", *asked)["token"])


def address(home: Path) -> str:
    console = read_config(home).node.console
    return f"http://{console.host}:{console.port}"


class Api:
    """Sends requests and holds each answer against the description."""

    def __init__(self, home: Path, token: str | None) -> None:
        self.url, self.token = address(home), token

    def __call__(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any, Any]:
        told = {"Content-Type": "application/json"} if body is not None else {}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            told["Authorization"] = f"Bearer {self.token}"
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, raw, told, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, got, raw = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            status, got, raw = error.code, error.headers, error.read()
        kind = got.get_content_type()
        content = json.loads(raw) if "json" in kind else raw.decode(errors="replace")
        _hold(method, path, status, kind, content)
        return status, content, got


def _hold(method: str, path: str, status: int, kind: str, content: Any) -> None:
    """What came back is what the description says of this operation."""
    served = description.served()
    for one in description.operations().values():
        if one.method == method and _fits(one.path, path.partition("?")[0]):
            responses = served["paths"][one.path][method.lower()]["responses"]
            told = responses.get(str(status), responses["default"])
            if "$ref" in told:
                told = served["components"]["responses"][told["$ref"].rpartition("/")[2]]
            schema = told["content"][kind]["schema"]
            whole = {**schema, "components": served["components"]}
            Draft202012Validator(whole).validate(content)
            return
    raise AssertionError(f"{method} {path} is not described")


def _fits(template: str, path: str) -> bool:
    ours, theirs = template.split("/"), path.split("/")
    return len(ours) == len(theirs) and all(
        o.startswith("{") or o == t for o, t in zip(ours, theirs, strict=True)
    )


@pytest.fixture
def apis(homes: dict[str, Path]) -> Iterator[tuple[Api, Api]]:
    """Two running nodes, and a token of all scopes for each."""
    tokens = {name: make_token(home) for name, home in homes.items()}
    with ExitStack() as stack:
        for home in homes.values():
            stack.enter_context(process(home))
        yield Api(homes["RU"], tokens["RU"]), Api(homes["EU-BE"], tokens["EU-BE"])


@pytest.fixture
def api(homes: dict[str, Path]) -> Iterator[Api]:
    token = make_token(homes["RU"])
    with process(homes["RU"]):
        yield Api(homes["RU"], token)


class TestDescription:
    def test_every_operation_has_a_handler_and_every_handler_an_operation(self) -> None:
        assert description.operations().keys() == operations.HANDLERS.keys()

    def test_its_work_lists_are_those_there_are(self) -> None:
        lists = description.operations()["work-list"].parameters["path", "list"]["schema"]["enum"]

        assert tuple(lists) == tuple(worklists.LISTS)

    def test_what_is_served_refers_to_nothing_outside_of_it(self, api: Api) -> None:
        with urllib.request.urlopen(f"{api.url}/openapi.json", timeout=10) as answer:
            served = json.load(answer)

        references = _references(served)
        assert references
        for reference in references:
            assert reference.startswith("#/"), reference
            part = served
            for step in reference[2:].split("/"):
                part = part[step.replace("~1", "/").replace("~0", "~")]
        assert "certificate.v1" in served["components"]["schemas"]
        for schema in served["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)

    def test_nothing_writes_without_a_token(self) -> None:
        for one in description.operations().values():
            assert one.scopes, one.id
            if one.acts:
                assert not one.open, one.id
            elif one.method == "POST":
                assert one.id == "verify"


def _references(part: Any) -> set[str]:
    if isinstance(part, list):
        return {r for item in part for r in _references(item)}
    if not isinstance(part, dict):
        return set()
    own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
    return own | {r for item in part.values() for r in _references(item)}


def test_the_whole_story_of_two_authorities(apis: tuple[Api, Api]) -> None:
    ru, be = apis
    status, told, _ = ru(
        "POST", "/api/v1/certificates", {"shipments": shipments(count=3), "officer": "Ivan"}
    )
    assert (status, len(told["results"])) == (201, 3)
    first, second, third = (one["number"] for one in told["results"])
    until(lambda: be("GET", f"/api/v1/certificates/{third}")[0], 200)

    assert ru("POST", f"/api/v1/certificates/{first}/seal", {"seals": ["RUS1"]})[0] == 200
    assert be("POST", f"/api/v1/certificates/{first}/present", {"officer": "Jan"})[0] == 200
    found = {"parcels": 1, "seals_intact": True}
    assert (
        be("POST", f"/api/v1/certificates/{first}/inspect", {"found": found, "place": "A"})[0]
        == 200
    )
    status, done, _ = be("POST", f"/api/v1/certificates/{second}/confirm", {"officer": "Jan"})
    assert (status, done["state"]) == (200, "admitted")
    body = {"reason": "one parcel more", "proposed": {"parcels": 99}}
    assert be("POST", f"/api/v1/certificates/{third}/dispute", body)[1]["state"] == "disputed"
    state = lambda api, number: api("GET", f"/api/v1/certificates/{number}")[1]["state"]  # noqa: E731
    until(lambda: state(ru, third), "disputed")
    consent = {"reason": "counted again", "office": "Moscow"}
    assert ru("POST", f"/api/v1/certificates/{third}/consent", consent)[0] == 200
    until(lambda: state(be, third), "consented")
    assert be("POST", f"/api/v1/certificates/{third}/amend", {})[0] == 200
    assert be("POST", f"/api/v1/certificates/{third}/confirm", {})[0] == 200
    until(lambda: state(ru, third), "confirmed as amended")
    until(lambda: state(ru, second), "confirmed")

    status, shown, _ = ru("GET", f"/api/v1/certificates/{third}")
    assert [e["what"] for e in shown["timeline"] if "receipt" not in e["what"]] == [
        "issued", "discrepancy", "resolution:consent", "amendment", "confirmation:as-amended",
    ]  # fmt: skip
    jws = be("GET", f"/api/v1/documents/{shown['doc_id']}")[1]
    checked = be("POST", "/api/v1/verify", jws.encode(), Content_Type="application/jose")[1]
    assert checked["items"][0]["authentic"] is True
    proof = ru("GET", f"/api/v1/ledger/proof?document={shown['doc_id']}")[1]
    assert proof["checkpoint"].startswith("kpx-sandbox/RU\n")
    assert ru("GET", "/api/v1/ledger/checkpoint")[1].startswith("kpx-sandbox/RU\n")
    for path in (
        "/api/v1/status", "/api/v1/peers/EU-BE", "/api/v1/system", "/api/v1/worklists",
        "/api/v1/worklists/overdue", "/api/v1/inquiries", "/api/v1/alerts?all=true",
        f"/api/v1/certificates/{third}/timeline", f"/api/v1/documents/{shown['doc_id']}/journey",
        "/api/v1/certificates?party=sample&side=exporter&limit=2",
        f"/api/v1/certificates?seal={shown['body']['containers'][0]['seal']}",
    ):  # fmt: skip
        assert ru("GET", path)[0] == 200, path


def test_inquiries_and_alerts(apis: tuple[Api, Api]) -> None:
    ru, be = apis
    number = "RU00019999"
    status, asked, _ = be("POST", "/api/v1/inquiries", {"number": number, "officer": "Jan"})
    assert status == 201
    until(lambda: ru("GET", f"/api/v1/inquiries/{asked['doc_id']}")[0], 200)
    answer = {"verdict": "not-genuine", "remarks": "never issued"}
    assert ru("POST", f"/api/v1/inquiries/{asked['doc_id']}/answer", answer)[0] == 201
    raised = {"subject": "forged", "first": number, "reason": "never issued"}
    alert = ru("POST", "/api/v1/alerts", raised)[1]["doc_id"]
    until(lambda: len(be("GET", f"/api/v1/alerts?number={number}")[1]["items"]), 1)

    status, refused, _ = be("POST", f"/api/v1/certificates/{number}/present", {"from": "RU"})
    assert (status, refused["code"], refused["errors"][0]["rule"]) == (422, "alerted", "KP-W-001")
    sighted = {"says": "sighted", "reason": "offered in Antwerp"}
    assert be("POST", f"/api/v1/alerts/{alert}", sighted)[0] == 201
    assert ru("POST", f"/api/v1/alerts/{alert}", {"says": "withdrawn", "reason": "x"})[0] == 201
    assert ru("GET", f"/api/v1/alerts/{alert}")[1]["standing"] == "withdrawn"


class TestEverythingElse:
    """Each further act and reading once; what it does is tried where its command is."""

    def test_drafts(self, api: Api) -> None:
        first, second = shipments(count=2)
        told = api("POST", "/api/v1/drafts", {"shipments": [first, second], "officer": "A"})[1]
        found = {"parcels": first["parcels"], "seals_intact": True}
        inspected = {"found": found, "place": "Moscow", "officer": "B"}
        path = f"/api/v1/drafts/{first['number']}"

        assert told == {"drafted": [first["number"], second["number"]]}
        assert api("POST", f"{path}/inspect", inspected)[1]["state"] == "inspected before export"
        assert len(api("GET", "/api/v1/drafts")[1]["items"]) == 2
        assert api("POST", f"{path}/issue", {"officer": "B"})[0] == 201
        gone = api("POST", f"/api/v1/drafts/{second['number']}/withdraw", {"reason": "called off"})
        assert gone[1]["state"] == "withdrawn"
        assert api("POST", "/api/v1/drafts/RU1/withdraw", {"reason": "x"})[0] == 404

    def test_papers_transits_and_sources(self, api: Api) -> None:
        present = api("POST", "/api/v1/certificates/EU0000001/present", {"from": "EU-BE"})
        passing = {"number": "EU0000002", "from": "EU-BE", "carrier": "C", "seals": ["S"]}
        admitted = {"from": "EU-BE", "carats": "10.00", "received_on": "2026-01-02"}

        assert present[1]["state"] == "presented without announcement"
        assert len(api("GET", "/api/v1/papers")[1]["items"]) == 1
        assert api("POST", "/api/v1/transits", passing)[0] == 201
        assert api("POST", "/api/v1/sources/EU0000003/admit", admitted)[0] == 201
        less = {"carats": "4.00", "change": "less", "reason": "polished"}
        assert api("POST", "/api/v1/sources/EU0000003/adjust", less)[0] == 201
        assert api("GET", "/api/v1/sources/EU0000003")[1]["left"] == "6.00"
        assert api("GET", "/api/v1/sources/EU0000009")[0] == 404

    def test_profile_reminders_and_flagged_goods(self, api: Api) -> None:
        profile = {
            "from": "2026-01-01", "number_pattern": "RU[0-9]{8}", "validity": {"days": 60},
            "statement": "As the scheme demands.",
        }  # fmt: skip
        assert api("POST", "/api/v1/profile", {"profile": profile})[1]["to"] == ["EU-BE"]
        assert api("POST", "/api/v1/profile", {})[1]["to"] == []
        assert api("GET", "/api/v1/profiles")[1]["items"][0]["profile"]["validity"] == {"days": 60}
        told = api("GET", "/api/v1/participants?on=2015-07-17")[1]
        assert {"CF": "restricted"}.items() <= {
            i["code"]: i["status"] for i in told["items"]
        }.items()
        assert api("GET", "/api/v1/participants?on=2015-02-30")[0] == 400
        assert len(api("GET", "/api/v1/participants")[1]["items"]) == 60
        assert api("POST", "/api/v1/overdue/remind", {})[1] == {"reminded": []}
        assert api("POST", "/api/v1/alerts/nothing/release", {"reason": "x"})[0] == 404

    def test_tables_and_dossiers(self, api: Api) -> None:
        api("POST", "/api/v1/certificates", {"shipments": shipments()})
        made = api("GET", "/api/v1/table?side=exporter")[1]
        again = made.replace(NUMBER, "RU00030000").encode()
        path = "/api/v1/table?officer=Ivan"

        tried = api("POST", path, again, Content_Type="text/csv")[1]
        done = api("POST", f"{path}&apply=true", again, Content_Type="text/csv")[1]

        assert (tried["applied"], done["applied"]) == (False, True)
        assert api("GET", "/api/v1/certificates/RU00030000")[0] == 200
        assert api("POST", path, b"a,b", Content_Type="text/csv")[1]["code"] == "not-csv"
        month = time.strftime("%Y-%m")
        assert api("GET", f"/api/v1/dossiers/{month}")[0] == 200
        assert api("GET", "/api/v1/dossiers/2026-13")[0] == 400
        assert api("GET", "/api/v1/table?month=0000-01")[0] in (200, 400)

    def test_an_operators_acts(self, homes: dict[str, Path], api: Api) -> None:
        why = {"because": "their request"}
        assert api("POST", "/api/v1/peers/EU-BE/pause", why)[1]["paused"] is True
        again = api("POST", "/api/v1/peers/EU-BE/pause", why)
        assert (again[0], again[1]["code"]) == (409, "already-paused")
        assert api("POST", "/api/v1/peers/EU-BE/resume", why)[1]["paused"] is False
        assert api("POST", "/api/v1/peers/XX/pause", why)[0] == 404
        reader = Api(homes["RU"], make_token(homes["RU"], "read", "issue", "confirm"))
        assert reader("POST", "/api/v1/peers/EU-BE/pause", why)[0] == 403
        url = {"url": "http://localhost:1/x"}
        assert api("POST", "/api/v1/webhooks", url)[1]["code"] == "not-allowed"
        assert api("GET", "/api/v1/webhooks")[1]["items"] == []
        assert api("POST", "/api/v1/webhooks/x/replay", {"after": 0})[0] == 404
        assert api("POST", "/api/v1/webhooks/x/remove", {})[0] == 404


def set_carry(home: Path) -> None:
    """As an operator would: in peers.toml."""
    path = home / "peers.toml"
    text = path.read_text()
    assert text.count('\nmode = "push"') == 1
    path.write_text(text.replace('\nmode = "push"', '\nmode = "carry"'))


def many(count: int) -> list[dict[str, Any]]:
    """Shipments with numbers of their own."""
    (one,) = shipments()
    return [{**one, "number": f"RU{50000000 + at:08}"} for at in range(count)]


class TestLongWork:
    """What takes seconds tells how far it has come, to whoever asks for that."""

    def test_a_large_batch_tells_of_its_progress_and_is_done_once(self, api: Api) -> None:
        told: list[tuple[str, int, int]] = []
        assert api.token is not None
        with Client(api.url, api.token) as node:
            made = node.issue(many(2000), lambda *at: told.append(at), key="large")
            again = node.issue(many(2000), key="large")
            with pytest.raises(ApiProblemError) as problem:
                node.issue(many(3), lambda *_: None)

        assert len(made.body["results"]) == 2000
        assert (made.replayed, again.replayed, again.body) == (False, True, made.body)
        assert {what for what, _, _ in told} <= {"checking", "signing"}
        assert told == sorted(told)
        assert all(total == 2000 for _, _, total in told)
        assert (problem.value.status, problem.value.code) == (409, "number-conflict")
        assert len(problem.value.errors) == 3

    def test_so_does_the_other_client_and_each_of_a_batch(self, api: Api) -> None:
        told: list[tuple[str, int, int]] = []

        async def use() -> Any:
            assert api.token is not None
            async with AsyncClient(api.url, api.token) as node:
                batch = [*many(2000), *many(1)]
                return await node.issue(batch, lambda *at: told.append(at), mode="each")

        results = asyncio.run(use()).body["results"]

        assert results[-2]["doc_id"]
        assert results[-1]["errors"][0]["code"] == "number-conflict"
        assert {what for what, _, _ in told} <= {"checking", "signing"}
        assert told

    def test_verifying_the_ledger(self, api: Api) -> None:
        api("POST", "/api/v1/certificates", {"shipments": shipments(count=3)})

        found = api("GET", "/api/v1/ledger/verify")[1]
        stream = api("GET", "/api/v1/ledger/verify", Accept="text/event-stream")[1]

        assert (found["ok"], found["size"]) == (True, 3)
        *_, last = stream.strip().split("\n\n")
        event, _, data = last.partition("\ndata: ")
        assert event == "event: answer"
        assert json.loads(data) == {"status": 200, "body": found, "replayed": False}

    def test_a_node_that_is_stopped_records_nothing_of_a_batch(
        self, homes: dict[str, Path]
    ) -> None:
        token = make_token(homes["RU"])
        with process(homes["RU"]) as serving_node:
            api = Api(homes["RU"], token)
            answers: list[Any] = []
            asking = threading.Thread(
                target=lambda: answers.append(
                    api("POST", "/api/v1/certificates", {"shipments": many(5000)})
                )
            )
            asking.start()
            time.sleep(1.5)
            serving_node.terminate()
            asking.join(30)

        recorded = len(result("--home", homes["RU"], "ledger", "list", "--limit", "9999")["items"])
        (status, _, headers) = answers[0]
        assert (status, recorded) in {(503, 0), (201, 5000)}
        if status == 503:
            assert headers["Retry-After"]


class TestOperating:
    def test_a_file_goes_there_and_its_receipt_comes_back(
        self, homes: dict[str, Path], apis: tuple[Api, Api]
    ) -> None:
        ru, be = apis
        for api, peer in ((ru, "EU-BE"), (be, "RU")):
            api("POST", f"/api/v1/peers/{peer}/pause", {"because": "the line is down"})
        ru("POST", "/api/v1/certificates", {"shipments": shipments(count=3)})
        assert ru("POST", "/api/v1/peers/EU-BE/bundle", {})[1]["code"] == "paused"
        for api, peer in ((ru, "EU-BE"), (be, "RU")):
            set_carry(homes["RU" if api is ru else "EU-BE"])
            until(lambda api=api: api("GET", "/api/v1/peers")[1]["items"][0]["mode"], "carry")
            api("POST", f"/api/v1/peers/{peer}/resume", {"because": "by file now"})

        file = ru("POST", "/api/v1/peers/EU-BE/bundle", {})[1].encode()
        kind = "application/vnd.kp.bundle"
        taken = be("POST", "/api/v1/bundles", file, Content_Type=kind)[1]
        again = be("POST", "/api/v1/bundles", file, Content_Type=kind)[1]
        back = ru("POST", "/api/v1/bundles", taken["receipt"].encode(), Content_Type=kind)[1]

        assert (taken["kind"], taken["from"], taken["accepted"]) == ("bundle", "RU", 3)
        assert again["receipt"] == taken["receipt"]
        assert (back["kind"], back["documents"], back["receipt"]) == ("receipt", 3, None)
        assert ru("GET", "/api/v1/peers/EU-BE")[1]["out"]["lag"] == 0
        bad = be("POST", "/api/v1/bundles", file[40:], Content_Type=kind)
        assert (bad[0], bad[1]["code"]) == (422, "malformed-bundle")
        assert be("POST", "/api/v1/bundles", b"x", Content_Type=kind)[0] == 422
        assert ru("POST", "/api/v1/peers/XX/bundle", {})[0] == 404
        assert ru("POST", "/api/v1/peers/EU-BE/sync", {})[1]["code"] == "not-called"
        entries = ru("GET", "/api/v1/ledger/entries?limit=2")[1]
        assert [one["index"] for one in entries["items"]] == [0, 1]
        assert ru("GET", f"/api/v1/ledger/entries?after={entries['next']}")[1]["items"]

    def test_peers_that_are_added_at_once_are_all_there(
        self, homes: dict[str, Path], api: Api, tmp_path: Path
    ) -> None:
        bodies = []
        for name in ("BW", "ZA", "IN"):
            home = tmp_path / name
            made = result(
                "init", home, "--authority", name, "--name", name, "--url", "http://localhost:9",
                "--sandbox",
            )  # fmt: skip
            key_set = json.loads((home / "keys" / f"{name}.jwks.json").read_text())
            told = {"authority": name, "url": "http://localhost:9", "key_set": key_set}
            bodies.append({**told, "fingerprint": made["fingerprint"]})
        answers: list[int] = []
        asking = [
            threading.Thread(
                target=lambda body=body: answers.append(api("POST", "/api/v1/peers", body)[0])
            )
            for body in bodies
        ]
        for one in asking:
            one.start()
        for one in asking:
            one.join(20)

        assert answers == [201, 201, 201]
        names = lambda: {p["authority"] for p in api("GET", "/api/v1/peers")[1]["items"]}  # noqa: E731
        until(names, {"EU-BE", "BW", "ZA", "IN"})
        wrong = {**bodies[0], "authority": "NA"}
        assert api("POST", "/api/v1/peers", wrong)[1]["code"] == "wrong-authority"
        assert api("POST", "/api/v1/peers", bodies[0])[1]["code"] == "peer-exists"
        with open_node(homes["RU"], signing=False) as own:
            (act,) = own.ledger.read(lambda tx: acts.listed(tx, f"BW {bodies[0]['fingerprint']}"))
        assert act.account.startswith("token erp (")


class TestAccess:
    def test_no_token_no_act_and_no_reading_of_certificates_also_on_loopback(
        self, homes: dict[str, Path], api: Api
    ) -> None:
        nobody = Api(homes["RU"], None)

        assert nobody("POST", "/api/v1/certificates", {"shipments": shipments()})[0] == 401
        assert nobody("GET", "/api/v1/certificates")[0] == 401
        assert nobody("GET", "/api/v1/events")[0] == 401
        assert nobody("GET", "/api/v1/status")[0] == 200
        # What comes through a proxy on this machine is not from this machine.
        assert nobody("GET", "/api/v1/status", X_Forwarded_For="203.0.113.9")[0] == 401
        assert nobody("GET", "/api/v1/certificates?token=" + str(api.token))[0] == 401

    def test_scopes_are_kept_apart(self, homes: dict[str, Path], api: Api) -> None:
        reader = Api(homes["RU"], make_token(homes["RU"], "read"))
        issuer = Api(homes["RU"], make_token(homes["RU"], "issue"))

        assert reader("GET", "/api/v1/certificates")[0] == 200
        status, refused, _ = reader("POST", "/api/v1/certificates", {"shipments": shipments()})
        assert (status, refused["code"]) == (403, "forbidden")
        assert issuer("GET", "/api/v1/certificates")[0] == 403
        assert issuer("POST", f"/api/v1/certificates/{NUMBER}/confirm", {})[0] == 403

    def test_a_token_that_is_none_has_ended_or_was_revoked(
        self, homes: dict[str, Path], api: Api
    ) -> None:
        assert api.token is not None
        wrong = [
            "x", "kpn_aaaaaaaa_" + "A" * 43, api.token[:-1] + ("A" if api.token[-1] != "A" else "B"),
            api.token.upper(), api.token + "x",
        ]  # fmt: skip
        for text in wrong:
            status, told, headers = Api(homes["RU"], text)("GET", "/api/v1/certificates")
            assert (status, told["code"]) == (401, "unauthorized")
            assert headers["WWW-Authenticate"] == "Bearer"

        token_id = api.token.split("_")[1]
        with open_node(homes["RU"]) as own:
            # Simulated: the days have passed.
            own.ledger.write(
                lambda tx: tx.execute(
                    "UPDATE access_tokens SET until = 1 WHERE id = ?", (token_id,)
                )
            )
        assert "ended" in api("GET", "/api/v1/certificates")[1]["detail"]
        result("--home", homes["RU"], "token", "revoke", token_id)
        assert "revoked" in api("GET", "/api/v1/certificates")[1]["detail"]

    def test_only_a_digest_is_kept_and_the_last_use(self, homes: dict[str, Path], api: Api) -> None:
        assert api.token is not None
        api("GET", "/api/v1/certificates")

        database = (homes["RU"] / "data" / "node.db").read_bytes()
        wal = (homes["RU"] / "data" / "node.db-wal").read_bytes()
        assert api.token.split("_")[2].encode() not in database + wal
        (told,) = result("--home", homes["RU"], "token", "list")["items"]
        assert told["last_used"] is not None
        assert (told["state"], told["name"]) == ("good", "erp")

    def test_who_acted_by_which_token_is_in_the_audit_trail(
        self, homes: dict[str, Path], api: Api
    ) -> None:
        body = {"shipments": shipments(), "officer": "Ivan", "office": "Moscow"}
        api("POST", "/api/v1/certificates", body)

        with open_node(homes["RU"], signing=False) as own:
            (act,) = own.ledger.read(lambda tx: acts.listed(tx, NUMBER))
        assert (act.officer, act.office) == ("Ivan", "Moscow")
        assert act.account.startswith("token erp (")

    def test_the_command_teaches_and_refuses(self, homes: dict[str, Path]) -> None:
        assert run("--home", homes["RU"], "token", "make", "x").exit_code == 2
        assert run("--home", homes["RU"], "token", "make", " x", "--scope", "read").exit_code == 1
        assert run("--home", homes["RU"], "token", "revoke", "nothing").exit_code == 3
        assert "No tokens" in run("--home", homes["RU"], "token", "list").stdout
        assert tuple(office_access.SCOPES) == SCOPES

    def test_too_many_requests_are_told_when_to_come_again(self, api: Api) -> None:
        seen: list[tuple[int, str | None]] = []

        def hurry() -> None:
            for _ in range(120):
                status, _, headers = api("GET", "/api/v1/certificates?limit=1")
                seen.append((status, headers["Retry-After"]))

        threads = [threading.Thread(target=hurry) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert {status for status, _ in seen} == {200, 429}
        assert all((wait is not None) == (status == 429) for status, wait in seen)


class TestSafeToRepeat:
    def test_the_same_key_gives_the_same_answer_marked(self, api: Api) -> None:
        body = {"shipments": shipments()}
        first = api("POST", "/api/v1/certificates", body, Idempotency_Key="order-1")
        again = api("POST", "/api/v1/certificates", body, Idempotency_Key="order-1")
        other = api("POST", "/api/v1/certificates", {"shipments": shipments(start=1)},
                    Idempotency_Key="order-1")  # fmt: skip
        without = api("POST", "/api/v1/certificates", body)

        assert (first[0], again[0]) == (201, 201)
        assert again[1] == first[1]
        assert (first[2]["Idempotent-Replay"], again[2]["Idempotent-Replay"]) == (None, "true")
        assert (other[0], other[1]["code"]) == (422, "key-reused")
        assert (without[0], without[1]["code"]) == (409, "number-conflict")

    def test_what_was_refused_may_be_tried_again_with_the_same_key(self, api: Api) -> None:
        bad = {"shipments": [shipments()[0] | {"to": "AO"}]}
        status, refused, _ = api("POST", "/api/v1/certificates", bad, Idempotency_Key="k")
        assert (status, refused["errors"][0]["pointer"]) == (422, "/to")

        assert (
            api("POST", "/api/v1/certificates", {"shipments": shipments()}, Idempotency_Key="k")[0]
            == 201
        )

    def test_a_key_is_its_tokens_own(self, homes: dict[str, Path], api: Api) -> None:
        other = Api(homes["RU"], make_token(homes["RU"]))
        api("POST", "/api/v1/certificates", {"shipments": shipments()}, Idempotency_Key="k")

        status, _, _ = other(
            "POST", "/api/v1/certificates", {"shipments": shipments(start=1)}, Idempotency_Key="k"
        )

        assert status == 201

    def test_a_crash_between_act_and_answer_leaves_one_certificate(
        self, homes: dict[str, Path]
    ) -> None:
        api = Api(homes["RU"], make_token(homes["RU"]))
        body = {"shipments": shipments()}
        with faulty(homes["RU"], "api.answer") as killed:
            with pytest.raises((ConnectionError, urllib.error.URLError)):
                api("POST", "/api/v1/certificates", body, Idempotency_Key="order-1")
            killed.wait(10)
        with faulty(homes["RU"], "issue.commit") as killed:
            with pytest.raises((ConnectionError, urllib.error.URLError)):
                api("POST", "/api/v1/certificates", {"shipments": shipments(start=1)},
                    Idempotency_Key="order-2")  # fmt: skip
            killed.wait(10)

        with process(homes["RU"]):
            first = api("POST", "/api/v1/certificates", body, Idempotency_Key="order-1")
            second = api("POST", "/api/v1/certificates", {"shipments": shipments(start=1)},
                         Idempotency_Key="order-2")  # fmt: skip
            listed = api("GET", "/api/v1/certificates")[1]["items"]

        assert (first[0], first[2]["Idempotent-Replay"]) == (201, "true")
        assert (second[0], second[2]["Idempotent-Replay"]) == (201, None)
        assert len(listed) == 2

    def test_keys_go_after_three_days(self, homes: dict[str, Path], api: Api) -> None:
        body = {"shipments": shipments()}
        api("POST", "/api/v1/certificates", body, Idempotency_Key="k")
        with open_node(homes["RU"]) as own:
            # Simulated: the days have passed.
            own.ledger.write(
                lambda tx: tx.execute("UPDATE answers_given SET at = at - ?", (access.KEPT_S,))
            )

        assert api("POST", "/api/v1/certificates", body, Idempotency_Key="k")[0] == 409

    def test_of_two_officers_one_decides(self, api: Api) -> None:
        api("POST", "/api/v1/certificates", {"shipments": shipments()})
        seen = api("GET", f"/api/v1/certificates/{NUMBER}")[2]["ETag"]

        revoke = {"reason": "void"}
        path = f"/api/v1/certificates/{NUMBER}"
        first = api("POST", f"{path}/seal", {"seals": ["S1"]}, If_Match=seen)
        second = api("POST", f"{path}/revoke", revoke, If_Match=seen)
        third = api("POST", f"{path}/revoke", revoke, If_Match=first[2]["ETag"])

        assert (first[0], second[0], second[1]["code"], third[0]) == (200, 412, "changed", 200)


class TestBatches:
    def test_each_has_a_result_of_its_own(self, api: Api) -> None:
        good, other = shipments(count=2)
        mixed = [good, good | {"number": "XX1"}, other, good, {"number": 7}]

        status, told, _ = api(
            "POST", "/api/v1/certificates", {"shipments": mixed[:4], "mode": "each"}
        )

        assert status == 200
        codes = [one.get("errors", [{"code": "issued"}])[0]["code"] for one in told["results"]]
        assert codes == ["issued", "number-pattern", "issued", "number-conflict"]
        assert [one["errors"][0]["index"] for one in told["results"] if "errors" in one] == [1, 3]

        told = api("POST", "/api/v1/certificates", {"shipments": mixed, "mode": "each"})[1]
        last = told["results"][-1]["errors"]
        assert {(one["code"], one["index"]) for one in last} == {("schema-invalid", 4)}
        assert ("/number", 4) in {(one["pointer"], one["index"]) for one in last}

    def test_all_or_nothing(self, api: Api) -> None:
        good, other = shipments(count=2)

        status, told, _ = api(
            "POST", "/api/v1/certificates", {"shipments": [good, other | {"number": "XX1"}]}
        )

        assert (status, told["errors"][0]["index"]) == (422, 1)
        assert api("GET", "/api/v1/certificates")[1]["items"] == []


class TestBadRequests:
    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"", 400, "not-json"),
            (b"{", 400, "not-json"),
            (b'{"shipments": [], "shipments": []}', 400, "not-json"),
            (b'{"shipments": NaN}', 400, "not-json"),
            (b"[]", 422, "schema-invalid"),
            (b'{"shipments": []}', 422, "schema-invalid"),
            (b'{"shipments": [{}], "extra": 1}', 422, "schema-invalid"),
            (b'{"shipments": [{}], "officer": "a\\u0000b"}', 422, "schema-invalid"),
        ],
    )
    def test_a_body_that_is_none(self, api: Api, body: bytes, status: int, code: str) -> None:
        got, told, _ = api("POST", "/api/v1/certificates", body)

        assert (got, told["code"]) == (status, code)

    def test_everything_else_that_is_wrong(self, api: Api) -> None:
        plain = api("POST", "/api/v1/certificates", b"{}", Content_Type="text/plain")
        assert (plain[0], plain[1]["code"]) == (415, "unsupported-media")
        large = b'{"shipments": "' + b"x" * (9 * 1024 * 1024) + b'"}'
        assert api("POST", "/api/v1/certificates", large)[0] == 413
        assert api("GET", "/api/v1/certificates?limit=0")[0] == 400
        assert api("GET", "/api/v1/certificates?colour=red")[0] == 400
        assert api("GET", "/api/v1/certificates?side=both")[0] == 400
        assert api("GET", "/api/v1/certificates/RU1")[0] == 404
        assert api("POST", "/api/v1/certificates/RU1/confirm", {})[0] == 404
        assert api("GET", "/api/v1/ledger/proof")[0] == 400
        assert api("GET", "/api/v1/ledger/proof?document=x")[0] == 404
        assert (
            api("POST", "/api/v1/verify", b"x", Content_Type="application/jose")[1]["items"][0][
                "authentic"
            ]
            is False
        )
        assert api("POST", "/api/v1/inquiries", {"number": "AO1"})[0] == 404


class TestEvents:
    def test_they_follow_the_log_and_nothing_is_left_out(
        self, homes: dict[str, Path], api: Api
    ) -> None:
        api("POST", "/api/v1/certificates", {"shipments": shipments(count=3)})

        first = api("GET", "/api/v1/events?limit=2")[1]
        rest = api("GET", f"/api/v1/events?after={first['next']}")[1]
        none = api("GET", f"/api/v1/events?after={rest['next']}")[1]

        events = first["items"] + rest["items"]
        assert [int(e["id"]) for e in events] == list(range(len(events)))
        assert [e["type"] for e in events] == ["org.kp.certificate.issued"] * 3
        assert [e["data"]["state"] for e in events] == ["issued"] * 3
        assert (none["items"], none["next"]) == ([], rest["next"])
        entries = result("--home", homes["RU"], "ledger", "list")["items"]
        assert [e["data"]["document"] for e in events] == [e["doc_id"] for e in entries]

    def test_the_stream_goes_on_and_is_taken_up_where_it_broke(self, api: Api) -> None:
        api("POST", "/api/v1/certificates", {"shipments": shipments()})

        def listen(headers: dict[str, str], count: int) -> list[dict[str, Any]]:
            request = urllib.request.Request(
                f"{api.url}/api/v1/events",
                headers={"Accept": "text/event-stream", "Authorization": f"Bearer {api.token}"}
                | headers,
            )
            found: list[dict[str, Any]] = []
            with urllib.request.urlopen(request, timeout=20) as stream:
                assert stream.headers.get_content_type() == "text/event-stream"
                while len(found) < count:
                    line = stream.readline().decode()
                    if line.startswith("data: "):
                        found.append(json.loads(line[6:]))
            return found

        (first,) = listen({}, 1)
        threading.Timer(
            1, lambda: api("POST", "/api/v1/certificates", {"shipments": shipments(start=1)})
        ).start()
        (second,) = listen({"Last-Event-ID": first["id"]}, 1)

        assert (first["id"], second["id"]) == ("0", "1")
        assert second["subject"] == shipments(start=1)[0]["number"]


class TestClients:
    def test_the_sync_one(self, homes: dict[str, Path], api: Api) -> None:
        assert api.token is not None
        with Client(api.url, api.token) as node:
            made = node.issue(shipments(count=2), key="a", officer="Ivan")
            again = node.issue(shipments(count=2), key="a", officer="Ivan")
            shown = node.certificate(NUMBER)
            done = node.act(NUMBER, "seal", seals=["S1"], if_match=shown.etag)
            with pytest.raises(ApiProblemError) as problem:
                node.act(NUMBER, "seal", seals=["S1"], if_match=shown.etag)
            events = list(node.events())
            listed = [c["number"] for c in node.certificates(limit=1)]
            jws = node.document(shown.body["doc_id"])
            waiting = node.work("expiring")

        assert (made.body, made.replayed, again.replayed) == (again.body, False, True)
        assert done.body["state"] == "sealed"
        assert (problem.value.status, problem.value.code) == (412, "changed")
        assert [e["data"]["event"] for e in events] == [
            "certificate",
            "certificate",
            "record:sealing",
        ]
        assert listed == [NUMBER, "RU00010119"]
        assert jws.count(".") == 2
        assert waiting == []

    def test_the_async_one(self, api: Api) -> None:
        async def use() -> list[Any]:
            assert api.token is not None
            async with AsyncClient(api.url, api.token) as node:
                made = await node.issue(shipments(), key="a")
                with pytest.raises(ApiProblemError) as problem:
                    await node.issue(shipments())
                shown = await node.certificate(NUMBER)
                done = await node.act(NUMBER, "revoke", reason="void", if_match=shown.etag)
                events = [event async for event in node.events()]
                return [made.body, problem.value.code, done.body["state"], len(events)]

        made, code, state, count = asyncio.run(use())

        assert made["results"][0]["number"] == NUMBER
        assert (code, state, count) == ("number-conflict", "void", 2)

    def test_a_node_that_is_away_is_an_os_error(self, homes: dict[str, Path]) -> None:
        with (
            Client(address(homes["RU"]), "x", timeout_s=1) as node,
            pytest.raises((ConnectionError, urllib.error.URLError)),
        ):
            node.certificate(NUMBER)


def test_an_act_is_delivered_at_once(apis: tuple[Api, Api]) -> None:
    ru, be = apis
    until(lambda: ru("GET", "/api/v1/peers/EU-BE")[1]["state"], "in sync")
    began = time.monotonic()

    ru("POST", "/api/v1/certificates", {"shipments": shipments()})
    until(lambda: be("GET", f"/api/v1/certificates/{NUMBER}")[0], 200)

    assert time.monotonic() - began < 5


class TestWhatATrialFound:
    def test_the_same_peer_added_and_renewed_at_once(self, api: Api, tmp_path: Path) -> None:
        bodies = []
        for folder in ("one", "two"):
            made = result(
                "init", tmp_path / folder, "--authority", "BW", "--name", "B", "--sandbox",
                "--url", "http://localhost:9",
            )  # fmt: skip
            raw = (tmp_path / folder / "keys" / "BW.jwks.json").read_text()
            bodies.append({"key_set": json.loads(raw), "fingerprint": made["fingerprint"]})
        add = {"authority": "BW", "url": "http://localhost:9", **bodies[0]}
        renew = {"because": "new keys", **bodies[1]}

        added = at_once(5, lambda: api("POST", "/api/v1/peers", add)[0])
        until(lambda: api("GET", "/api/v1/peers/BW")[0], 200)
        renewed = at_once(5, lambda: api("POST", "/api/v1/peers/BW/renew", renew)[0])

        assert sorted(added) == [201, 409, 409, 409, 409]
        assert renewed == [200] * 5
        until(lambda: api("GET", "/api/v1/peers/BW")[1]["fingerprint"], made["fingerprint"])

    @pytest.mark.parametrize(
        "url",
        ["http://[::1", "http://localhost:999999", "http://localhost:-1", "http://localhost:abc",
         "http://localhost:0", "http://localhost:9\\x", "http://:80/"],
    )  # fmt: skip
    def test_what_is_no_address_is_no_peers(
        self, homes: dict[str, Path], api: Api, url: str, tmp_path: Path
    ) -> None:
        made = result(
            "init", tmp_path / "BW", "--authority", "BW", "--name", "B", "--sandbox",
            "--url", "http://localhost:9",
        )  # fmt: skip
        key_set = json.loads((tmp_path / "BW" / "keys" / "BW.jwks.json").read_text())
        before = (homes["RU"] / "peers.toml").read_text()
        body = {"authority": "BW", "url": url, "key_set": key_set}

        told = api("POST", "/api/v1/peers", {**body, "fingerprint": made["fingerprint"]})

        assert told[0] in (409, 422)
        assert (homes["RU"] / "peers.toml").read_text() == before

    def test_a_stream_ends_with_its_token(self, homes: dict[str, Path], api: Api) -> None:
        listener = make_token(homes["RU"], "read")
        request = urllib.request.Request(
            f"{api.url}/api/v1/events",
            headers={"Accept": "text/event-stream", "Authorization": f"Bearer {listener}"},
        )
        with urllib.request.urlopen(request, timeout=20) as stream:
            assert stream.headers["X-Request-Id"]
            api("POST", f"/api/v1/tokens/{listener.split('_')[1]}/revoke", {})
            api("POST", "/api/v1/certificates", {"shipments": shipments()})
            told = stream.read()  # to its end

        assert told.count(b"data: ") <= 1

    def test_an_operators_name_stands_in_the_trail(self, homes: dict[str, Path], api: Api) -> None:
        why = {"because": "their request", "office": "Minsk", "officer": "Olga"}
        api("POST", "/api/v1/peers/EU-BE/pause", why)

        with open_node(homes["RU"], signing=False) as own:
            (act,) = own.ledger.read(lambda tx: acts.listed(tx, "EU-BE their request"))
        assert (act.office, act.officer) == ("Minsk", "Olga")
        assert act.account.startswith("token erp (")

    def test_who_waits_for_a_large_batch_holds_up_nobody_who_reads(self, api: Api) -> None:
        def small(at: int) -> int:
            return api("POST", "/api/v1/certificates", {"shipments": [many(6000)[5500 + at]]})[0]

        batch = {"shipments": many(5000), "mode": "each"}
        large: list[int] = []
        done_at: list[float] = []

        def record() -> None:
            large.append(api("POST", "/api/v1/certificates", batch)[0])
            done_at.append(time.monotonic())

        busy = threading.Thread(target=record)
        busy.start()
        time.sleep(0.5)
        waiting = [threading.Thread(target=small, args=(at,)) for at in range(40)]
        for one in waiting:
            one.start()
        read = [api("GET", "/api/v1/status")[0], api("GET", "/api/v1/certificates?limit=1")[0]]
        read_at = time.monotonic()
        busy.join()
        for one in waiting:
            one.join()

        assert read == [200, 200]
        assert large == [200]
        assert read_at < done_at[0], "the readings were answered while the batch was recorded"

    def test_listeners_who_never_read_hold_up_nobody(
        self, homes: dict[str, Path], api: Api
    ) -> None:
        api("POST", "/api/v1/certificates", {"shipments": many(2000)})
        host, port = api.url.removeprefix("http://").split(":")
        with ExitStack() as stack:
            for _ in range(70):
                listener = stack.enter_context(socket.create_connection((host, int(port)), 5))
                listener.sendall(
                    b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream"
                    b"\r\nAuthorization: Bearer " + str(api.token).encode() + b"\r\n\r\n"
                )
            assert api("GET", "/api/v1/status")[0] == 200
            assert len(api("GET", "/api/v1/events?limit=1000")[1]["items"]) == 1000
        assert "internal error" not in (homes["RU"] / "serve.log").read_text()

    def test_callers_who_leave_are_not_worked_for(self, homes: dict[str, Path], api: Api) -> None:
        api("POST", "/api/v1/certificates", {"shipments": many(2000)})
        host, port = api.url.removeprefix("http://").split(":")
        for _ in range(30):
            with socket.create_connection((host, int(port)), 5) as gone:
                gone.sendall(
                    b"GET /api/v1/ledger/verify HTTP/1.1\r\nHost: localhost\r\n"
                    b"Authorization: Bearer " + str(api.token).encode() + b"\r\n\r\n"
                )
                time.sleep(0.02)

        assert api("GET", "/api/v1/status")[0] == 200
        found = api("GET", "/api/v1/ledger/verify")
        assert (found[0], found[1]["ok"]) == (200, True)
        assert "internal error" not in (homes["RU"] / "serve.log").read_text()

    def test_preconditions_as_http_has_them(self, api: Api) -> None:
        api("POST", "/api/v1/certificates", {"shipments": shipments()})
        path = f"/api/v1/certificates/{NUMBER}"
        seen = api("GET", path)[2]["ETag"]
        seal = lambda match: api("POST", f"{path}/seal", {"seals": ["S"]}, If_Match=match)[0]  # noqa: E731

        assert seal('"other", "another"') == 412
        assert seal(f"W/{seen}") == 412
        assert seal(f'"other", {seen}') == 200
        assert seal("*") != 412
        absent = api("POST", "/api/v1/certificates/RU9/seal", {"seals": ["S"]}, If_Match="*")
        assert absent[0] == 404

    def test_an_alert_changes_the_etag(self, api: Api) -> None:
        api("POST", "/api/v1/certificates", {"shipments": shipments()})
        path = f"/api/v1/certificates/{NUMBER}"
        before = api("GET", path)[2]["ETag"]
        api("POST", "/api/v1/alerts", {"subject": "forged", "first": NUMBER, "reason": "x"})

        assert api("GET", path)[2]["ETag"] != before

    def test_small_things(self, api: Api) -> None:
        assert api("GET", "/api/v1/dossiers/9999-12")[0] == 400
        assert api("GET", "/api/v1/table?month=0000-12")[0] == 400
        assert api("GET", "/api/v1/certificates?state=nonsense")[0] == 400
        assert api("GET", "/api/v1/certificates?limit=1&limit=2")[0] == 400
        kinds = {"text/event-stream;q=0, application/json": "application/json",
                 "TEXT/Event-Stream": "text/event-stream"}  # fmt: skip
        for asked, expected in kinds.items():
            answer = api("GET", "/api/v1/ledger/verify", Accept=asked)
            assert answer[2].get_content_type() == expected
        table = "number,issued_by,carats,confirmed_on\nEU0000005,EU-BE,{},2026-01-02\n"
        send = lambda carats: api(  # noqa: E731
            "POST", "/api/v1/table?apply=true", table.format(carats).encode(),
            Content_Type="text/csv",
        )[1]  # fmt: skip
        assert send("12.50")["applied"] is True
        assert send("12.50")["items"][0]["will"] == "here already"
        assert send("99.00")["items"][0]["code"] == "number-conflict"


def at_once(count: int, do: Any) -> list[Any]:
    """What comes of the same, done by so many at once."""
    with ThreadPoolExecutor(count) as callers:
        return [one.result() for one in [callers.submit(do) for _ in range(count)]]
