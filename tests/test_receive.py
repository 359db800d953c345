"""Receiving bundles, rule by rule of protocol section 3, from a sender that may say anything."""

import json
import time
from typing import Any

import pytest

from node.authority import OwnAuthority
from node.documents import MAX_DOCUMENT_BYTES
from node.exchange.quarantine import judge_again
from node.ledger import certificates, entries, peers, released, streams, witness
from node.ledger.database import Transaction
from node.ledger.rebuild import rebuild
from node.schema.validation import check
from tests.nodes import SetClock, mined_here
from tests.test_rules import EXAMPLE
from tests.wire import Wire, b64, digest


def body(number: str = "RU00010118", **members: Any) -> dict[str, Any]:
    return json.loads(json.dumps(EXAMPLE)) | {"number": number} | members


def size(own: OwnAuthority) -> int:
    return own.ledger.read(entries.size)


def have(own: OwnAuthority) -> int:
    place = own.ledger.read(lambda tx: streams.received_place(tx, "RU"))
    assert place is not None
    return place.position


def incidents(own: OwnAuthority) -> list[str]:
    return [i.code for i in own.ledger.read(lambda tx: peers.incidents(tx, "RU"))]


def codes(receipt: dict[str, Any]) -> list[Any]:
    """Of each result the outcome, or the first code of a refusal."""
    return [
        result["errors"][0]["code"] if result["outcome"] == "rejected" else result["outcome"]
        for result in receipt["body"]["results"]
    ]


class TestAcceptance:
    def test_a_certificate_is_recorded_and_receipted(self, wire: Wire, be: OwnAuthority) -> None:
        line = wire.document(body())

        receipt = wire.send(line)

        assert receipt["body"]["results"] == [
            {"doc": b64(digest(line)), "outcome": "accepted", "index": 0}
        ]
        assert receipt["body"]["stream"] == {"have": 1, "head": b64(wire.head)}
        assert receipt["body"]["witnessed"]["size"] == 1
        assert receipt["body"]["log"]["checkpoint"].split("\n")[1] == "1"
        assert be.ledger.read(lambda tx: entries.document(tx, b64(digest(line)))) == line

    def test_the_receipts_own_entry_follows_in_the_log(self, wire: Wire, be: OwnAuthority) -> None:
        receipt = wire.send(wire.document(body()))

        stored = be.ledger.read(lambda tx: entries.entry(tx, 1))
        assert stored is not None
        assert stored.jws == receipt["raw"]

    def test_the_released_checkpoint_is_the_receipts(self, wire: Wire, be: OwnAuthority) -> None:
        receipt = wire.send(wire.document(body()))

        left = released.last(be.config.node.released_checkpoint)
        assert left == receipt["body"]["log"]["checkpoint"]

    def test_what_is_kept_of_a_certificate_is_what_its_bytes_say(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        tables = ("certificates", "seals", "parties", "life")

        def kept(tx: Transaction) -> list[list[tuple[Any, ...]]]:
            return [[*map(tuple, tx.execute(f"SELECT * FROM {table}"))] for table in tables]

        assert "containers" in body()
        wire.send(wire.document(body()))
        received = be.ledger.read(kept)
        be.ledger.write(lambda tx: rebuild(tx, be.name))

        assert be.ledger.read(kept) == received
        assert all(received[:3])

    def test_a_heartbeat_is_answered_and_not_logged(self, wire: Wire, be: OwnAuthority) -> None:
        receipt = wire.send()

        assert receipt["body"]["results"] == []
        assert size(be) == 0

    def test_a_bad_document_does_not_block_the_stream(self, wire: Wire, be: OwnAuthority) -> None:
        lines = [
            wire.document(body("RU0001")),
            wire.document(body("RU0002", declaration={"not_conflict": False, "by": "Sample"})),
            b"not a document",
            wire.document(body("RU0003")),
        ]

        receipt = wire.send(*lines)

        assert codes(receipt) == ["accepted", "declaration-missing", "not-a-jws", "accepted"]
        assert receipt["body"]["stream"]["have"] == 4
        kept = be.ledger.read(lambda tx: streams.quarantined(tx, "RU"))
        assert [(q.position, q.jws) for q in kept] == [(2, lines[1]), (3, lines[2])]

    def test_of_a_too_large_document_only_id_and_size_are_kept(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        line = b"A" * (MAX_DOCUMENT_BYTES + 1)

        receipt = wire.send(line)

        (kept,) = be.ledger.read(lambda tx: streams.quarantined(tx, "RU"))
        assert codes(receipt) == ["too-large"]
        assert (kept.jws, kept.size_bytes, kept.doc_id) == (None, len(line), b64(digest(line)))

    @pytest.mark.parametrize(
        ("claims", "code"),
        [
            ({"iss": "BY"}, "wrong-authority"),
            ({"aud": ["BY"]}, "wrong-audience"),
            ({"sandbox": None}, "wrong-sandbox"),
            ({"jti": None}, "schema-invalid"),
            ({"exp": 1}, "schema-invalid"),
            ({"aud": ["BY", "EU-BE"]}, "schema-invalid"),
        ],
    )
    def test_an_envelope_that_is_not_for_here_is_refused(
        self, wire: Wire, claims: dict[str, Any], code: str
    ) -> None:
        assert codes(wire.send(wire.document(body(), **claims))) == [code]

    @pytest.mark.parametrize("kind", ["manifest", "receipt", "request", "record", "statistics"])
    def test_a_kind_that_does_not_travel_is_refused(self, wire: Wire, kind: str) -> None:
        assert codes(wire.send(wire.document(body(), kind))) == ["unknown-type"]

    def test_a_number_is_used_once(self, wire: Wire) -> None:
        first, second = wire.document(body()), wire.document(body())

        assert codes(wire.send(first)) == ["accepted"]
        assert codes(wire.send(second)) == ["number-conflict"]

    def test_the_earlier_step_names_the_code_though_the_ledger_judges_the_later(
        self, wire: Wire
    ) -> None:
        wire.send(wire.document(body()))

        both = wire.document(body(destination="KE"))
        form = wire.document(body("SL0001"))

        assert codes(wire.send(both, form)) == ["number-conflict", "number-pattern"]


class TestHostileDocuments:
    @pytest.mark.parametrize("day", ["0001-01-01", "1999-12-31", "9999-12-15", "9999-12-31"])
    def test_an_odd_date_is_refused_like_any_other(self, wire: Wire, day: str) -> None:
        receipt = wire.send(wire.document(body(issued_on=day, expires_on=day)))

        assert codes(receipt)[0] in ("dates-inconsistent", "not-a-participant")

    def test_a_receipt_stays_within_what_a_sender_accepts(self, wire: Wire) -> None:
        many = {f"member-{n}-" + "я" * 150: n for n in range(20)}
        lines = [wire.document(body(**many)) for _ in range(300)]
        long = wire.document(body(**{"x" * 9000: 1, "/" * 3000: 2}))

        receipt = wire.send(*lines, long)

        assert len(receipt["raw"]) < 1024 * 1024
        assert check("receipt.v1", {k: v for k, v in receipt.items() if k != "raw"}) == []
        assert codes(receipt) == ["schema-invalid"] * 301

    def test_many_references_take_no_time(self, wire: Wire) -> None:
        references = ["A" * 43, *range(20_000)]
        line = wire.document({}, "confirmation", re=references)
        began = time.monotonic()

        assert codes(wire.send(line)) == ["schema-invalid"]

        assert time.monotonic() - began < 5

    def test_our_own_receipt_sent_back_stays_refused(self, wire: Wire) -> None:
        ours = wire.send(wire.document(body()))["raw"]

        assert codes(wire.send(ours)) == ["unknown-type"]
        assert codes(wire.send(ours, indexes=[0])) == ["unknown-type"]

    def test_a_conflict_tells_nothing_of_another_pair(self, wire: Wire, be: OwnAuthority) -> None:
        from node.office.issue import issue
        from node.office.officer import Officer

        issue(be, mined_here(), Officer())
        (taken,) = be.ledger.read(lambda tx: certificates.listed(tx, None, None, "", 9))
        be.ledger.write(
            lambda tx: tx.execute("UPDATE certificates SET participant = 'RU', number = 'RU0001'")
        )

        receipt = wire.send(wire.document(body("RU0001")))

        assert codes(receipt) == ["number-conflict"]
        assert taken.doc_id not in json.dumps(receipt["body"])


class TestReplay:
    def test_a_receipt_that_never_left_is_released_with_the_replay(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        line = wire.document(body())
        manifest, _ = wire.manifest([line])
        first = wire.post(manifest, [line])
        be.config.node.released_checkpoint.unlink()  # as after a crash before the release

        wire.post(manifest, [line])

        left = released.last(be.config.node.released_checkpoint)
        assert left == first["body"]["log"]["checkpoint"]

    def test_an_overlap_answers_as_the_first_time_also_for_a_garbled_twin(self, wire: Wire) -> None:
        good = wire.document(body())
        twin = good.rpartition(b".")[0] + b".*"
        manifest, _ = wire.manifest([good, twin])
        assert codes(wire.post(manifest, [good, twin])) == ["accepted", "not-a-jws"]
        wire.held = len(wire.log.leaves)

        assert codes(wire.send(good, twin, indexes=[0, 1])) == ["duplicate", "not-a-jws"]

    def test_the_same_manifest_returns_the_first_receipt(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        line = wire.document(body())
        manifest, _ = wire.manifest([line])
        first = wire.post(manifest, [line])
        before = size(be)

        again = wire.post(manifest, [])

        assert again["raw"] == first["raw"]
        assert size(be) == before

    def test_it_does_so_after_the_manifest_has_expired(self, wire: Wire, clock: SetClock) -> None:
        line = wire.document(body())
        manifest, _ = wire.manifest([line])
        first = wire.post(manifest, [line])
        clock.advance(days=100)

        assert wire.post(manifest, [line])["raw"] == first["raw"]

    def test_held_positions_answer_duplicate_or_the_first_code(self, wire: Wire) -> None:
        good, bad = wire.document(body("RU0001")), wire.document(body("SL0001"))
        manifest, _ = wire.manifest([good, bad])
        wire.post(manifest, [good, bad])
        wire.held = len(wire.log.leaves)
        third = wire.document(body("RU0002"))

        receipt = wire.send(good, bad, third, indexes=[0, 1, wire.log.add(digest(third))])

        assert codes(receipt) == ["duplicate", "number-pattern", "accepted"]
        assert receipt["body"]["results"][0]["index"] == 0

    def test_a_document_at_a_new_position_is_a_duplicate(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        line = wire.document(body())
        wire.send(line)
        before = size(be)

        receipt = wire.send(line, indexes=[0])

        assert codes(receipt) == ["duplicate"]
        assert size(be) == before + 1  # the receipt alone

    def test_a_refused_document_at_a_new_position_is_judged_afresh(
        self, wire: Wire, clock: SetClock
    ) -> None:
        line = wire.document(body(), iat=wire.sender.now_s() + 500)
        assert codes(wire.send(line)) == ["issued-in-future"]
        clock.advance(seconds=500)

        assert codes(wire.send(line, indexes=[0])) == ["accepted"]

    def test_a_duplicate_needs_the_same_form_only(self, wire: Wire) -> None:
        line = wire.document(body())
        wire.send(line)
        garbled = line[:-4] + b"AAAA"

        assert codes(wire.send(garbled, indexes=[0])) == ["duplicate"]
        assert codes(wire.send(line + b"=", indexes=[0])) == ["not-a-jws"]

    def test_heartbeats_do_not_fill_the_disk(
        self, wire: Wire, be: OwnAuthority, clock: SetClock
    ) -> None:
        wire.send(wire.document(body()))
        for _ in range(5):
            wire.send()
            clock.advance(hours=1)

        (kept,) = be.ledger.read(lambda tx: tx.execute("SELECT count(*) FROM receipts").fetchone())

        assert kept == 2  # the one with results, and that of the last heartbeat


class TestStream:
    def test_a_gap_is_answered_with_have_and_no_results(self, wire: Wire, be: OwnAuthority) -> None:
        wire.send(wire.document(body("RU0001")))
        wire.last, wire.head = 5, bytes(32)

        receipt = wire.send(wire.document(body("RU0002")))

        assert receipt["body"]["results"] == []
        assert receipt["body"]["stream"]["have"] == 1
        assert have(be) == 1

    def test_another_document_at_a_held_position_is_a_fork(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        wire.send(wire.document(body("RU0001")))
        wire.last, wire.head = 0, bytes(32)

        problem = wire.refused(wire.document(body("RU0002")))

        assert problem.code == "stream-fork"
        assert incidents(be) == ["stream-fork"]
        assert have(be) == 1

    def test_a_fork_is_stated_under_the_recipients_signature(self, wire: Wire) -> None:
        wire.send(wire.document(body("RU0001")))
        wire.last, wire.head = 0, bytes(32)

        problem = wire.refused(wire.document(body("RU0002")))

        statement = json.loads(_b64(problem.members["statement"].split(".")[1]))
        assert statement["iss"] == "EU-BE"
        assert statement["body"]["code"] == "stream-fork"
        assert statement["body"]["results"] == []

    @pytest.mark.parametrize("lines", [0, 1])
    def test_another_head_before_the_bundle_is_a_fork(self, wire: Wire, lines: int) -> None:
        wire.send(wire.document(body("RU0001")))
        wire.head = bytes(range(32))

        problem = wire.refused(*[wire.document(body("RU0002"))][:lines])

        assert problem.code == "stream-fork"

    def test_a_bundle_that_fits_still_passes_after_a_stream_fork(self, wire: Wire) -> None:
        wire.send(wire.document(body("RU0001")))
        last, head = wire.last, wire.head
        wire.last, wire.head = 0, bytes(32)
        wire.refused(wire.document(body("RU0002")))
        wire.last, wire.head = last, head

        assert codes(wire.send(wire.document(body("RU0003")))) == ["accepted"]


class TestManifest:
    @pytest.mark.parametrize(
        "changes",
        [
            {"digest": "A" * 43},
            {"documents": []},
            {"documents": ["A" * 43]},
            {"indexes": [0, 1]},
            {"indexes": [7]},
            {"stream": {"first": 1, "last": 2, "prev_head": "A" * 43, "head": "A" * 43}},
            {"stream": {"first": 1, "last": 1, "prev_head": "A" * 43, "head": "A" * 43}},
            {"log": None},
            {"witnessed": {"size": 0}},
            {"colour": "D"},
        ],
    )
    def test_a_manifest_that_does_not_fit_its_lines_is_malformed(
        self, wire: Wire, be: OwnAuthority, changes: dict[str, Any]
    ) -> None:
        assert wire.refused(wire.document(body()), **changes).code == "malformed-bundle"
        assert have(be) == 0

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"protocol": "KPX/2"}, "unsupported-version"),
            ({"aud": ["BY"]}, "wrong-audience"),
            ({"aud": ["EU-BE", "RU"]}, "wrong-audience"),
            ({"sandbox": None}, "wrong-sandbox"),
            ({"iss": "BY"}, "unknown-peer"),
            ({"iss": "EU-BE"}, "unknown-peer"),
        ],
    )
    def test_a_manifest_for_elsewhere_is_refused(
        self, wire: Wire, changes: dict[str, Any], code: str
    ) -> None:
        assert wire.refused(wire.document(body()), **changes).code == code

    @pytest.mark.parametrize(
        ("iat", "exp", "code"),
        [
            (0, 300, None),
            (120, 300, None),
            (121, 300, "expired"),
            (-500, -121, "expired"),
            (-500, -120, None),
            (0, 91 * 86400, "malformed-bundle"),
            (10, 10, "malformed-bundle"),
        ],
    )
    def test_time_is_judged_with_120_seconds_of_grace(
        self, wire: Wire, clock: SetClock, iat: int, exp: int, code: str | None
    ) -> None:
        clock.advance(hours=1)  # the keys are older than any of these manifests
        now_s = wire.sender.now_s()
        manifest, _ = wire.manifest([], iat=now_s + iat, exp=now_s + exp)

        if code is None:
            assert wire.post(manifest, [])
        else:
            problem = wire.problem(manifest)
            assert problem.code == code
            assert problem.members.get("now", now_s) == now_s

    def test_a_manifest_signed_with_a_doc_key_has_a_bad_signature(self, wire: Wire) -> None:
        manifest, _ = wire.manifest([])
        wire.sender.signers = {**wire.sender.signers, "msg": wire.sender.signers["doc"]}
        forged, _ = wire.manifest([])

        assert wire.problem(forged).code == "bad-signature"
        assert wire.problem(manifest[:-4] + b"AAAA").code == "bad-signature"

    @pytest.mark.parametrize("first", [b"", b"x", b"..", b"A" * 100])
    def test_a_first_line_that_is_no_manifest_is_malformed(self, wire: Wire, first: bytes) -> None:
        assert wire.problem(first).code == "malformed-bundle"
        assert wire.problem(wire.document(body())).code == "malformed-bundle"

    def test_framing_is_exact(self, wire: Wire) -> None:
        line = wire.document(body())
        manifest, _ = wire.manifest([line])
        opened = wire.to.open(manifest)

        for rest in (line, line + b"\n\n", b"\n" + line + b"\n", line + b"\r\n", line + b"\x80\n"):
            with pytest.raises(Exception, match=r"line|lines") as problem:
                wire.to.receive(opened, rest)
            assert problem.value.code == "malformed-bundle"  # type: ignore[attr-defined]


class TestLog:
    def test_the_proof_must_start_where_the_recipient_holds(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        wire.send(wire.document(body("RU0001")))
        wire.held = 0

        problem = wire.refused(wire.document(body("RU0002")))

        held = be.ledger.read(lambda tx: witness.held(tx, "RU"))
        assert held is not None
        assert problem.code == "proof-needed"
        assert problem.members["held"] == {"size": 1, "root": b64(held.root)}

    def test_at_first_contact_the_held_size_is_nothing(self, wire: Wire) -> None:
        wire.log.add(bytes(32))
        wire.held = 1

        problem = wire.refused(wire.document(body()))

        assert problem.members["held"]["size"] == 0

    def test_a_proof_that_does_not_verify_records_nothing(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        wire.send(wire.document(body("RU0001")))
        before = size(be)

        for attempt in range(3):
            line = wire.document(body("RU0002"))
            index = wire.log.add(digest(line))
            bad = {
                "checkpoint": wire.checkpoint(), "from_size": 1, "consistency": ["A" * 43],
            }  # fmt: skip
            assert wire.refused(line, indexes=[index], log=bad).code == "bad-proof", attempt
            assert incidents(be) == (["bad-proof"] if attempt == 2 else [])

        assert (size(be), have(be)) == (before, 1)

    def test_an_index_beyond_the_checkpoint_is_malformed_before_any_proof(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        line = wire.document(body())
        log = {"checkpoint": wire.checkpoint(0), "from_size": 0, "consistency": ["A" * 43]}

        assert wire.refused(line, log=log).code == "malformed-bundle"

    @pytest.mark.parametrize("log", [{"consistency": ["A" * 43]}, {"from_size": 77}])
    def test_nothing_is_proven_from_a_size_to_itself(self, wire: Wire, log: dict[str, Any]) -> None:
        wire.send(wire.document(body()))
        part = {"checkpoint": wire.checkpoint(), "from_size": 1, "consistency": []} | log

        assert wire.refused(log=part).code == "bad-proof"

    def test_a_checkpoint_under_another_key_is_a_bad_proof(self, wire: Wire) -> None:
        note = wire.checkpoint().replace("— kpx-sandbox/RU ", "— kpx-sandbox/XX ")
        log = {"checkpoint": note, "from_size": 0, "consistency": []}

        assert wire.refused(log=log).code == "bad-proof"

    def test_two_roots_of_one_size_are_a_fork_kept_with_both_notes(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        wire.send(wire.document(body("RU0001")))
        shown = wire.checkpoint(1, bytes(32))
        log = {"checkpoint": shown, "from_size": 1, "consistency": []}

        problem = wire.refused(log=log)

        (incident,) = be.ledger.read(lambda tx: peers.incidents(tx, "RU"))
        assert problem.code == incident.code == "log-fork"
        assert incident.evidence["shown"] == shown
        assert incident.evidence["held"] == wire.checkpoint(1)
        assert "statement" in problem.members

    def test_after_a_log_fork_all_bundles_of_the_origin_are_refused(self, wire: Wire) -> None:
        line = wire.document(body("RU0001"))
        manifest, made = wire.manifest([line])
        first = wire.post(manifest, [line])
        wire.last, wire.head, wire.held = 1, _b64(made["stream"]["head"]), 1
        wire.refused(
            log={"checkpoint": wire.checkpoint(1, bytes(32)), "from_size": 1, "consistency": []}
        )

        assert wire.refused(wire.document(body("RU0002"))).code == "log-fork"
        assert wire.refused().code == "log-fork"
        assert wire.post(manifest, [line])["raw"] == first["raw"]

    def test_a_smaller_checkpoint_is_good_for_a_heartbeat_only(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        wire.send(wire.document(body("RU0001")))
        wire.send(wire.document(body("RU0002")))
        small = {"checkpoint": wire.checkpoint(1), "from_size": 0, "consistency": []}

        wire.send(log=small)

        held = be.ledger.read(lambda tx: witness.held(tx, "RU"))
        assert held is not None
        assert held.size == 2
        line = wire.document(body("RU0003"))
        assert wire.refused(line, indexes=[0], log=small).code == "proof-needed"
        forked = {"checkpoint": wire.checkpoint(1, bytes(32)), "from_size": 0, "consistency": []}
        assert wire.refused(log=forked).code == "log-fork"

    def test_a_claim_to_have_witnessed_more_than_there_is_is_an_incident(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        problem = wire.refused(witnessed={"size": 9, "root": "A" * 43})

        assert problem.code == "bad-proof"
        assert incidents(be) == ["position-ahead"]

    def test_the_receipt_is_proven_from_what_the_sender_has_witnessed(
        self, wire: Wire, be: OwnAuthority
    ) -> None:
        wire.send(wire.document(body("RU0001")))
        wire.send(wire.document(body("RU0002")))

        receipt = wire.send(wire.document(body("RU0003")))

        assert receipt["body"]["log"]["from_size"] == 3
        assert receipt["body"]["log"]["checkpoint"].split("\n")[1] == "5"


class TestQuarantine:
    def test_a_document_is_judged_again_and_named_in_later_receipts(
        self, wire: Wire, be: OwnAuthority, clock: SetClock
    ) -> None:
        line = wire.document(body(), iat=wire.sender.now_s() + 500)
        assert codes(wire.send(line)) == ["issued-in-future"]
        assert judge_again(be, be.book.ring["RU"].authority) == 0
        clock.advance(seconds=500)

        assert judge_again(be, be.book.ring["RU"].authority) == 1

        doc_id = b64(digest(line))
        index = be.ledger.read(lambda tx: streams.received_indexes(tx, "RU", [doc_id]))[doc_id]
        expected = [{"doc": b64(digest(line)), "outcome": "accepted", "index": index}]
        wire.witnessed = {"size": size(be), "root": b64(be.ledger.read(entries.root))}
        assert wire.send()["body"]["rejudged"] == expected  # though the log was witnessed before
        assert "rejudged" not in wire.send()["body"]  # it has held the receipt above
        assert be.ledger.read(lambda tx: streams.quarantined(tx, "RU")) == []

    def test_it_is_a_duplicate_from_then_on(
        self, wire: Wire, be: OwnAuthority, clock: SetClock
    ) -> None:
        line = wire.document(body(), iat=wire.sender.now_s() + 500)
        wire.send(line)
        clock.advance(seconds=500)
        judge_again(be, be.book.ring["RU"].authority)
        wire.send()
        wire.last, wire.head = 0, bytes(32)

        assert codes(wire.send(line, indexes=[0])) == ["duplicate"]


class TestConfirmation:
    @pytest.fixture
    def issued(self, wire: Wire, be: OwnAuthority) -> Any:
        """A certificate of EU-BE to RU, so that RU may confirm it."""
        from node.office.issue import issue
        from node.office.officer import Officer

        (shipment,) = mined_here()
        (made,) = issue(be, [shipment], Officer())
        held = be.ledger.read(lambda tx: certificates.by_number(tx, made.number))
        assert held is not None
        return held

    def confirmation(self, wire: Wire, held: Any, **members: Any) -> bytes:
        figures = (
            "number",
            "parcels",
            "lines",
            "totals",
            "exporter",
            "importer",
            "provenance",
            "destination",
        )
        content = {name: held.body[name] for name in figures} | {
            "received_on": held.body["issued_on"], "result": "as-issued", "seals_intact": True,
            "confirmed_by": {"authority": "RU", "on": held.body["issued_on"]},
        }  # fmt: skip
        re = members.pop("re", [held.doc_id])
        return wire.document(content | members, "confirmation", re=re)

    def test_it_confirms_the_certificate(self, wire: Wire, be: OwnAuthority, issued: Any) -> None:
        receipt = wire.send(self.confirmation(wire, issued))

        held = be.ledger.read(lambda tx: certificates.by_number(tx, issued.number))
        assert codes(receipt) == ["accepted"]
        assert held is not None
        assert held.state == "confirmed"

    def test_a_second_confirmation_is_refused(self, wire: Wire, issued: Any) -> None:
        both = [self.confirmation(wire, issued), self.confirmation(wire, issued)]

        assert codes(wire.send(*both)) == ["accepted", "wrong-state"]

    @pytest.mark.parametrize(
        ("members", "code", "pointer"),
        [
            ({"re": ["A" * 43]}, "unknown-reference", None),
            ({"number": "EU0001"}, "unknown-reference", None),
            ({"re": "more"}, "unknown-reference", None),
            ({"parcels": 99}, "wrong-state", "/parcels"),
            ({"result": "as-amended"}, "wrong-state", "/number"),
            ({"received_on": "2020-01-01"}, "dates-inconsistent", "/received_on"),
            ({"received_on": "2099-01-01"}, "dates-inconsistent", "/received_on"),
            ({"confirmed_by": {"authority": "BY", "on": "2026-11-22"}}, "wrong-authority", "/confirmed_by/authority"),
            ({"totals": {"carats": "1.00", "value_usd": "1.00"}}, "sums-differ", "/totals/carats"),
        ],
    )  # fmt: skip
    def test_a_confirmation_that_does_not_fit_is_refused(
        self, wire: Wire, issued: Any, members: Any, code: str, pointer: str | None
    ) -> None:
        if members.get("re") == "more":
            members = {"re": [issued.doc_id, "A" * 43]}
        receipt = wire.send(self.confirmation(wire, issued, **members))

        (result,) = receipt["body"]["results"]
        assert (result["errors"][0]["code"], result["errors"][0].get("pointer")) == (code, pointer)

    def test_amounts_are_compared_as_numbers(self, wire: Wire, issued: Any) -> None:
        totals = issued.body["totals"] | {"carats": issued.body["totals"]["carats"] + "0"}

        assert codes(wire.send(self.confirmation(wire, issued, totals=totals))) == ["accepted"]

    def test_nobody_confirms_his_own_certificate(self, wire: Wire) -> None:
        line = wire.document(body("RU0001"))
        wire.send(line)
        held = wire.receiver.ledger.read(lambda tx: certificates.by_number(tx, "RU0001"))

        receipt = wire.send(self.confirmation(wire, held, received_on="2026-11-23"))

        assert codes(receipt) == ["unknown-reference"]


def _b64(text: str) -> bytes:
    from tests.wire import unb64

    return unb64(text)
