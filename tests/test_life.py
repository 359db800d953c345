"""The life of a certificate, as stories between two nodes and as random acts."""

import itertools
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from node.authority import OwnAuthority
from node.documents import Document
from node.domain.states import (
    EXPORTER,
    FIRST,
    IMPORTER,
    MEANINGS,
    ON_PAPER,
    REVOKED,
    TRANSITIONS,
    on_hold,
    transition,
)
from node.errors import NotFoundError, RefusedError
from node.jose.strict import parse
from node.jose.verify import verify
from node.ledger import certificates, entries, timeline
from node.ledger.rebuild import rebuild
from node.office import dispute as disputes
from node.office import returning
from node.office.confirm import confirm
from node.office.goods import note_transit, present_paper, record
from node.office.issue import issue
from node.office.officer import Officer
from node.office.revoke import revoke
from node.schema.validation import check_document
from node.watch import worklists
from node.watch.certificates import listed, shown
from tests.nodes import SetClock, make_homes, opened, shipments
from tests.pairs import deliver_one, settle
from tests.test_cli import run as command
from tests.test_ledger import audited

OFFICER = Officer("Office", "Officer 7")
NUMBER = "RU00010118"
FOUND = {
    "lines": [
        {"hs": "7102.10", "carats": "1902.63", "value_usd": "131220.81"},
        {"hs": "7102.21", "carats": "1856.27", "value_usd": "9054.89"},
        {"hs": "7102.31", "carats": "3799.43", "value_usd": "218907.96"},
    ],
    "totals": {"carats": "7558.33", "value_usd": "359183.66"},
}
"""Half a carat less in the first line of the sample's first shipment."""

CONSULTED = {"with": "RU, Moscow", "on": date.today().isoformat()}


def state(own: OwnAuthority, number: str = NUMBER) -> str:
    held = own.ledger.read(lambda tx: certificates.by_number(tx, number))
    assert held is not None
    return held.state


def certificate(own: OwnAuthority, number: str = NUMBER) -> certificates.Certificate:
    held = own.ledger.read(lambda tx: certificates.by_number(tx, number))
    assert held is not None
    return held


def story(own: OwnAuthority, number: str = NUMBER) -> list[str]:
    def query(tx: Any) -> list[str]:
        held = certificates.by_number(tx, number)
        assert held is not None
        return [event.what for event in timeline.timeline(tx, held)]

    return own.ledger.read(query)


def open_items(own: OwnAuthority, number: str = NUMBER) -> list[str]:
    def query(tx: Any) -> list[str]:
        held = certificates.by_number(tx, number)
        assert held is not None
        items = timeline.open_items(tx, held)
        assert bool(items) == (held.doc_id in timeline.with_open_items(tx))
        return [item.code for item in items]

    return own.ledger.read(query)


def arrive_as_amended(ru: OwnAuthority, be: OwnAuthority) -> None:
    """What follows a consent."""
    disputes.amend(be, NUMBER, OFFICER)
    confirm(be, [NUMBER], OFFICER)
    settle(ru, be)
    assert (state(ru), state(be)) == ("confirmed as amended", "admitted as amended")


def refused(act: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(RefusedError) as refusal:
        act()
    found = refusal.value.findings[0]
    return found.code, found.rule


@pytest.fixture
def pair(ru: OwnAuthority, be: OwnAuthority) -> tuple[OwnAuthority, OwnAuthority]:
    """A certificate of RU that has been delivered to EU-BE."""
    issue(ru, shipments(count=2), OFFICER)
    settle(ru, be)
    return ru, be


Pair = tuple[OwnAuthority, OwnAuthority]


class TestStories:
    def test_goods_agree(self, pair: Pair) -> None:
        ru, be = pair
        record(ru, "sealing", NUMBER, OFFICER, {"containers": [{"seal": "RUS700000"}]})
        record(be, "presentation", NUMBER, OFFICER, {})
        found = {"found": {"parcels": 3, "seals_intact": True}, "place": "Antwerp"}
        record(be, "inspection", NUMBER, OFFICER, found)
        (done,) = confirm(be, [NUMBER], OFFICER)
        settle(ru, be)

        assert (done.state, state(ru), state(be)) == ("admitted", "confirmed", "admitted")
        assert story(be) == [
            "received", "record:presentation", "record:inspection", "confirmation:as-issued",
        ]  # fmt: skip
        assert set(story(ru)) == {
            "issued", "receipt:accepted", "record:sealing", "confirmation:as-issued",
        }  # fmt: skip

    def test_what_is_issued_after_midnight_is_confirmed_further_west_on_the_eve(
        self, pair: Pair
    ) -> None:
        ru, be = pair
        (issued,) = (body["issued_on"] for body in [certificate(be).body])
        eve, before = (
            (date.fromisoformat(issued) - timedelta(days=days)).isoformat() for days in (1, 2)
        )

        assert refused(lambda: confirm(be, [NUMBER], OFFICER, received_on=before)) == (
            "dates-inconsistent",
            "KP-F-004",
        )
        confirm(be, [NUMBER], OFFICER, received_on=eve)
        settle(ru, be)

        assert (state(ru), state(be)) == ("confirmed", "admitted")

    def test_values_are_amended_after_consent(self, pair: Pair) -> None:
        ru, be = pair
        original = _body(be)
        disputes.dispute(be, NUMBER, OFFICER, reason="half a carat less", proposed=FOUND)
        settle(ru, be)
        assert (state(ru), state(be)) == ("disputed", "disputed")
        disputes.resolve(ru, NUMBER, OFFICER, consent=True, reason="weighed again")
        settle(ru, be)
        arrive_as_amended(ru, be)
        assert _body(be) == original
        for own in pair:
            held = own.ledger.read(
                lambda tx: certificates.held(tx, certificates.by_number(tx, NUMBER))  # type: ignore[arg-type]
            )
            assert held.figures["totals"]["carats"] == "7558.33"
            assert held.last["confirmation"][1]["totals"]["carats"] == "7558.33"
            assert audited(own).ok

    def test_a_refusal_ends_in_a_return_with_both_papers(self, pair: Pair) -> None:
        ru, be = pair
        disputes.dispute(be, NUMBER, OFFICER, reason="half a carat less", proposed=FOUND)
        settle(ru, be)
        disputes.resolve(ru, NUMBER, OFFICER, consent=False, reason="our scales are right")
        settle(ru, be)
        returning.order_return(
            be,
            NUMBER,
            OFFICER,
            technical_number="TC-1",
            reason="no consent",
            consultation=CONSULTED,
        )
        settle(ru, be)
        assert (state(ru), state(be)) == ("return ordered", "return ordered")
        returning.take_in(ru, NUMBER, OFFICER)
        settle(ru, be)

        assert (state(ru), state(be)) == ("lapsed", "returned")

    @pytest.mark.parametrize("reason", ["void", "lost", "stolen", "cancelled"])
    def test_a_certificate_is_revoked_after_sending(self, pair: Pair, reason: str) -> None:
        ru, be = pair
        revoke(ru, NUMBER, OFFICER, reason=reason, remarks="shipment called off")
        settle(ru, be)

        assert (state(ru), state(be)) == (reason, reason)
        code, rule_id = refused(lambda: record(be, "presentation", NUMBER, OFFICER, {}))
        assert (code, rule_id) == ("wrong-state", "KP-L-009")

    def test_a_certificate_is_replaced_by_another(self, pair: Pair) -> None:
        ru, be = pair
        other = shipments(start=1)[0]["number"]
        revoke(ru, NUMBER, OFFICER, reason="replaced", replaced_by=other)
        settle(ru, be)

        assert state(be) == "replaced"
        assert refused(lambda: revoke(ru, other, OFFICER, reason="replaced"))[0] == "schema-invalid"

    def test_goods_are_held_and_seized(self, pair: Pair) -> None:
        _, be = pair
        record(be, "hold", NUMBER, OFFICER, {"reason": "seals broken"})
        assert refused(lambda: confirm(be, [NUMBER], OFFICER))[0] == "wrong-state"
        record(be, "seizure", NUMBER, OFFICER, {"reason": "seals broken", "case": "2026/118"})

        assert state(be) == "seized"
        assert refused(lambda: record(be, "release", NUMBER, OFFICER, {"reason": "mistake"})) == (
            "wrong-state",
            "KP-L-011",
        )

    def test_goods_go_to_a_laboratory_and_come_back(self, pair: Pair) -> None:
        ru, be = pair
        record(be, "presentation", NUMBER, OFFICER, {})
        returning.send_to_laboratory(
            be, NUMBER, OFFICER, technical_number="TC-2", reason="origin", consignee="Laboratory"
        )
        settle(ru, be)
        assert (state(ru), state(be)) == ("delivered", "at the laboratory")
        record(be, "laboratory-return", NUMBER, OFFICER, {})
        confirm(be, [NUMBER], OFFICER)
        settle(ru, be)

        assert state(ru) == "confirmed"

    def test_a_dispute_over_the_heading_is_settled_by_amendment(self, pair: Pair) -> None:
        ru, be = pair
        lines = [dict(line) for line in _body(be)["lines"]]
        lines[0]["hs"] = "7102.31"
        outside = [lines[0] | {"hs": "7102.39"}, *lines[1:]]

        out_of_scope = lambda: disputes.dispute(  # noqa: E731
            be, NUMBER, OFFICER, reason="polished", proposed={"lines": outside}
        )
        assert refused(out_of_scope) == ("hs-out-of-scope", "KP-C-010")
        disputes.dispute(be, NUMBER, OFFICER, reason="sorted", proposed={"lines": lines})
        settle(ru, be)
        disputes.resolve(ru, NUMBER, OFFICER, consent=True, reason="agreed")
        settle(ru, be)
        disputes.amend(be, NUMBER, OFFICER)
        confirm(be, [NUMBER], OFFICER)
        settle(ru, be)

        assert state(ru) == "confirmed as amended"

    def test_a_typographical_error_is_amended_not_rewritten(self, pair: Pair) -> None:
        ru, be = pair
        importer = dict(_body(be)["importer"]) | {"name": "Échantillon Diamants NV"}
        disputes.dispute(be, NUMBER, OFFICER, reason="misspelt", proposed={"importer": importer})
        settle(ru, be)
        disputes.resolve(ru, NUMBER, OFFICER, consent=True, reason="misspelt indeed")
        settle(ru, be)
        disputes.amend(be, NUMBER, OFFICER)
        confirm(be, [NUMBER], OFFICER)
        settle(ru, be)

        assert _body(ru)["importer"]["name"] == "Échantillon Diamants SA"
        assert state(ru) == "confirmed as amended"

    def test_an_opened_container_is_held_and_goes_back(self, pair: Pair) -> None:
        ru, be = pair
        record(be, "presentation", NUMBER, OFFICER, {})
        broken = {"found": {"seals_intact": False}, "place": "Antwerp"}
        record(be, "inspection", NUMBER, OFFICER, broken)
        record(be, "hold", NUMBER, OFFICER, {"reason": "container opened"})
        returning.order_return(
            be, NUMBER, OFFICER, technical_number="TC-3", reason="opened", consultation=CONSULTED
        )
        settle(ru, be)
        returning.take_in(ru, NUMBER, OFFICER)
        settle(ru, be)

        assert (state(ru), state(be)) == ("lapsed", "returned")

    @pytest.mark.parametrize("kind", ["exploration-sample", "microdiamond", "scientific"])
    def test_samples_travel_like_other_goods_carried_by_hand(
        self, ru: OwnAuthority, be: OwnAuthority, kind: str
    ) -> None:
        carried = {"mode": "hand_carry", "carrier": "A. Bearer", "reference": "MU 123"}
        issue(ru, [shipments()[0] | {"consignment_kind": kind, "transport": carried}], OFFICER)
        settle(ru, be)

        assert state(be) == "announced"
        assert _body(be)["transport"] == carried

    def test_acts_that_cross_leave_both_sides_agreeing(self, pair: Pair) -> None:
        ru, be = pair
        revoke(ru, NUMBER, OFFICER, reason="void")
        disputes.dispute(be, NUMBER, OFFICER, reason="half a carat less", proposed=FOUND)
        settle(ru, be)

        assert (state(ru), state(be)) == ("void", "void")

    def test_a_confirmation_that_crosses_a_revocation_is_an_open_item_on_both_sides(
        self, pair: Pair
    ) -> None:
        ru, be = pair
        revoke(ru, NUMBER, OFFICER, reason="void")
        confirm(be, [NUMBER], OFFICER)
        settle(ru, be)

        assert (state(ru), state(be)) == ("void", "admitted")
        # Each side shows what it refused, and what of its own was refused.
        assert open_items(ru) == open_items(be) == ["wrong-state", "wrong-state"]


def _body(own: OwnAuthority) -> Any:
    return own.ledger.read(lambda tx: certificates.by_number(tx, NUMBER)).body  # type: ignore[union-attr]


def test_verify_tells_what_the_ledger_knows(pair: Pair) -> None:
    from datetime import date

    from node.office.verify import Standing, ask_ledger

    ru, be = pair
    day = ru.clock.now().date()
    ids = [
        ru.ledger.read(lambda tx, n=s["number"]: certificates.by_number(tx, n)).doc_id  # type: ignore[union-attr]
        for s in shipments(count=2)
    ]

    def certificate(own: OwnAuthority, doc_id: str) -> Document:
        jws = own.ledger.read(lambda tx: entries.document(tx, doc_id))
        assert jws is not None
        signed = verify(parse(jws), {**own.book.ring, own.name: own.keys}, "doc")
        return check_document(signed, "certificate")

    def standing(own: OwnAuthority, doc_id: str, at: date = day) -> Standing:
        return own.ledger.read(lambda tx: ask_ledger(tx, certificate(own, doc_id), at))

    assert standing(be, ids[0]) == Standing(current=True, matches=None)
    disputes.dispute(be, NUMBER, OFFICER, reason="less", proposed=FOUND)
    assert standing(be, ids[0]) == Standing(current=True, matches=False)
    confirm(be, [shipments(start=1)[0]["number"]], OFFICER)
    assert standing(be, ids[1], date(2999, 1, 1)) == Standing(current=True, matches=True)
    settle(ru, be)
    revoke(ru, NUMBER, OFFICER, reason="stolen")
    assert standing(ru, ids[0]) == Standing(current=False, matches=None)


class TestReferences:
    """What a document names besides its certificate."""

    @pytest.fixture(autouse=True)
    def arrived(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        issue(ru, shipments(count=2), OFFICER)
        settle(ru, be)

    def test_a_technical_number_is_used_once(self, be: OwnAuthority) -> None:
        other = shipments(count=2)[1]["number"]
        ACTS["present"](be, NUMBER)
        returning.send_to_laboratory(
            be, NUMBER, OFFICER, technical_number="TC-9", reason="x", consignee="L"
        )

        assert refused(
            lambda: returning.order_return(
                be, other, OFFICER, technical_number="TC-9", reason="x", consultation=CONSULTED
            )
        ) == ("number-conflict", "KP-L-016")

    @pytest.mark.parametrize("on", ["2001-01-01", "9999-12-31"])
    def test_consultation_is_about_this_certificate(self, be: OwnAuthority, on: str) -> None:
        assert refused(
            lambda: returning.order_return(
                be, NUMBER, OFFICER, technical_number="TC-9", reason="x",
                consultation={"with": "RU", "on": on},
            )
        ) == ("dates-inconsistent", "KP-L-012")  # fmt: skip

    @pytest.mark.parametrize("by", [NUMBER, "ZZZZ"])
    def test_a_replacement_is_another_certificate_issued_here(
        self, ru: OwnAuthority, by: str
    ) -> None:
        assert refused(lambda: revoke(ru, NUMBER, OFFICER, reason="replaced", replaced_by=by)) == (
            "unknown-reference",
            "KP-L-017",
        )

    def test_a_void_certificate_replaces_none(self, ru: OwnAuthority) -> None:
        other = shipments(count=2)[1]["number"]
        assert refused(lambda: revoke(ru, NUMBER, OFFICER, reason="void", replaced_by=other)) == (
            "unknown-reference",
            "KP-L-017",
        )
        revoke(ru, other, OFFICER, reason="void")

        assert refused(
            lambda: revoke(ru, NUMBER, OFFICER, reason="replaced", replaced_by=other)
        ) == ("unknown-reference", "KP-L-017")

    def test_paper_of_this_authority_is_neither_presented_nor_in_transit(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        for own, number in ((ru, "RU99990001"), (ru, NUMBER), (be, NUMBER)):
            assert refused(
                lambda own=own, number=number: note_transit(
                    own, number, OFFICER, issuer="RU", carrier="C", seals=["S"]
                )
            ) == ("wrong-state", "KP-L-009")
        assert refused(
            lambda: present_paper(ru, "RU99990001", OFFICER, issuer="RU", paper=None)
        ) == ("wrong-state", "KP-L-009")

    def test_a_refused_proposal_is_followed_by_another(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        for parcels, consent in ((98, False), (99, True)):
            disputes.dispute(be, NUMBER, OFFICER, reason="x", proposed={"parcels": parcels})
            settle(ru, be)
            disputes.resolve(ru, NUMBER, OFFICER, consent=consent, reason="x")
            settle(ru, be)
        arrive_as_amended(ru, be)


class TestHolding:
    """What is decided while goods are held is not lost, and a release leads back."""

    def test_a_dispute_outlasts_a_hold(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        issue(ru, shipments(), OFFICER)
        settle(ru, be)
        disputes.dispute(be, NUMBER, OFFICER, reason="x", proposed={"parcels": 99})
        record(be, "hold", NUMBER, OFFICER, {"reason": "police"})
        settle(ru, be)
        disputes.resolve(ru, NUMBER, OFFICER, consent=True, reason="x")
        settle(ru, be)
        assert state(be) == "held, consented"
        assert refused(lambda: confirm(be, [NUMBER], OFFICER)) == ("wrong-state", "KP-F-002")
        assert refused(lambda: disputes.amend(be, NUMBER, OFFICER)) == ("wrong-state", "KP-L-005")

        record(be, "release", NUMBER, OFFICER, {"reason": "x"})
        arrive_as_amended(ru, be)

    @pytest.mark.parametrize("seized_first", [True, False])
    def test_goods_reported_stolen_are_seized(
        self, ru: OwnAuthority, be: OwnAuthority, seized_first: bool
    ) -> None:
        issue(ru, shipments(), OFFICER)
        settle(ru, be)
        if seized_first:
            record(be, "hold", NUMBER, OFFICER, {"reason": "police"})
            record(be, "seizure", NUMBER, OFFICER, {"reason": "x", "case": "C"})
        revoke(ru, NUMBER, OFFICER, reason="stolen")
        settle(ru, be)
        if not seized_first:
            record(be, "seizure", NUMBER, OFFICER, {"reason": "x", "case": "C"})

        assert (state(ru), state(be)) == ("stolen", "seized")
        assert open_items(ru, NUMBER) == open_items(be, NUMBER) == []
        assert "revocation:stolen" in story(be)


class TestInspection:
    """What an inspection found is not passed over in silence."""

    @pytest.fixture(autouse=True)
    def arrived(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        issue(ru, shipments(), OFFICER)
        settle(ru, be)
        record(be, "presentation", NUMBER, OFFICER, {})

    def test_goods_found_otherwise_are_not_confirmed_as_issued(self, be: OwnAuthority) -> None:
        record(be, "inspection", NUMBER, OFFICER, {"found": {"parcels": 99}, "place": "here"})

        assert refused(lambda: confirm(be, [NUMBER], OFFICER))[1] == "KP-F-003"
        assert state(be) == "inspected"

    def test_broken_seals_are_not_confirmed(self, be: OwnAuthority) -> None:
        record(
            be, "inspection", NUMBER, OFFICER, {"found": {"seals_intact": False}, "place": "here"}
        )

        assert refused(lambda: confirm(be, [NUMBER], OFFICER))[1] == "KP-F-005"

    def test_what_was_found_stays_until_another_inspection_says_otherwise(
        self, be: OwnAuthority
    ) -> None:
        record(be, "inspection", NUMBER, OFFICER, {"found": {"parcels": 99}, "place": "here"})
        record(be, "inspection", NUMBER, OFFICER, {"found": {}, "place": "the office next door"})
        assert refused(lambda: confirm(be, [NUMBER], OFFICER))[1] == "KP-F-003"
        record(
            be, "inspection", NUMBER, OFFICER, {"found": {"parcels": 3}, "place": "counted again"}
        )

        assert confirm(be, [NUMBER, NUMBER], OFFICER)[0].state == "admitted"


class TestWhatIsShown:
    def test_the_exporter_sees_the_values_it_is_to_consent_to(self, pair: Pair) -> None:
        ru, be = pair
        disputes.dispute(be, NUMBER, OFFICER, reason="less", proposed=FOUND)
        settle(ru, be)
        carats, issued = FOUND["totals"]["carats"], shipments()[0]["totals"]["carats"]
        assert carats != issued

        (told,) = [s for s in shown(ru, NUMBER)["timeline"] if s["what"] == "discrepancy"]
        (item,) = worklists.read(ru, "disputed")
        text = command("--home", ru.config.home, "certificate", "show", NUMBER).stdout

        assert told["values"]["totals"] == FOUND["totals"]
        assert f"totals {carats} ct" in item["detail"]
        assert f"totals       {carats} ct" in text
        assert f"totals       {issued} ct" in text
        disputes.resolve(ru, NUMBER, OFFICER, consent=True, reason="our scale")
        settle(ru, be)
        disputes.amend(be, NUMBER, OFFICER)
        settle(ru, be)
        for own in pair:
            (row,) = [i for i in listed(own)["items"] if i["number"] == NUMBER]
            now = shown(own, NUMBER)
            assert row["carats"] == now["figures"]["totals"]["carats"] == carats
            assert now["body"]["totals"]["carats"] == issued


class TestRefusals:
    def test_an_amendment_needs_consent(self, pair: Pair) -> None:
        ru, be = pair
        assert refused(lambda: disputes.amend(be, NUMBER, OFFICER)) == ("wrong-state", "KP-L-005")
        disputes.dispute(be, NUMBER, OFFICER, reason="less", proposed=FOUND)
        settle(ru, be)
        disputes.resolve(ru, NUMBER, OFFICER, consent=False, reason="no")
        settle(ru, be)

        assert refused(lambda: disputes.amend(be, NUMBER, OFFICER)) == ("wrong-state", "KP-L-005")

    def test_the_exporter_decides_once_and_only_on_a_discrepancy(self, pair: Pair) -> None:
        ru, be = pair
        decide = lambda: disputes.resolve(ru, NUMBER, OFFICER, consent=True, reason="yes")  # noqa: E731
        assert refused(decide) == ("wrong-state", "KP-L-004")
        disputes.dispute(be, NUMBER, OFFICER, reason="less", proposed=FOUND)
        settle(ru, be)
        decide()

        assert refused(decide) == ("wrong-state", "KP-L-004")

    def test_only_the_importer_disputes_and_only_the_exporter_revokes(self, pair: Pair) -> None:
        ru, be = pair

        assert (
            refused(lambda: disputes.dispute(ru, NUMBER, OFFICER, reason="x"))[0]
            == "unknown-reference"
        )
        assert refused(lambda: revoke(be, NUMBER, OFFICER, reason="void"))[0] == "unknown-reference"
        with pytest.raises(NotFoundError):
            confirm(ru, [NUMBER], OFFICER)

    def test_values_proposed_add_up_and_differ(self, pair: Pair) -> None:
        _, be = pair
        wrong = {"totals": {"carats": "1.00", "value_usd": "1.00"}}
        same = {"parcels": 3}

        assert refused(
            lambda: disputes.dispute(be, NUMBER, OFFICER, reason="x", proposed=wrong)
        ) == ("sums-differ", "KP-C-011")
        assert refused(
            lambda: disputes.dispute(be, NUMBER, OFFICER, reason="x", proposed=same)
        ) == ("wrong-state", "KP-L-013")

    def test_nothing_proposed_cannot_be_consented_to(self, pair: Pair) -> None:
        ru, be = pair
        disputes.dispute(be, NUMBER, OFFICER, reason="seals broken", seals_intact=False)
        settle(ru, be)

        assert refused(
            lambda: disputes.resolve(ru, NUMBER, OFFICER, consent=True, reason="yes")
        ) == ("wrong-state", "KP-L-014")

    def test_presentation_is_judged_by_the_last_day_of_validity(
        self, pair: Pair, clock: SetClock
    ) -> None:
        _, be = pair
        clock.advance(days=60)
        record(be, "presentation", NUMBER, OFFICER, {})
        clock.advance(days=1)
        other = shipments(start=1)[0]["number"]

        assert refused(lambda: record(be, "presentation", other, OFFICER, {})) == (
            "dates-inconsistent",
            "KP-L-015",
        )
        confirm(be, [NUMBER], OFFICER)  # it was presented in time

    def test_a_return_is_taken_in_while_its_paper_is_good(
        self, pair: Pair, clock: SetClock
    ) -> None:
        ru, be = pair
        assert refused(lambda: returning.take_in(ru, NUMBER, OFFICER)) == (
            "wrong-state",
            "KP-L-007",
        )
        returning.order_return(
            be, NUMBER, OFFICER, technical_number="TC-1", reason="x", consultation=CONSULTED
        )
        settle(ru, be)
        clock.advance(days=61)

        assert refused(lambda: returning.take_in(ru, NUMBER, OFFICER)) == (
            "dates-inconsistent",
            "KP-L-012",
        )

    def test_a_refused_act_records_nothing(self, pair: Pair) -> None:
        _, be = pair
        confirm(be, [NUMBER], OFFICER)
        before = be.ledger.read(entries.size)

        for act in ("presentation", "hold", "inspection"):
            details = {"reason": "x", "found": {}, "place": "x"} if act != "presentation" else {}
            wanted = {k: v for k, v in details.items() if (k == "reason") == (act == "hold")}
            assert (
                refused(lambda act=act, w=wanted: record(be, act, NUMBER, OFFICER, w))[0]
                == "wrong-state"
            )
        assert refused(lambda: confirm(be, [NUMBER], OFFICER)) == ("wrong-state", "KP-F-002")

        assert be.ledger.read(entries.size) == before


class TestTable:
    def test_every_state_has_a_meaning_and_can_be_reached(self) -> None:
        reached = {t.target for t in TRANSITIONS if t.target} | {ON_PAPER, *FIRST.values()}

        assert reached == MEANINGS.keys()

    def test_no_event_leads_two_ways(self) -> None:
        seen = [(t.side, source, t.event) for t in TRANSITIONS for source in t.sources]

        assert len(seen) == len(set(seen))

    def test_a_receipt_never_changes_what_is_allowed(self) -> None:
        # It is read beside the log, so what is allowed with it must be allowed without it.
        for change in TRANSITIONS:
            if change.side == EXPORTER and not change.event.startswith("receipt:"):
                shown = {"delivered", "refused"} & set(change.sources)
                assert not shown or {"issued", "sealed"} <= {
                    s for t in TRANSITIONS if t.event == change.event for s in t.sources
                }

    def test_what_was_decided_stays_decided(self) -> None:
        final = {
            EXPORTER: ("confirmed", "confirmed as amended", "lapsed", *REVOKED),
            IMPORTER: ("admitted", "admitted as amended", "returned", "seized", *REVOKED),
        }
        events = {t.event for t in TRANSITIONS}

        for side, states in final.items():
            changes = [transition(side, s, event) for s in states for event in events]
            assert {c.target for c in changes if c} <= {None, "seized"}


COUNT = itertools.count(1)

ACTS: dict[str, Callable[[OwnAuthority, str], Any]] = {
    "seal": lambda own, n: record(own, "sealing", n, OFFICER, {"containers": [{"seal": "S"}]}),
    "present": lambda own, n: record(own, "presentation", n, OFFICER, {}),
    "inspect": lambda own, n: record(own, "inspection", n, OFFICER, {"found": {}, "place": "here"}),
    "hold": lambda own, n: record(own, "hold", n, OFFICER, {"reason": "x"}),
    "release": lambda own, n: record(own, "release", n, OFFICER, {"reason": "x"}),
    "seize": lambda own, n: record(own, "seizure", n, OFFICER, {"reason": "x", "case": "1"}),
    "take-back": lambda own, n: record(own, "laboratory-return", n, OFFICER, {}),
    "confirm": lambda own, n: confirm(own, [n], OFFICER),
    "dispute": lambda own, n: disputes.dispute(
        own, n, OFFICER, reason="x", proposed={"parcels": 99}
    ),
    "consent": lambda own, n: disputes.resolve(own, n, OFFICER, consent=True, reason="x"),
    "refuse": lambda own, n: disputes.resolve(own, n, OFFICER, consent=False, reason="x"),
    "amend": lambda own, n: disputes.amend(own, n, OFFICER),
    "order-return": lambda own, n: returning.order_return(
        own, n, OFFICER, technical_number=f"T{next(COUNT)}", reason="x", consultation=CONSULTED
    ),
    "laboratory": lambda own, n: returning.send_to_laboratory(
        own, n, OFFICER, technical_number=f"T{next(COUNT)}", reason="x", consignee="L"
    ),
    "take-in": lambda own, n: returning.take_in(own, n, OFFICER),
    "void": lambda own, n: revoke(own, n, OFFICER, reason="void"),
    "lost": lambda own, n: revoke(own, n, OFFICER, reason="lost"),
}

AGREE = {
    *(("delivered", here) for here in ("announced", "presented", "inspected")),
    *((there, there) for there in ("disputed", "contested", "consented", "amended")),
}
AGREE |= {(there, on_hold(here)) for there, here in AGREE} | {
    (there, "seized") for there, _ in AGREE
}
AGREE |= {
    ("delivered", "at the laboratory"), ("confirmed", "admitted"),
    ("confirmed as amended", "admitted as amended"), ("return ordered", "return ordered"),
    ("lapsed", "returned"), ("void", "void"), ("lost", "lost"), ("void", "seized"),
    ("lost", "seized"),
}  # fmt: skip
"""What both sides may show when everything has been delivered and nothing was refused."""


class TwoAuthorities(RuleBasedStateMachine):
    """Two nodes doing random legal and illegal acts over a link that loses requests and replies."""

    folder: Path

    @initialize()
    def begin(self) -> None:
        import contextlib
        import tempfile

        self.stack = contextlib.ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        homes = make_homes(folder, "RU", "EU-BE")
        nodes = self.stack.enter_context(opened(homes, SetClock()))
        self.ru, self.be = nodes["RU"], nodes["EU-BE"]
        self.numbers = [s["number"] for s in shipments(count=3)]
        issue(self.ru, shipments(count=3), OFFICER)
        settle(self.ru, self.be)

    @rule(
        act=st.sampled_from(sorted(ACTS)),
        exporter=st.booleans(),
        number=st.integers(0, 2),
    )
    def act(self, act: str, exporter: bool, number: int) -> None:
        own = self.ru if exporter else self.be
        before = own.ledger.read(entries.size)
        try:
            ACTS[act](own, self.numbers[number])
        except (RefusedError, NotFoundError):
            assert own.ledger.read(entries.size) == before

    @rule(forth=st.booleans(), lost=st.sampled_from(["", "request", "reply"]))
    def deliver(self, forth: bool, lost: str) -> None:
        own, other = (self.ru, self.be) if forth else (self.be, self.ru)
        deliver_one(own, other, lambda what: what != lost)

    @invariant()
    def states_follow_from_the_log_alone(self) -> None:
        if not hasattr(self, "ru"):
            return
        for own in (self.ru, self.be):
            before = own.ledger.read(_states)
            after = own.ledger.write(lambda tx, own=own: (rebuild(tx, own.name), _states(tx))[1])
            assert before == after

    def teardown(self) -> None:
        if not hasattr(self, "ru"):
            return
        settle(self.ru, self.be)
        for number in self.numbers:
            pair = (state(self.ru, number), state(self.be, number))
            shown = [open_items(own, number) for own in (self.ru, self.be)]
            assert pair in AGREE or all(shown), (pair, shown)
            assert {code for codes in shown for code in codes} <= {
                "wrong-state",
                "unknown-reference",
            }
        assert audited(self.ru).ok
        assert audited(self.be).ok
        self.stack.close()


def _states(tx: Any) -> list[Any]:
    tables = ("certificates", "life", "re_exports", "outcomes", "drafts", "papers")
    return [sorted(map(tuple, tx.execute(f"SELECT * FROM {table}").fetchall())) for table in tables]


TestTwoAuthorities = TwoAuthorities.TestCase
TestTwoAuthorities.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
