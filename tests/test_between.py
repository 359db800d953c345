"""What authorities ask, warn and announce beyond one shipment, between real nodes."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from node.authority import OwnAuthority
from node.cli.work import NAMES
from node.domain.reference import reference
from node.errors import ConfigError, NotFoundError, RefusedError, RefusedShipmentsError
from node.ledger import acts, certificates, inquiries, papers, register, sources
from node.ledger.rebuild import rebuild
from node.office import table
from node.office.alert import raise_alert, say_of
from node.office.attend import attend, release_all, wanted
from node.office.confirm import confirm
from node.office.dispute import amend, dispute, resolve
from node.office.dossier import chosen, dossier, on_paper, rows
from node.office.goods import present_paper, record
from node.office.import_table import import_table
from node.office.inquire import answer, ask
from node.office.issue import issue
from node.office.officer import Officer
from node.office.profile import publish
from node.office.remind import remind
from node.office.returning import order_return
from node.office.revoke import revoke
from node.office.sources import adjust, admit_paper
from node.watch import worklists
from node.watch.certificates import shown
from node.wiring import read_config
from tests.nodes import SetClock, admit_sources, kpnode, make_homes, opened, shipments
from tests.pairs import settle_all
from tests.test_ledger import audited

OFFICER = Officer("Office", "Officer 7")
NUMBER = "RU00010118"
FORGED = "RU00019999"

Three = tuple[OwnAuthority, OwnAuthority, OwnAuthority]


@pytest.fixture
def three(tmp_path: Path, clock: SetClock) -> Iterator[Three]:
    """RU, EU-BE and BY, each the others' peer; the first two sample certificates are at EU-BE."""
    homes = make_homes(tmp_path, "RU", "EU-BE", "BY")
    with opened(homes, clock) as nodes:
        ru, be, by = nodes["RU"], nodes["EU-BE"], nodes["BY"]
        issue(ru, shipments(count=2), OFFICER)
        settle_all(ru, be, by)
        yield ru, be, by


def state(own: OwnAuthority, number: str = NUMBER) -> str:
    held = own.ledger.read(lambda tx: certificates.by_number(tx, number))
    assert held is not None
    return held.state


def rules(act: Callable[[], Any]) -> list[str]:
    """The rules that an act breaks."""
    with pytest.raises((RefusedError, RefusedShipmentsError)) as refusal:
        act()
    found = refusal.value
    first = found.refusals[0] if isinstance(found, RefusedShipmentsError) else found
    return [one.rule for one in first.findings]


def asked(own: OwnAuthority, number: str = NUMBER) -> inquiries.Asked:
    return own.ledger.read(lambda tx: inquiries.about(tx, number))[-1]


def answered(own: OwnAuthority, number: str = NUMBER) -> Any:
    newest = asked(own, number)
    assert newest.answer is not None
    doc_id = newest.answer
    return own.ledger.read(lambda tx: inquiries.body(tx, doc_id))


def numbers(own: OwnAuthority, name: str, **how: int) -> list[str]:
    return [item["number"] for item in worklists.read(own, name, **how)]


def admit_on_paper(own: OwnAuthority, number: str) -> str:
    today = own.clock.now().date().isoformat()
    return admit_paper(own, number, OFFICER, issuer="RU", carats="5.00", received_on=today)


def paper_state(own: OwnAuthority, number: str = FORGED) -> str:
    paper = own.ledger.read(lambda tx: papers.by_number(tx, number))
    assert paper is not None
    return paper.state


def be_asked(own: OwnAuthority, number: str) -> str:
    return asked(own, number).doc_id


class TestInquiries:
    def test_the_destination_is_answered_by_the_node_with_state_and_differences(
        self, three: Three
    ) -> None:
        ru, be, by = three
        read = {"parcels": 1, "carats": "7558.34", "value_usd": "1.00", "mining_origins": ["RU"]}

        ask(be, NUMBER, OFFICER, read=read)
        settle_all(ru, be, by)

        told = answered(be)
        assert (told["verdict"], told["automatic"], told["state"]) == ("genuine", True, "delivered")
        held = be.ledger.read(lambda tx: certificates.by_number(tx, NUMBER))
        assert held is not None
        body = held.body
        assert ("/carats" in told["differs"]) == (body["totals"]["carats"] != "7558.34")
        assert "/value_usd" in told["differs"]
        assert "/mining_origins" not in told["differs"]
        assert numbers(be, "inquiries") == numbers(ru, "inquiries") == []

    def test_anyone_else_waits_for_an_officer_and_learns_the_verdict_alone(
        self, three: Three
    ) -> None:
        ru, be, by = three

        ask(by, NUMBER, OFFICER, to="RU")
        settle_all(ru, be, by)
        waiting = worklists.read(ru, "inquiries")
        answer(ru, NUMBER, OFFICER, verdict="genuine")
        settle_all(ru, be, by)

        assert [(w["number"], w["turn"]) for w in waiting] == [(NUMBER, "RU")]
        assert answered(by).keys() == {"number", "verdict", "answered_by"}
        assert audited(ru).ok
        assert audited(by).ok

    def test_a_certificate_that_came_on_paper_only_is_sent_again(self, three: Three) -> None:
        ru, be, by = three
        (third,) = shipments(start=2)
        issue(ru, [third], OFFICER)
        number = third["number"]
        # BE has lost the document: what RU sent is taken in by nobody (simulated: it asks first).
        present_paper(be, number, OFFICER, issuer="RU")

        ask(be, number, OFFICER)
        settle_all(ru, be, by)

        assert state(be, number) == "presented"
        assert answered(be, number)["verdict"] == "genuine"
        assert numbers(be, "unannounced") == []

    def test_a_document_already_held_is_sent_again_on_demand_and_changes_nothing(
        self, three: Three
    ) -> None:
        ru, be, by = three
        held = ru.ledger.read(lambda tx: certificates.by_number(tx, NUMBER))
        assert held is not None
        size = len(worklists.overview(be))

        ru.ledger.write(lambda tx: ru.send_again(tx, "EU-BE", held.doc_id, ru.clock.now()))
        settle_all(ru, be, by)

        assert state(be) == "announced"
        assert state(ru) == "delivered"
        assert len(worklists.overview(be)) == size

    def test_a_forged_number_is_answered_by_a_person(self, three: Three) -> None:
        ru, be, by = three

        ask(be, FORGED, OFFICER, paper="QZ4b9Tg2NNvNTyrXfd9uYN2PtWzhQ6YhA6E6eCEHbPo")
        settle_all(ru, be, by)
        assert asked(ru, FORGED).answer is None
        answer(ru, asked(ru, FORGED).doc_id, OFFICER, verdict="not-genuine", remarks="never issued")
        settle_all(ru, be, by)

        assert answered(be, FORGED)["verdict"] == "not-genuine"

    def test_the_same_is_asked_again_only_on_purpose_and_one_answer_settles_all(
        self, three: Three, clock: SetClock
    ) -> None:
        ru, be, by = three
        ask(by, NUMBER, OFFICER, to="RU")

        assert rules(lambda: ask(by, NUMBER, OFFICER, to="RU")) == ["KP-Q-007"]
        clock.advance(days=8)
        ask(by, NUMBER, OFFICER, to="RU", again=True)
        settle_all(ru, be, by)
        (item,) = worklists.read(by, "inquiries")
        clock.advance(days=8)
        (late,) = worklists.read(ru, "inquiries")
        answer(ru, NUMBER, OFFICER, verdict="unknown")
        settle_all(ru, be, by)

        assert (item["detail"], item["turn"], item["days"]) == ("genuine? asked 2 times", "RU", -7)
        assert late["days"] == 1
        assert numbers(by, "inquiries") == []
        assert {q.verdict for q in by.ledger.read(lambda tx: inquiries.about(tx, NUMBER))} == {
            "unknown"
        }

    def test_only_who_issued_a_number_is_asked_about_it(self, three: Three) -> None:
        _, be, by = three

        assert rules(lambda: ask(by, "EU0884202", OFFICER, to="RU")) == ["KP-Q-001"]
        assert rules(lambda: ask(be, NUMBER, OFFICER, asks="arrival")) == ["KP-Q-001"]
        past = (by.clock.now().date() - timedelta(days=2)).isoformat()
        assert rules(lambda: ask(by, NUMBER, OFFICER, to="RU", answer_by=past)) == ["KP-Q-006"]
        with pytest.raises(NotFoundError):
            ask(be, "AO0001", OFFICER)

    def test_an_answer_is_one_to_what_was_asked(self, three: Three) -> None:
        ru, be, by = three
        ask(by, NUMBER, OFFICER, to="RU")
        settle_all(ru, be, by)

        assert rules(lambda: answer(ru, NUMBER, OFFICER, verdict="arrived")) == ["KP-Q-003"]
        with pytest.raises(NotFoundError):
            answer(ru, "RU99999999", OFFICER, verdict="genuine")
        with pytest.raises(NotFoundError):
            answer(by, NUMBER, OFFICER, verdict="genuine")

    def test_sources_are_disclosed_to_the_destination_by_consent_and_match_the_digest(
        self, three: Three
    ) -> None:
        ru, be, by = three
        (out,) = shipments("EU-BE", "RU")
        admit_sources(be, [out])
        issue(be, [out], OFFICER)
        settle_all(ru, be, by)
        number = out["number"]

        ask(ru, number, OFFICER, asks="sources")
        settle_all(ru, be, by)
        assert asked(be, number).answer is None  # a person decides
        answer(be, number, OFFICER, verdict="disclosed")
        settle_all(ru, be, by)

        assert answered(ru, number)["verdict"] == "disclosed"
        assert audited(ru).ok
        ask(by, number, OFFICER, asks="sources", to="EU-BE")
        settle_all(ru, be, by)
        waiting = worklists.read(be, "inquiries")[0]["document"]
        assert rules(lambda: answer(be, waiting, OFFICER, verdict="disclosed")) == ["KP-Q-004"]

    def test_all_of_it_follows_from_the_log(self, three: Three) -> None:
        ru, be, by = three
        ask(by, NUMBER, OFFICER, to="RU")
        alert = raise_alert(by, OFFICER, subject="forged", first=NUMBER, reason="layout differs")
        settle_all(ru, be, by)
        say_of(ru, alert, "denied", OFFICER, reason="ours")
        settle_all(ru, be, by)
        before = be.ledger.read(
            lambda tx: (register.listed(tx), certificates.by_number(tx, NUMBER))
        )
        questions = ru.ledger.read(lambda tx: inquiries.about(tx, NUMBER))

        for own in (ru, be):
            own.ledger.write(lambda tx, own=own: rebuild(tx, own.name))

        after = be.ledger.read(lambda tx: (register.listed(tx), certificates.by_number(tx, NUMBER)))
        assert after == before
        assert ru.ledger.read(lambda tx: inquiries.about(tx, NUMBER)) == questions


class TestAlerts:
    def test_its_own_participants_alert_refuses_everywhere(self, three: Three) -> None:
        ru, be, by = three

        raise_alert(ru, OFFICER, subject="stolen-goods", first=NUMBER, reason="robbed")
        assert rules(lambda: issue_at(ru, "RU00010118", "BY")) == ["KP-C-003"]
        settle_all(ru, be, by)

        assert state(be) == "held, announced"
        record(be, "release", NUMBER, OFFICER, {"reason": "looked at"})
        assert rules(lambda: confirm(be, [NUMBER], OFFICER)) == ["KP-W-001"]
        assert rules(lambda: record(be, "presentation", NUMBER, OFFICER, {})) == ["KP-W-001"]
        assert rules(lambda: present_paper(by, NUMBER, OFFICER, issuer="RU")) == ["KP-W-001"]

    def test_a_stolen_range_of_blanks_cannot_be_issued_or_accepted(self, three: Three) -> None:
        ru, be, by = three
        first, last = "RU00020000", "RU00020099"

        alert = raise_alert(
            ru, OFFICER, subject="stolen-blanks", first=first, last=last, reason="burglary"
        )
        settle_all(ru, be, by)

        for number, found in (
            (first, True),
            (last, True),
            ("RU00020100", False),
            ("RU0002005", False),
        ):
            assert bool(by.ledger.read(lambda tx, n=number: register.on(tx, n))) == found, number
        assert rules(lambda: issue_at(ru, "RU00020050", "EU-BE")) == ["KP-W-001"]
        say_of(ru, alert, "withdrawn", OFFICER, reason="found again")
        settle_all(ru, be, by)
        issue_at(ru, "RU00020050", "EU-BE")
        assert by.ledger.read(lambda tx: register.on(tx, first)) == []

    def test_anyone_elses_alert_flags_and_holds_for_an_officer(self, three: Three) -> None:
        ru, be, by = three

        raise_alert(by, OFFICER, subject="forged", first=NUMBER, reason="seen in Minsk")
        # RU and EU-BE have it, and nobody has looked yet.
        deliver_all(ru, be, by)
        assert rules(lambda: confirm(be, [NUMBER], OFFICER)) == ["KP-W-002"]
        assert attend(be) == 1
        assert attend(be) == 0

        assert state(be) == "held, announced"
        assert numbers(be, "flagged") == [NUMBER]
        record(be, "release", NUMBER, OFFICER, {"reason": "paper and goods are good"})
        assert attend(be) == 0
        confirm(be, [NUMBER], OFFICER)
        settle_all(ru, be, by)
        assert (state(ru), state(be)) == ("confirmed", "admitted")
        assert audited(be).ok

    def test_a_flagged_certificate_is_accepted_and_held_when_it_comes(self, three: Three) -> None:
        ru, be, by = three
        (third,) = shipments(start=2)

        raise_alert(by, OFFICER, subject="forged", first=third["number"], reason="offered here")
        settle_all(ru, be, by)
        issue(ru, [third], OFFICER)
        settle_all(ru, be, by)

        assert state(ru, third["number"]) == "delivered"
        assert state(be, third["number"]) == "held, announced"

    def test_flagged_goods_on_a_paper_alone_are_held_looked_at_and_then_admitted(
        self, three: Three
    ) -> None:
        ru, be, by = three

        def admit() -> str:
            return admit_on_paper(be, FORGED)

        alert = raise_alert(by, OFFICER, subject="forged", first=FORGED, reason="seen in Minsk")
        settle_all(ru, be, by)
        assert rules(admit) == ["KP-W-002"]
        present_paper(be, FORGED, OFFICER, issuer="RU")
        assert be.ledger.read(lambda tx: wanted(tx, be))
        assert [attend(be), attend(be)] == [1, 0]

        assert paper_state(be) == "held, presented without announcement"
        assert rules(admit) == ["KP-L-009"]
        assert rules(lambda: record(be, "hold", FORGED, OFFICER, {"reason": "x"})) == ["KP-L-011"]
        assert numbers(be, "flagged") == numbers(be, "unannounced") == [FORGED]
        assert release_all(be, alert, OFFICER, reason="it is good") == [FORGED]
        assert attend(be) == 0
        raise_alert(by, OFFICER, subject="stolen-goods", first=FORGED, reason="again")
        settle_all(ru, be, by)
        assert paper_state(be) == "held, presented without announcement"
        record(be, "release", FORGED, OFFICER, {"reason": "it is good"})
        admit()

        assert paper_state(be) == "admitted on paper"
        assert numbers(be, "unannounced") == []
        assert rules(lambda: record(be, "hold", FORGED, OFFICER, {"reason": "x"})) == ["KP-L-011"]
        be.ledger.write(lambda tx: rebuild(tx, be.name))
        assert paper_state(be) == "admitted on paper"

    @pytest.mark.parametrize("seized", [False, True])
    def test_a_document_that_comes_to_a_held_paper_stays_on_hold(
        self, three: Three, seized: bool
    ) -> None:
        ru, be, by = three
        (third,) = shipments(start=2)
        number = third["number"]
        raise_alert(by, OFFICER, subject="forged", first=number, reason="seen in Minsk")
        settle_all(ru, be, by)
        present_paper(be, number, OFFICER, issuer="RU")
        attend(be)
        if seized:
            record(be, "seizure", number, OFFICER, {"reason": "x", "case": "1"})
        issue(ru, [third], OFFICER)
        settle_all(ru, be, by)

        expected = "seized" if seized else "held, presented"
        for _ in range(2):
            assert state(be, number) == expected
            told = shown(be, number)["timeline"]
            assert [step["what"] for step in told][:2] == ["record:presentation", "record:hold"]
            assert [step["state"] for step in told if step["what"] == "received"] == [expected]
            be.ledger.write(lambda tx: rebuild(tx, be.name))
        assert attend(be) == 0
        if not seized:  # what was looked at on the paper needs no second look
            record(be, "release", number, OFFICER, {"reason": "it is good"})
            assert attend(be) == 0
            assert confirm(be, [number], OFFICER)[0].state == "admitted"

    def test_goods_held_on_their_paper_are_released_with_the_others_and_no_others(
        self, three: Three
    ) -> None:
        ru, be, by = three
        third, fourth = (shipments(start=n)[0]["number"] for n in (2, 3))
        for number in (third, FORGED):
            present_paper(be, number, OFFICER, issuer="RU")
        alert = raise_alert(
            by, OFFICER, subject="forged", first="RU00000000", last="RU99999999", reason="all"
        )
        settle_all(ru, be, by)
        issue(ru, [*shipments(start=2), *shipments(start=3)], OFFICER)
        settle_all(ru, be, by)
        record(be, "release", FORGED, OFFICER, {"reason": "it is good"})
        record(be, "hold", FORGED, OFFICER, {"reason": "customs debt"})
        assert state(be, third) == "held, presented"

        released = release_all(be, alert, OFFICER, reason="looked at")

        assert third in released
        assert fourth in released
        assert FORGED not in released
        assert state(be, third) == "presented"
        assert paper_state(be) == "held, presented without announcement"

    def test_what_its_issuer_disowns_is_seized_and_never_admitted(self, three: Three) -> None:
        ru, be, by = three
        present_paper(be, FORGED, OFFICER, issuer="RU")
        ask(be, FORGED, OFFICER)
        settle_all(ru, be, by)
        answer(ru, FORGED, OFFICER, verdict="not-genuine")
        settle_all(ru, be, by)

        assert rules(lambda: admit_on_paper(be, FORGED)) == ["KP-W-007"]
        record(be, "hold", FORGED, OFFICER, {"reason": "Moscow has never issued it"})
        seized = record(be, "seizure", FORGED, OFFICER, {"reason": "forged", "case": "7/2026"})

        assert seized.state == "seized"
        assert numbers(be, "unannounced") == []
        assert [(p.number, p.state) for p in be.ledger.read(papers.without_document)] == [
            (FORGED, "seized")
        ]

    def test_a_source_that_its_issuer_warns_of_is_none(self, three: Three) -> None:
        ru, be, by = three
        alerted, disowned = "RU00019990", "RU00019991"
        for number in (alerted, disowned):
            admit_on_paper(be, number)
            ask(be, number, OFFICER, to="RU")
        settle_all(ru, be, by)
        raise_alert(ru, OFFICER, subject="forged", first=alerted, reason="never issued")
        answer(ru, disowned, OFFICER, verdict="not-genuine")
        settle_all(ru, be, by)

        def use(number: str) -> list[str]:
            return rules(
                lambda: issue(be, [re_export({"number": number, "carats": "4.00"})], OFFICER)
            )

        assert (use(alerted), use(disowned)) == (["KP-W-001"], ["KP-W-007"])
        answer(ru, be_asked(ru, disowned), OFFICER, verdict="genuine")
        settle_all(ru, be, by)
        issue(be, [re_export({"number": disowned, "carats": "4.00"})], OFFICER)

    def test_an_alert_and_its_certificate_in_one_bundle_meet(self, three: Three) -> None:
        ru, be, _ = three
        (third,) = shipments(start=2)
        issue(ru, [third], OFFICER)
        raise_alert(ru, OFFICER, subject="invalidated", first=third["number"], reason="misprint")
        (fourth,) = shipments(start=3)
        issue(ru, [fourth], OFFICER)

        settle_all(ru, be)

        assert state(be, third["number"]) == "held, announced"
        assert state(be, fourth["number"]) == "announced"

    def test_the_numbers_participant_confirms_or_denies(self, three: Three) -> None:
        ru, be, by = three
        alert = raise_alert(be, OFFICER, subject="forged", first=FORGED, reason="layout differs")
        settle_all(ru, be, by)

        for says, rule in (("confirmed", "KP-W-005"), ("denied", "KP-W-005")):
            assert rules(lambda s=says: say_of(by, alert, s, OFFICER, reason="x")) == [rule]
        assert rules(lambda: say_of(ru, alert, "withdrawn", OFFICER, reason="x")) == ["KP-W-005"]
        say_of(ru, alert, "confirmed", OFFICER, reason="never issued")
        assert rules(lambda: say_of(ru, alert, "confirmed", OFFICER, reason="x")) == ["KP-W-006"]
        settle_all(ru, be, by)

        assert rules(lambda: present_paper(by, FORGED, OFFICER, issuer="RU")) == ["KP-W-001"]
        say_of(by, alert, "sighted", OFFICER, reason="offered in Minsk, seized, case 12")
        settle_all(ru, be, by)
        said = ru.ledger.read(lambda tx: register.said_of(tx, alert))
        assert [(c["iss"], c["body"]["says"]) for _, c in said] == [
            ("RU", "confirmed"),
            ("BY", "sighted"),
        ]

    def test_an_alert_to_some_stays_with_them(self, three: Three) -> None:
        ru, be, by = three

        raise_alert(ru, OFFICER, subject="forged", first=FORGED, reason="x", to=["EU-BE"])
        settle_all(ru, be, by)

        assert len(be.ledger.read(register.listed)) == 1
        assert by.ledger.read(register.listed) == []
        with pytest.raises(NotFoundError):
            raise_alert(ru, OFFICER, subject="forged", first=FORGED, reason="x", to=["AO"])

    def test_a_range_is_of_one_length_and_in_order(self, three: Three) -> None:
        for first, last in (("RU0002", "RU0001"), ("RU0001", "RU00011"), ("RU0001", "SL0002")):
            broken = rules(
                lambda f=first, la=last: raise_alert(
                    three[0], OFFICER, subject="forged", first=f, last=la, reason="x"
                )
            )
            assert broken == ["KP-W-003"], (first, last)

    def test_a_peer_that_is_new_gets_the_alerts_in_force(
        self, three: Three, tmp_path: Path, clock: SetClock
    ) -> None:
        ru = three[0]
        raise_alert(ru, OFFICER, subject="forged", first=FORGED, reason="never issued")
        gone = raise_alert(ru, OFFICER, subject="forged", first="RU00019998", reason="x")
        say_of(ru, gone, "withdrawn", OFFICER, reason="mistaken")
        homes = make_homes(tmp_path / "later", "AO")
        ao_home, ru_home = homes["AO"], ru.config.home
        kpnode("--home", str(ru_home), "peer", "add", "AO", "--url", "http://localhost:1",
               "--jwks", str(ao_home / "keys" / "AO.jwks.json"))  # fmt: skip
        kpnode("--home", str(ao_home), "peer", "add", "RU", "--url", ru.config.node.url,
               "--jwks", str(ru_home / "keys" / "RU.jwks.json"))  # fmt: skip
        ru.reload_peers(read_config(ru_home))

        with opened({"AO": ao_home}, clock) as nodes:
            settle_all(ru, nodes["AO"])
            known = nodes["AO"].ledger.read(register.listed)

        assert [(a.first, a.standing) for a in known] == [(FORGED, "raised")]

    def test_verify_asks_the_register(self, three: Three, tmp_path: Path) -> None:
        ru, be, by = three
        held = be.ledger.read(lambda tx: certificates.by_number(tx, NUMBER))
        assert held is not None
        path = tmp_path / "certificate.jws"
        done = kpnode("--home", str(be.config.home), "--json", "document", held.doc_id)
        path.write_text(json.loads(done.stdout)["jws"])
        raise_alert(by, OFFICER, subject="forged", first=NUMBER, reason="x")
        settle_all(ru, be, by)

        flagged = json.loads(
            kpnode("--home", str(be.config.home), "--json", "verify", str(path)).stdout
        )
        raise_alert(ru, OFFICER, subject="stolen-goods", first=NUMBER, reason="x")
        settle_all(ru, be, by)
        from click.testing import CliRunner

        from node.cli.app import main

        refused = CliRunner().invoke(
            main, ["--home", str(be.config.home), "--json", "verify", str(path)]
        )

        assert [a["by"] for a in flagged["alerts"]] == ["BY"]
        assert refused.exit_code == 4
        assert json.loads(refused.stdout)["errors"][0]["code"] == "alerted"


def issue_at(own: OwnAuthority, number: str, to: str) -> Any:
    """Issue a sample under another number."""
    (sample,) = shipments()
    return issue(own, [sample | {"number": number, "to": to, "destination": to[:2]}], OFFICER)


def deliver_all(*nodes: OwnAuthority) -> None:
    """Deliver, without seeing to what comes in."""
    from itertools import permutations

    from tests.pairs import always, deliver_one

    while sum(deliver_one(a, b, always) for a, b in permutations(nodes, 2)):
        pass


PROFILE = {
    "from": "2003-01-01",
    "number_pattern": "RU[0-9]{8}",
    "validity": {"days": 30},
    "statement": "The goods were handled as the scheme demands.",
}


class TestProfiles:
    def test_from_its_day_on_a_profile_replaces_the_packages_data(self, three: Three) -> None:
        ru, be, by = three
        today = ru.clock.now().date()
        tomorrow = (today + timedelta(days=2)).isoformat()

        publish(ru, PROFILE | {"from": tomorrow}, OFFICER)
        settle_all(ru, be, by)
        before = known(be).profile("RU", today)
        after = known(be).profile("RU", today + timedelta(days=2))

        assert before.announced is False
        assert (after.announced, after.validity.days) == (True, 30)
        assert known(ru).profile("RU", today + timedelta(days=2)) == after

    def test_numbers_validity_and_statement_are_the_profiles(self, three: Three) -> None:
        ru, be, by = three
        publish(ru, PROFILE, OFFICER)
        settle_all(ru, be, by)

        issue_at(ru, "RU00030000", "EU-BE")
        settle_all(ru, be, by)

        held = be.ledger.read(lambda tx: certificates.by_number(tx, "RU00030000"))
        assert held is not None
        days = date.fromisoformat(held.body["expires_on"]) - date.fromisoformat(
            held.body["issued_on"]
        )
        assert days == timedelta(days=30)
        assert held.body["statement"] == PROFILE["statement"]
        assert rules(lambda: issue_at(ru, "RU3", "EU-BE")) == ["KP-C-001"]

    def test_a_number_of_another_years_range_is_refused(self, three: Three) -> None:
        ru, be, by = three
        year = ru.clock.now().year
        ranges = [
            {
                "first": "RU00040000",
                "last": "RU00049999",
                "from": f"{y}-01-01",
                "until": f"{y}-12-31",
            }
            for y in (year - 1,)
        ] + [{"first": "RU00050000", "last": "RU00059999", "from": f"{year}-01-01"}]

        publish(ru, PROFILE | {"ranges": ranges}, OFFICER)
        settle_all(ru, be, by)

        assert rules(lambda: issue_at(ru, "RU00040001", "EU-BE")) == ["KP-C-002"]
        issue_at(ru, "RU00050001", "EU-BE")
        assert rules(lambda: present_paper(by, "RU00040001", OFFICER, issuer="RU")) == ["KP-C-002"]
        present_paper(by, "RU00040001", OFFICER, issuer="RU", issued_on=f"{year - 1}-06-01")

    def test_only_signatories_and_capabilities_announced_count(self, three: Three) -> None:
        ru, be, by = three
        today = ru.clock.now().date().isoformat()
        people = [{"name": "Officer 7"}, {"name": "Officer 8", "until": "2020-12-31"}]
        publish(ru, PROFILE | {"signatories": people, "capabilities": ["issue"]}, OFFICER)
        settle_all(ru, be, by)

        issue(ru, [shipments()[0] | {"number": "RU00030000"}], OFFICER)
        settle_all(ru, be, by)
        by_who = [Officer(None, "Officer 8"), Officer()]
        broken = [
            rules(lambda o=o: issue(ru, [shipments()[0] | {"number": "RU00030001"}], o))
            for o in by_who
        ]

        assert state(be, "RU00030000") == "announced"
        assert broken == [["KP-A-008", "KP-A-008"]] * 2
        (out,) = shipments("EU-BE", "RU")
        admit_sources(be, [out])
        issue(be, [out], OFFICER)
        settle_all(ru, be, by)
        assert rules(lambda: confirm(ru, [out["number"]], OFFICER)) == ["KP-A-007"]
        assert today

    @pytest.mark.parametrize(
        ("change", "rule"),
        [
            ({"number_pattern": "RU[9-0]{8}"}, "KP-P-002"),
            ({"ranges": [{"first": "RU1", "last": "RU2"}]}, "KP-P-002"),
            ({"ranges": [{"first": "RU00000002", "last": "RU00000001"}]}, "KP-P-002"),
            (
                {"signatories": [{"name": "A", "from": "2026-01-02", "until": "2026-01-01"}]},
                "KP-P-003",
            ),
            ({"validity": {}}, "KP-D-001"),
            ({"participant": "BY"}, "KP-D-001"),
        ],
    )
    def test_a_profile_that_says_nothing_is_refused(
        self, three: Three, change: Any, rule: str
    ) -> None:
        assert rules(lambda: publish(three[0], PROFILE | change, OFFICER))[0] == rule

    def test_each_peer_gets_its_own_document_and_a_late_one_the_last(self, three: Three) -> None:
        ru, be, by = three

        assert publish(ru, PROFILE, OFFICER).to == ("EU-BE", "BY")
        assert publish(ru, None, OFFICER).to == ()
        settle_all(ru, be, by)
        with pytest.raises(NotFoundError):
            publish(be, None, OFFICER)


def known(own: OwnAuthority) -> Any:
    return own.ledger.read(own.reference)


class TestReferenceTables:
    def test_an_operator_replaces_a_table_and_the_trail_says_so(self, three: Three) -> None:
        ru = three[0]
        folder = ru.config.home / "reference"
        folder.mkdir()
        text = "code,name,from,until,status,scope,source\nRU,Russia,,,active,,\nEU,Union,,,suspended,,x\n"
        (folder / "participants.csv").write_text(text)

        ru.reload_peers(read_config(ru.config.home))

        assert rules(lambda: issue_at(ru, "RU00030000", "EU-BE")) == ["KP-C-016"]
        assert rules(lambda: issue_at(ru, "RU00030000", "BY")) == ["KP-C-004"]
        noted = ru.ledger.read(lambda tx: acts.newest(tx, "reference"))
        assert noted is not None
        assert "participants.csv sha256" in noted.subject

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("participants.csv", "code,name\nRU,Russia\n"),
            ("participants.csv", "code,name,from,until,status,scope,source\nRU,R,,,happy,,\n"),
            (
                "zones.csv",
                "participant,zone,from,until,approval_until,source\nCF,B,2015-13-01,,,\n",
            ),
            ("embargoes.csv", 'origin,from,until,source\n"CF'),
            ("planets.csv", "a\n"),
        ],
    )
    def test_a_table_that_cannot_be_read_is_named(self, three: Three, name: str, text: str) -> None:
        home = three[0].config.home
        (home / "reference").mkdir()
        (home / "reference" / name).write_text(text)

        with pytest.raises(ConfigError) as error:
            read_config(home)

        assert error.value.code == "bad-reference"
        assert name in str(error.value)

    def test_equal_sources_are_one_object_also_in_a_worker(self) -> None:
        import pickle

        files = (("embargoes.csv", "origin,from,until,source\n"),)

        assert pickle.loads(pickle.dumps(reference(files))) is reference(files)


class TestReExports:
    def test_sources_are_certificates_admitted_here(self, three: Three) -> None:
        ru, be, by = three
        source = {"number": NUMBER, "carats": "100.00"}
        out = re_export(source)

        assert rules(lambda: issue(be, [out], OFFICER)) == ["KP-C-019"]
        confirm(be, [NUMBER], OFFICER)
        issue(be, [out], OFFICER)
        settle_all(ru, be, by)

        assert state(by, out["number"]) == "announced"

    def test_cumulative_carats_never_exceed_what_came_in(self, three: Three) -> None:
        be = three[1]
        confirm(be, [NUMBER], OFFICER)
        came_in = be.ledger.read(lambda tx: certificates.came_in(tx, NUMBER))
        assert came_in is not None
        issue(be, [re_export({"number": NUMBER, "carats": str(came_in - 1)})], OFFICER)
        more = re_export({"number": NUMBER, "carats": "1.01"}, "EU0999002")

        assert rules(lambda: issue(be, [more], OFFICER)) == ["KP-C-015"]
        adjust(be, NUMBER, OFFICER, carats="0.01", change="more", reason="weighed again")
        issue(be, [more], OFFICER)
        assert be.ledger.read(lambda tx: sources.re_exported(tx, NUMBER)) == came_in + type(
            came_in
        )("0.01")

    def test_a_processing_loss_leaves_less(self, three: Three) -> None:
        be = three[1]
        confirm(be, [NUMBER], OFFICER)
        came_in = be.ledger.read(lambda tx: certificates.came_in(tx, NUMBER))

        adjust(be, NUMBER, OFFICER, carats=str(came_in), change="less", reason="polished here")

        out = re_export({"number": NUMBER, "carats": "0.01"})
        assert rules(lambda: issue(be, [out], OFFICER)) == ["KP-C-015"]
        again = {"carats": "0.01", "change": "less", "reason": "x"}
        assert rules(lambda: adjust(be, NUMBER, OFFICER, **again)) == ["KP-C-015"]
        with pytest.raises(NotFoundError):
            adjust(be, "RU00010119", OFFICER, **again)

    def test_what_a_void_re_export_took_is_there_again(self, three: Three) -> None:
        be = three[1]
        confirm(be, [NUMBER], OFFICER)
        out = re_export({"number": NUMBER, "carats": "100.00"})
        issue(be, [out], OFFICER)

        revoke(be, out["number"], OFFICER, reason="void")

        assert be.ledger.read(lambda tx: sources.re_exported(tx, NUMBER)) == 0


def re_export(source: dict[str, str], number: str = "EU0999001") -> dict[str, Any]:
    """A shipment of EU-BE to BY out of one certificate."""
    (sample,) = shipments("EU-BE", "BY")
    amounts = {"carats": source["carats"], "value_usd": "1.00"}
    return sample | {
        "number": number,
        "source_certificates": [source],
        "lines": [{"hs": "7102.31", **amounts}],
        "totals": amounts,
        "mining_origins": ["RU"],
        "mixed_origin": False,
    }


class TestWorkLists:
    def test_the_command_names_the_lists_there_are(self) -> None:
        assert tuple(worklists.LISTS) == NAMES

    def test_a_certificate_moves_from_list_to_list(self, three: Three, clock: SetClock) -> None:
        ru, be, by = three
        second = shipments(start=1)[0]["number"]

        assert numbers(be, "to-confirm") == []
        record(be, "presentation", NUMBER, OFFICER, {})
        assert numbers(be, "to-confirm") == [NUMBER]
        dispute(be, NUMBER, OFFICER, reason="one parcel more", proposed={"parcels": 99})
        settle_all(ru, be, by)
        turns = [worklists.read(own, "disputed")[0]["turn"] for own in (ru, be)]
        assert turns == ["RU", "RU"]
        assert numbers(be, "expiring") == []
        clock.advance(days=50)
        assert numbers(be, "expiring") == [second]
        assert numbers(ru, "expiring", within_days=5) == []
        assert numbers(ru, "overdue") == [second]
        clock.advance(days=11)
        assert numbers(ru, "expired-in-transit") == [second]
        assert numbers(be, "never-presented") == [second]

    def test_technical_certificates_out_and_whose_turn_it_is(self, three: Three) -> None:
        ru, be, by = three
        consulted = {"with": "RU", "on": be.clock.now().date().isoformat()}
        order_return(
            be, NUMBER, OFFICER, technical_number="TC-1", reason="x", consultation=consulted
        )
        settle_all(ru, be, by)

        found = [worklists.read(own, "technical")[0] for own in (ru, be)]

        assert [(f["turn"], f["detail"], f["days"]) for f in found] == [("RU", "TC-1", -60)] * 2

    def test_the_threshold_is_the_peers_and_reminders_are_inquiries(
        self, three: Three, clock: SetClock
    ) -> None:
        ru, be, by = three
        path = ru.config.home / "peers.toml"
        path.write_text(
            path.read_text().replace(
                '\nauthority = "EU-BE"', '\nauthority = "EU-BE"\noverdue_days = 5'
            )
        )
        ru.reload_peers(read_config(ru.config.home))
        clock.advance(days=6)
        assert len(numbers(ru, "overdue")) == 2
        assert numbers(ru, "overdue", older_than_days=30) == []

        sent = remind(ru, numbers(ru, "overdue"), OFFICER)
        assert remind(ru, numbers(ru, "overdue"), OFFICER) == []
        settle_all(ru, be, by)
        (item, _) = worklists.read(be, "inquiries")
        assert (item["detail"], item["turn"]) == ("arrival?", "EU-BE")
        answer(be, NUMBER, OFFICER, verdict="not-arrived", remarks="nobody has seen it")
        settle_all(ru, be, by)

        assert len(sent) == 2
        details = {i["number"]: i["detail"] for i in worklists.read(ru, "overdue")}
        assert details[NUMBER] == "asked once; answer: not-arrived"

    def test_vigilance_names_why(self, three: Three) -> None:
        be = three[1]
        path = be.config.home / "peers.toml"
        path.write_text(
            path.read_text() + '\n[[vigilance]]\nprovenance = "RU"\nbecause = "pilot"\n'
        )
        be.reload_peers(read_config(be.config.home))

        found = worklists.read(be, "vigilance")

        assert len(found) == 2
        assert {f["detail"] for f in found} == {"pilot"}


class TestTables:
    def test_what_goes_out_comes_in_as_it_was(self, three: Three, tmp_path: Path) -> None:
        ru, be, _ = three
        made = ru.ledger.read(lambda tx: table.to_csv(rows(tx, chosen(tx, None))))
        read = list(csv.DictReader(io.StringIO(made, newline="")))
        assert {r["number"] for r in read} == {NUMBER, "RU00010119"} or len(read) >= 2

        confirmed = [r | {"confirmed_on": r["issued_on"]} for r in read]
        # Another node takes them in as admitted on paper.
        homes = make_homes(tmp_path / "later", "AO")
        with opened(homes, be.clock) as nodes:  # type: ignore[arg-type]
            ao = nodes["AO"]
            raw = table.to_csv(confirmed).encode()
            tried = import_table(ao, raw, OFFICER, apply=False)
            assert ao.ledger.read(lambda tx: sources.on_paper(tx, NUMBER)) is None
            import_table(ao, raw, OFFICER, apply=True)
            again = import_table(ao, raw, OFFICER, apply=True)
            paper = ao.ledger.read(lambda tx: sources.on_paper(tx, NUMBER))

        assert {step.will for step in tried} == {"record as admitted on paper"}
        assert {step.will for step in again} == {"here already"}
        assert paper is not None
        assert str(paper[1]) == str(certificate(ru).body["totals"]["carats"])

    def test_a_table_of_our_own_is_issued_and_equals_the_json_way(self, three: Three) -> None:
        ru = three[0]
        (third,) = shipments(start=2)
        issue(ru, [third], OFFICER)
        made = ru.ledger.read(lambda tx: table.to_csv(rows(tx, chosen(tx, None))))
        read = [
            r
            for r in csv.DictReader(io.StringIO(made, newline=""))
            if r["number"] == third["number"]
        ]
        copied = [r | {"number": "RU00030000"} for r in read]

        (step,) = import_table(ru, table.to_csv(copied).encode(), OFFICER, apply=True)

        assert step.will == "issue"
        bodies = [certificate(ru, n).body for n in (third["number"], "RU00030000")]
        differing = {k for k in bodies[0] if bodies[0][k] != bodies[1].get(k)}
        assert differing <= {"number", "transport"}

    def test_one_wrong_row_and_nothing_is_recorded(self, three: Three) -> None:
        ru = three[0]
        made = ru.ledger.read(lambda tx: table.to_csv(rows(tx, chosen(tx, None))))
        read = list(csv.DictReader(io.StringIO(made, newline="")))
        good = [r | {"number": "RU00030000"} for r in read if r["number"] == NUMBER]
        bad = [
            r | {"number": "RU00030001", "carats": "much"} for r in read if r["number"] == NUMBER
        ]
        abroad = [good[0] | {"number": "AO1234", "issued_by": "AO"}]

        steps = import_table(ru, table.to_csv(good + bad + abroad).encode(), OFFICER, apply=True)

        assert [(s.will, s.code) for s in steps] == [
            ("issue", ""),
            ("refused", "schema-invalid"),
            ("refused", "source-missing"),
        ]
        assert ru.ledger.read(lambda tx: certificates.by_number(tx, "RU00030000")) is None

    @pytest.mark.parametrize(
        "raw",
        [
            b"", b"\xff\xfe", b"number\nRU1\n", b"number,issued_by,colour\n", b'number,issued_by\n"RU',
            b"number,issued_by\nRU1\n", b"number,issued_by\nRU1,RU,3\n",
        ],
    )  # fmt: skip
    def test_what_is_no_table_is_refused_with_its_code(self, three: Three, raw: bytes) -> None:
        with pytest.raises(RefusedError) as refusal:
            import_table(three[0], raw, OFFICER, apply=True)
        assert refusal.value.code == "not-csv"

    def test_no_cell_is_a_formula(self) -> None:
        text = table.to_csv(
            [{"number": "NA123", "exporter": "=1+1", "importer": "@x", "seals": "-1"}]
        )
        (row,) = csv.DictReader(io.StringIO(text, newline=""))

        assert [row[n] for n in ("number", "exporter", "importer", "seals")] == [
            "NA123", "'=1+1", "'@x", "'-1",
        ]  # fmt: skip

    def test_a_dossier_can_be_checked_with_what_is_in_it(
        self, three: Three, tmp_path: Path
    ) -> None:
        ru, be, by = three
        confirm(be, [NUMBER], OFFICER)
        settle_all(ru, be, by)

        raw, summary = dossier(ru, ru.clock.now().date())
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            archive.extractall(tmp_path / "dossier")

        folder = tmp_path / "dossier"
        exports = summary["exports"]["EU-BE"]
        assert (exports["certificates"], exports["confirmed"]) == (2, 1)
        documents = sorted((folder / "documents" / NUMBER).glob("*.jws"))
        assert [d.name for d in documents] == [
            "01-issued.jws", "03-confirmation-as-issued.jws",
        ]  # fmt: skip
        # A receipt is of a whole bundle: here of both certificates, and it is there once.
        documents += (folder / "receipts").glob("*.jws")
        for document, who in zip(documents, ("RU", "EU-BE", "EU-BE"), strict=True):
            keys = folder / "keys" / f"{who}.jwks.json"
            found = json.loads(
                kpnode("--json", "verify", str(document), "--jwks", str(keys)).stdout
            )
            assert found["authentic"], document
            assert found["valid"], document
        assert (folder / "certificates.csv").read_text("utf-8").startswith("number,issued_by")


def certificate(own: OwnAuthority, number: str = NUMBER) -> certificates.Certificate:
    held = own.ledger.read(lambda tx: certificates.by_number(tx, number))
    assert held is not None
    return held


class TestWhatATrialFound:
    def test_an_alert_to_some_goes_to_no_peer_that_is_new(
        self, three: Three, tmp_path: Path, clock: SetClock
    ) -> None:
        ru, be, by = three
        raise_alert(ru, OFFICER, subject="forged", first=FORGED, reason="x", to=["EU-BE"])
        other = raise_alert(by, OFFICER, subject="forged", first="RU00019998", reason="x")
        settle_all(ru, be, by)
        say_of(ru, other, "confirmed", OFFICER, reason="never issued")
        settle_all(ru, be, by)

        told = [by.ledger.read(lambda tx: register.for_newcomer(tx, "BY")),
                ru.ledger.read(lambda tx: register.for_newcomer(tx, "RU"))]  # fmt: skip

        assert told[0] == [other]
        assert len(told[1]) == 1  # what it said of the other's alert, and not its own to some
        assert told[1] != [other]

    def test_one_hold_is_for_all_alerts_and_one_release_ends_it(self, three: Three) -> None:
        ru, be, by = three
        range_ = {"first": "RU00000000", "last": "RU99999999"}
        for reason in ("a", "b", "c"):
            alert = raise_alert(by, OFFICER, subject="forged", reason=reason, **range_)
        settle_all(ru, be, by)
        assert state(be) == "held, announced"
        (first, second) = worklists.read(be, "flagged")
        assert first["detail"].endswith("(and 2 more)")
        assert second["number"] != first["number"]

        assert len(release_all(be, alert, OFFICER, reason="looked at")) == 2
        settle_all(ru, be, by)

        assert state(be) == "announced"
        with pytest.raises(NotFoundError):
            release_all(be, alert, OFFICER, reason="again")
        with pytest.raises(NotFoundError):
            release_all(be, "nothing", OFFICER, reason="x")
        before = be.ledger.read(lambda tx: certificates.by_number(tx, NUMBER))
        be.ledger.write(lambda tx: rebuild(tx, be.name))
        assert be.ledger.read(lambda tx: certificates.by_number(tx, NUMBER)) == before
        assert attend(be) == 0

    def test_what_the_participant_has_confirmed_only_it_can_end(self, three: Three) -> None:
        ru, be, by = three
        alert = raise_alert(by, OFFICER, subject="forged", first=FORGED, reason="x")
        settle_all(ru, be, by)
        say_of(ru, alert, "confirmed", OFFICER, reason="never issued")
        settle_all(ru, be, by)

        assert rules(lambda: say_of(by, alert, "withdrawn", OFFICER, reason="x")) == ["KP-W-006"]
        say_of(ru, alert, "denied", OFFICER, reason="issued after all")

    def test_what_is_warned_of_is_answered_by_a_person(self, three: Three) -> None:
        ru, be, by = three
        raise_alert(ru, OFFICER, subject="stolen-goods", first=NUMBER, reason="robbed")
        ask(be, NUMBER, OFFICER)

        settle_all(ru, be, by)

        assert asked(be).answer is None
        assert numbers(ru, "inquiries") == [NUMBER]

    def test_rows_of_a_certificate_belong_together_wherever_they_stand(self, three: Three) -> None:
        ru = three[0]
        made = ru.ledger.read(lambda tx: table.to_csv(rows(tx, chosen(tx, None))))
        read = [
            r | {"number": f"RU0003{r['number'][-4:]}"}
            for r in csv.DictReader(io.StringIO(made, newline=""))
        ]
        by_heading = sorted(read, key=lambda r: r["hs"])

        steps = import_table(ru, table.to_csv(by_heading).encode(), OFFICER, apply=True)

        assert {step.will for step in steps} == {"issue"}
        for step in steps:
            wanted = sum(Decimal(r["carats"]) for r in read if r["number"] == step.number)
            assert certificate(ru, step.number).body["totals"]["carats"] == str(wanted)

    def test_rows_that_contradict_each_other_and_words_that_mean_nothing(
        self, three: Three
    ) -> None:
        ru = three[0]
        made = ru.ledger.read(lambda tx: table.to_csv(rows(tx, chosen(tx, None))))
        read = [
            r | {"number": "RU00030000"}
            for r in csv.DictReader(io.StringIO(made, newline=""))
            if r["number"] == NUMBER
        ]
        read[1]["to"] = "BY"
        (step,) = import_table(ru, table.to_csv(read).encode(), OFFICER, apply=True)
        assert (step.will, step.code, step.pointer) == ("refused", "not-csv", "/to")
        read[1]["to"] = read[0]["to"]
        mixed = [r | {"mixed_origin": "ja"} for r in read]
        (step,) = import_table(ru, table.to_csv(mixed).encode(), OFFICER, apply=True)
        assert (step.code, step.pointer) == ("schema-invalid", "/mixed_origin")
        for raw in (b"number;issued_by\nRU1;RU\n", b"number,issued_by,number\nRU1,RU,RU1\n"):
            with pytest.raises(RefusedError):
                import_table(ru, raw, OFFICER, apply=False)

    def test_a_document_that_follows_its_paper_keeps_the_account(self, three: Three) -> None:
        ru, be, by = three
        (third,) = shipments(start=2)
        number, carats = third["number"], third["totals"]["carats"]
        today = be.clock.now().date().isoformat()

        def admit(carats: str, number: str = number, **told: str) -> str:
            return admit_paper(
                be, number, OFFICER, issuer="RU", carats=carats, received_on=today, **told
            )

        later = (be.clock.now().date() + timedelta(days=2)).isoformat()
        assert rules(lambda: admit("1.00", "RU00039999", issued_on=later)) == ["KP-F-004"]
        admit("5.00")
        issue(be, [re_export({"number": number, "carats": "4.00"})], OFFICER)
        issue(ru, [third], OFFICER)
        settle_all(ru, be, by)

        assert state(be, number) == "presented"
        assert str(be.ledger.read(lambda tx: certificates.came_in(tx, number))) == "5.00"
        assert rules(lambda: confirm(be, [number], OFFICER)) == ["KP-F-006"]
        assert rules(lambda: present_paper(be, number, OFFICER, issuer="RU")) == ["KP-L-009"]
        assert carats != "5.00"

    def test_who_has_answered_is_not_asked_again_and_a_former_peer_stops_nobody(
        self, three: Three, clock: SetClock
    ) -> None:
        ru, be, by = three
        (to_by,) = shipments("RU", "BY")
        issue(ru, [to_by], OFFICER)
        settle_all(ru, be, by)
        clock.advance(days=31)
        late = numbers(ru, "overdue")
        path = ru.config.home / "peers.toml"
        head, _, rest = path.read_text().partition('\n[[peer]]\nauthority = "BY"')
        path.write_text(head)
        ru.reload_peers(read_config(ru.config.home))

        sent = remind(ru, late, OFFICER)
        settle_all(ru, be)
        for one in sent:
            answer(be, one.number, OFFICER, verdict="not-arrived")
        settle_all(ru, be)

        assert {one.to for one in sent} == {"EU-BE"}
        assert rest
        assert remind(ru, late, OFFICER) == []
        clock.advance(days=30)
        assert remind(ru, late, OFFICER) == []
        details = {i["number"]: i["detail"] for i in worklists.read(ru, "overdue")}
        assert details[NUMBER] == "asked once; answer: not-arrived"
        assert details[to_by["number"]] == "not asked yet; BY is no peer any more"

    def test_a_pattern_of_somebody_elses_letters_is_refused(self, three: Three) -> None:
        change = {"number_pattern": "BY[0-9]{8}"}

        assert rules(lambda: publish(three[0], PROFILE | change, OFFICER)) == ["KP-P-002"]

    def test_what_was_admitted_on_paper_comes_out_again(self, three: Three) -> None:
        be = three[1]
        (out,) = shipments("EU-BE", "RU", start=1)
        admit_sources(be, [out])

        made = be.ledger.read(lambda tx: table.to_csv(on_paper(tx)))

        read = list(csv.DictReader(io.StringIO(made, newline="")))
        assert {r["state"] for r in read} == {"admitted on paper"}
        assert len(read) == len(out["source_certificates"])

    def test_goods_in_dispute_are_held_and_the_dispute_goes_on(self, three: Three) -> None:
        ru, be, by = three
        dispute(be, NUMBER, OFFICER, reason="more", proposed={"parcels": 99})
        raise_alert(by, OFFICER, subject="forged", first=NUMBER, reason="x")
        settle_all(ru, be, by)
        assert state(be) == "held, disputed"

        resolve(ru, NUMBER, OFFICER, consent=True, reason="counted again")
        settle_all(ru, be, by)
        assert state(be) == "held, consented"
        record(be, "release", NUMBER, OFFICER, {"reason": "looked at"})
        amend(be, NUMBER, OFFICER)
        confirm(be, [NUMBER], OFFICER)
        settle_all(ru, be, by)

        assert (state(ru), state(be)) == ("confirmed as amended", "admitted as amended")

    def test_the_account_is_of_the_figures_agreed(self, three: Three) -> None:
        ru, be, by = three
        lines = [{"hs": "7102.31", "carats": "10.00", "value_usd": "100.00"}]
        agreed = {"lines": lines, "totals": {"carats": "10.00", "value_usd": "100.00"}}
        dispute(be, NUMBER, OFFICER, reason="less", proposed=agreed)
        settle_all(ru, be, by)
        resolve(ru, NUMBER, OFFICER, consent=True, reason="agreed")
        settle_all(ru, be, by)
        amend(be, NUMBER, OFFICER)
        confirm(be, [NUMBER], OFFICER)

        assert str(be.ledger.read(lambda tx: certificates.came_in(tx, NUMBER))) == "10.00"
        more = re_export({"number": NUMBER, "carats": "10.01"})
        assert rules(lambda: issue(be, [more], OFFICER)) == ["KP-C-015"]

    def test_backup_and_restore_keep_all_of_it(self, three: Three, tmp_path: Path) -> None:
        ru, be, by = three
        alert = raise_alert(by, OFFICER, subject="forged", first=FORGED, reason="x")
        ask(be, FORGED, OFFICER)
        settle_all(ru, be, by)
        publish(ru, PROFILE, OFFICER)
        home = str(ru.config.home)

        kpnode("--home", home, "backup", str(tmp_path / "b"))
        copy = make_homes(tmp_path / "copy", "RU", "EU-BE", "BY")["RU"]
        kpnode("--home", str(copy), "restore", str(tmp_path / "b"))

        told = json.loads(kpnode("--home", str(copy), "--json", "alert", "show", alert).stdout)
        assert told["standing"] == "raised"
        waiting = json.loads(kpnode("--home", str(copy), "--json", "work", "inquiries").stdout)
        assert [item["number"] for item in waiting["items"]] == [FORGED]
        assert json.loads(kpnode("--home", str(copy), "--json", "profile", "list").stdout)["items"]
