"""The peer listener over real HTTP: every path, every problem, nothing for strangers."""

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from node import bundle
from node.authority import OwnAuthority
from node.domain.kinds import REQUEST
from node.exchange import tokens
from node.ledger import entries, released, streams, witness
from node.log import tree
from node.office.issue import issue
from node.office.officer import Officer
from node.watch.peers import status
from tests.nodes import SetClock, admit_sources, shipments
from tests.serving import deliver, listening
from tests.wire import Wire, unb64

TYPE = {"Content-Type": bundle.MEDIA_TYPE}


@pytest.fixture
async def url(be: OwnAuthority) -> AsyncIterator[str]:
    async with listening(be) as address:
        yield address


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def problem(response: aiohttp.ClientResponse) -> tuple[int, str]:
    """Status and code; a problem always has its media type and members."""
    assert response.content_type == "application/problem+json"
    body = await response.json(content_type=None)
    assert body["status"] == response.status
    assert body.keys() >= {"type", "title", "status", "code", "detail"}
    return response.status, body["code"]


class TestWellKnown:
    async def test_the_node_says_who_it_is(self, http: aiohttp.ClientSession, url: str) -> None:
        async with http.get(f"{url}/.well-known/kpx.json") as response:
            about = await response.json()

        assert about["authority"] == "EU-BE"
        assert about["versions"] == ["KPX/1"]
        assert about["sandbox"] is True
        assert about["types"] == sorted(
            f"vnd.kp.{kind}.v1+jwt"
            for kind in (
                "certificate", "confirmation", "discrepancy", "resolution", "amendment",
                "technical-certificate", "return", "revocation", "succession", "inquiry", "answer",
                "alert", "profile",
            )
        )  # fmt: skip
        assert about["url"] == url
        assert about["jwks"] == f"{url}/.well-known/jwks.json"
        assert about["log"]["origin"] == "kpx-sandbox/EU-BE"
        assert about["log"]["vkey"].startswith("kpx-sandbox/EU-BE+")

    async def test_the_key_set_is_the_public_one(
        self, http: aiohttp.ClientSession, url: str, be: OwnAuthority
    ) -> None:
        async with http.get(f"{url}/.well-known/jwks.json") as response:
            published = await response.json()

        assert published == be.keys.as_json()
        assert all("d" not in key for key in published["keys"])


class TestBundles:
    async def test_a_receipt_is_all_of_the_answer(
        self, http: aiohttp.ClientSession, url: str, wire: Wire
    ) -> None:
        manifest, _ = wire.manifest([])

        async with http.post(
            f"{url}/kpx/v1/bundles", data=manifest + b"\n", headers=TYPE
        ) as answer:
            body = await answer.read()

        assert (answer.status, answer.content_type) == (200, "application/jose")
        assert body.count(b".") == 2

    @pytest.mark.parametrize(
        ("headers", "body", "expected"),
        [
            ({"Content-Type": "application/json"}, b"{}", (415, "unsupported-media")),
            (TYPE | {"Content-Encoding": "identity"}, b"x\n", (415, "unsupported-media")),
            (TYPE, b"", (400, "malformed-bundle")),
            (TYPE, b"no line end", (400, "malformed-bundle")),
            (TYPE, b"a.b.c\n", (400, "malformed-bundle")),
            (TYPE, b"A" * (1024 * 1024 + 2), (413, "too-large")),
            (TYPE, b"A\n" * (5 * 1024 * 1024), (413, "too-large")),
        ],
    )
    async def test_what_is_no_bundle_is_refused(
        self,
        http: aiohttp.ClientSession,
        url: str,
        headers: dict[str, str],
        body: bytes,
        expected: tuple[int, str],
    ) -> None:
        data = io.BytesIO(body)
        async with http.post(f"{url}/kpx/v1/bundles", data=data, headers=headers) as answer:
            assert await problem(answer) == expected

    async def test_a_body_in_pieces_without_length_is_read(
        self, http: aiohttp.ClientSession, url: str, wire: Wire
    ) -> None:
        manifest, _ = wire.manifest([])

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(manifest), 100):
                yield manifest[at : at + 100]
            yield b"\n"

        async with http.post(f"{url}/kpx/v1/bundles", data=pieces(), headers=TYPE) as answer:
            assert answer.status == 200

    async def test_an_endless_body_is_cut_off(
        self, http: aiohttp.ClientSession, url: str, wire: Wire
    ) -> None:
        manifest, _ = wire.manifest([])

        async def endless() -> AsyncIterator[bytes]:
            yield manifest + b"\n"
            while True:
                yield b"A" * 65536

        try:
            async with http.post(f"{url}/kpx/v1/bundles", data=endless(), headers=TYPE) as answer:
                assert await problem(answer) == (413, "too-large")
        except aiohttp.ClientOSError:
            pass  # the node closed the connection while the rest was still coming

    async def test_a_stranger_learns_nothing(
        self, http: aiohttp.ClientSession, url: str, wire: Wire
    ) -> None:
        manifest, _ = wire.manifest([], iss="AO")

        async with http.post(
            f"{url}/kpx/v1/bundles", data=manifest + b"\n", headers=TYPE
        ) as answer:
            assert await problem(answer) == (401, "unknown-peer")

    @pytest.mark.parametrize(
        ("method", "path", "expected"),
        [
            ("GET", "/kpx/v1/receipts", (405, "not-allowed")),
            ("GET", "/kpx/v1/bundles", (401, "unknown-peer")),
            ("POST", "/kpx/v1/position", (405, "not-allowed")),
            ("HEAD", "/.well-known/kpx.json", None),
            ("GET", "/", (404, "not-found")),
            ("GET", "/kpx/v2/position", (404, "not-found")),
            ("GET", "/kpx/v1/../v1/secret", (404, "not-found")),
        ],
    )
    async def test_other_methods_and_paths_are_problems(
        self,
        http: aiohttp.ClientSession,
        url: str,
        method: str,
        path: str,
        expected: tuple[int, str] | None,
    ) -> None:
        async with http.request(method, url + path) as answer:
            if expected is None:
                assert answer.status == 405
            else:
                assert await problem(answer) == expected

    async def test_a_fork_carries_its_statement(
        self, http: aiohttp.ClientSession, url: str, wire: Wire
    ) -> None:
        wire.send()
        wire.log.add(bytes(32))
        wire.head = bytes(range(32))
        manifest, _ = wire.manifest([])

        async with http.post(
            f"{url}/kpx/v1/bundles", data=manifest + b"\n", headers=TYPE
        ) as answer:
            body = await answer.json(content_type=None)

        assert (answer.status, body["code"]) == (409, "stream-fork")
        assert json.loads(unb64(body["statement"].split(".")[1]))["body"]["code"] == "stream-fork"


class TestGets:
    async def ask(
        self, http: aiohttp.ClientSession, url: str, own: OwnAuthority, target: str, **changes: Any
    ) -> Any:
        """Ask with a token made for the target, or changed where the test says."""
        header = changes.get("header", tokens.make(own, "EU-BE", changes.get("made_for", target)))
        headers = {"Authorization": header} if header else {}
        async with http.get(url + target, headers=headers) as answer:
            if answer.status != 200:
                return await problem(answer)
            text = await answer.text()
            return json.loads(text) if answer.content_type == "application/json" else text

    @pytest.fixture
    async def delivered(self, ru: OwnAuthority, url: str) -> OwnAuthority:
        issue(ru, shipments(count=3), Officer())
        await deliver(ru, "EU-BE")
        return ru

    async def test_position_is_the_pair_as_the_node_sees_it(
        self, http: aiohttp.ClientSession, url: str, delivered: OwnAuthority, be: OwnAuthority
    ) -> None:
        answer = await self.ask(http, url, delivered, "/kpx/v1/position")

        held = be.ledger.read(lambda tx: witness.held(tx, "RU"))
        place = delivered.ledger.read(lambda tx: streams.sent_place(tx, "EU-BE"))
        assert held is not None
        assert place is not None
        assert answer["authority"] == "EU-BE"
        assert unb64(answer["received"]["head"]) == place.head
        assert answer["received"]["have"] == 3
        assert answer["sent"] == {"last": 0, "head": "A" * 43, "acknowledged": 0}
        assert answer["witnessed"]["note"] == held.note
        assert answer["checkpoint"].startswith("kpx-sandbox/EU-BE\n4\n")

    async def test_the_checkpoint_is_text(
        self, http: aiohttp.ClientSession, url: str, delivered: OwnAuthority, be: OwnAuthority
    ) -> None:
        note = await self.ask(http, url, delivered, "/kpx/v1/log/checkpoint")

        assert be.checkpoints.read(note).size == 4
        assert released.last(be.config.node.released_checkpoint) == note

    async def test_an_inclusion_proof_verifies(
        self, http: aiohttp.ClientSession, url: str, delivered: OwnAuthority, be: OwnAuthority
    ) -> None:
        answer = await self.ask(http, url, delivered, "/kpx/v1/log/inclusion?index=1&size=4")

        root = be.ledger.read(lambda tx: entries.root(tx, 4))
        proof = [unb64(step) for step in answer["proof"]]
        assert (answer["index"], answer["size"]) == (1, 4)
        assert tree.verify_inclusion(unb64(answer["leaf"]), 1, 4, proof, root)

    async def test_a_consistency_proof_verifies(
        self, http: aiohttp.ClientSession, url: str, delivered: OwnAuthority, be: OwnAuthority
    ) -> None:
        answer = await self.ask(http, url, delivered, "/kpx/v1/log/consistency?old=2&new=4")

        old, new = be.ledger.read(lambda tx: (entries.root(tx, 2), entries.root(tx, 4)))
        proof = [unb64(step) for step in answer["proof"]]
        assert tree.verify_consistency(2, 4, proof, old, new)

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("/kpx/v1/log/inclusion?index=3&size=4", (404, "not-found")),  # our receipt
            ("/kpx/v1/log/inclusion?index=9&size=4", (404, "not-found")),
            ("/kpx/v1/log/inclusion?index=0&size=9", (404, "not-found")),
            ("/kpx/v1/log/inclusion?index=2&size=2", (400, "bad-request")),
            ("/kpx/v1/log/inclusion?index=-1&size=2", (400, "bad-request")),
            ("/kpx/v1/log/inclusion?index=1", (400, "bad-request")),
            ("/kpx/v1/log/inclusion?index=1&size=4&x=1", (400, "bad-request")),
            ("/kpx/v1/log/inclusion?index=01&size=4", (400, "bad-request")),
            ("/kpx/v1/log/consistency?old=3&new=2", (400, "bad-request")),
            ("/kpx/v1/log/consistency?old=0&new=99", (404, "not-found")),
            ("/kpx/v1/log/consistency?old=x&new=y", (400, "bad-request")),
        ],
    )
    async def test_what_may_not_be_asked_is_refused(
        self,
        http: aiohttp.ClientSession,
        url: str,
        delivered: OwnAuthority,
        target: str,
        expected: tuple[int, str],
    ) -> None:
        assert await self.ask(http, url, delivered, target) == expected

    async def test_entries_of_another_pair_are_not_found(
        self, http: aiohttp.ClientSession, url: str, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        admit_sources(be, shipments("EU-BE", "RU"))
        issue(be, shipments("EU-BE", "RU"), Officer())
        be.ledger.write(lambda tx: tx.execute("UPDATE sent SET peer = 'BY'"))
        record = be.ledger.read(lambda tx: entries.entry(tx, 0))
        assert record is not None
        assert record.typ == "vnd.kp.record.v1+jwt"

        answer = await self.ask(http, url, ru, "/kpx/v1/log/inclusion?index=0&size=1")

        assert answer == (404, "not-found")

    async def test_a_token_counts_once(
        self, http: aiohttp.ClientSession, url: str, ru: OwnAuthority
    ) -> None:
        header = tokens.make(ru, "EU-BE", "/kpx/v1/position")

        first = await self.ask(http, url, ru, "/kpx/v1/position", header=header)
        second = await self.ask(http, url, ru, "/kpx/v1/position", header=header)

        assert first["authority"] == "EU-BE"
        assert second == (401, "replayed")

    async def test_a_token_lives_a_minute_and_the_clocks_grace(
        self, http: aiohttp.ClientSession, url: str, ru: OwnAuthority, clock: SetClock
    ) -> None:
        early, late = (tokens.make(ru, "EU-BE", "/kpx/v1/position") for _ in range(2))
        clock.advance(seconds=180)
        assert "authority" in await self.ask(http, url, ru, "/kpx/v1/position", header=early)
        clock.advance(seconds=1)

        assert await self.ask(http, url, ru, "/kpx/v1/position", header=late) == (400, "expired")

    async def test_tokens_that_are_none_are_refused(
        self, http: aiohttp.ClientSession, url: str, ru: OwnAuthority, wire: Wire
    ) -> None:
        target, now_s = "/kpx/v1/position", ru.now_s()
        content = {"method": "GET", "target": target}

        def token(body: Any = content, kind: str = "request", **claims: Any) -> str:
            life = {"iat": now_s, "exp": now_s + 60} | claims
            return "KPX " + wire.document(body, kind, **life).decode()

        expected = [
            (None, (401, "unknown-peer")),
            ("Bearer x", (400, "bad-request")),
            ("KPX x", (400, "bad-request")),
            (token(kind="manifest"), (400, "bad-request")),
            (token(iss="AO"), (401, "unknown-peer")),
            (token()[:-4] + "AAAA", (401, "bad-signature")),
            (token({"method": "GET", "target": "/kpx/v1/log/checkpoint"}), (401, "bad-signature")),
            (token({"method": "POST", "target": target}), (401, "bad-signature")),
            (token(exp=now_s + 61), (401, "bad-signature")),
            (token(exp=None), (401, "bad-signature")),
            (token(aud=["BY"]), (403, "wrong-audience")),
            (token(sandbox=None), (403, "wrong-sandbox")),
            (token(iat=now_s + 200, exp=now_s + 260), (400, "expired")),
        ]
        for header, answer in expected:
            assert await self.ask(http, url, ru, target, header=header) == answer, header

    async def test_a_doc_key_makes_no_token(
        self, http: aiohttp.ClientSession, url: str, ru: OwnAuthority
    ) -> None:
        own_signers = ru.signers
        ru.signers = {**own_signers, REQUEST.role: own_signers["doc"]}

        answer = await self.ask(http, url, ru, "/kpx/v1/position")

        assert answer == (401, "bad-signature")


class TestConsole:
    async def test_health_and_status_are_json(
        self, http: aiohttp.ClientSession, url: str, be: OwnAuthority
    ) -> None:
        base = f"http://localhost:{be.config.node.console.port}"

        async with (
            http.get(f"{base}/healthz") as health,
            http.get(f"{base}/api/v1/status") as answer,
        ):
            assert (await health.json())["ok"] is True
            assert [row["authority"] for row in (await answer.json())["peers"]] == ["RU"]

    async def test_a_foreign_host_name_is_refused(
        self, http: aiohttp.ClientSession, url: str, be: OwnAuthority
    ) -> None:
        base = f"http://localhost:{be.config.node.console.port}"

        async with http.get(f"{base}/healthz", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 404


async def test_a_peer_whose_keys_changed_is_stopped_with_an_incident(
    be: OwnAuthority, url: str, http: aiohttp.ClientSession, wire: Wire
) -> None:
    from node.ledger import peers

    path = be.config.home / "keys" / "RU.jwks.json"
    before = path.read_bytes()
    path.write_bytes(json.dumps(be.keys.as_json() | {"kp_authority": "RU"}).encode())

    be.reload_peers(be.config)

    manifest, _ = wire.manifest([])
    async with http.post(f"{url}/kpx/v1/bundles", data=manifest + b"\n", headers=TYPE) as answer:
        assert await problem(answer) == (503, "paused")
        assert int(answer.headers["Retry-After"]) > 0
    found = be.ledger.read(lambda tx: peers.incidents(tx, "RU"))
    assert [incident.code for incident in found] == ["keys-changed"]
    assert "pinned" in status(be)["peers"][0]["last_error"]

    path.write_bytes(before)
    be.reload_peers(be.config)

    assert be.ledger.read(lambda tx: peers.incidents(tx, "RU")) == []
    async with http.post(f"{url}/kpx/v1/bundles", data=manifest + b"\n", headers=TYPE) as answer:
        assert answer.status == 200
