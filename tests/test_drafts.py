"""Drafts and reserved numbers, four eyes, paper without document, tolerance, transit, and time."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from node.authority import OwnAuthority
from node.config import Policy
from node.errors import NotFoundError, RefusedError, RefusedShipmentsError
from node.ledger import acts, certificates, drafts, entries, papers
from node.ledger.rebuild import rebuild
from node.office.confirm import confirm
from node.office.draft import draft, inspect_export, issue_draft, withdraw
from node.office.goods import note_transit, present_paper, record
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node
from tests.nodes import SetClock, admit_sources, shipments
from tests.pairs import settle
from tests.test_cli import errors, result
from tests.test_ledger import audited
from tests.test_life import NUMBER, refused, state, story

ONE, TWO, NOBODY = Officer("Moscow", "Officer 1"), Officer("Moscow", "Officer 2"), Officer()


def refused_shipment(act: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(RefusedShipmentsError) as refusal:
        act()
    found = refusal.value.refusals[0].findings[0]
    return found.code, found.rule


def with_policy(own: OwnAuthority, **policy: Any) -> None:
    own.config = replace(own.config, policy=Policy(**policy))


class TestDrafts:
    def test_a_draft_is_inspected_and_issued(self, ru: OwnAuthority) -> None:
        assert draft(ru, shipments(), ONE) == [NUMBER]
        inspect_export(ru, NUMBER, ONE, found={"parcels": 3}, place="Moscow")
        assert [d.state for d in ru.ledger.read(drafts.listed)] == ["inspected before export"]

        made = issue_draft(ru, NUMBER, TWO)

        assert made.number == NUMBER
        assert ru.ledger.read(drafts.listed) == []
        trail = ru.ledger.read(lambda tx: acts.listed(tx, NUMBER))
        assert [(a.verb, a.officer) for a in trail] == [
            ("draft", "Officer 1"), ("export-inspection", "Officer 1"), ("issue", "Officer 2"),
        ]  # fmt: skip
        assert audited(ru).ok

    def test_what_was_found_before_export_is_what_is_issued(self, ru: OwnAuthority) -> None:
        (shipment,) = shipments()
        carats = Decimal(shipment["totals"]["carats"])
        draft(ru, [shipment], ONE)

        def inspect(**found: Any) -> None:
            inspect_export(ru, NUMBER, ONE, found=found, place="Moscow")

        inspect(totals=shipment["totals"] | {"carats": f"{carats - 1:.2f}"})
        assert refused_shipment(lambda: issue_draft(ru, NUMBER, TWO)) == ("wrong-state", "KP-N-004")
        with_policy(ru, tolerance_carats=Decimal("0.50"))
        assert refused_shipment(lambda: issue_draft(ru, NUMBER, TWO)) == ("wrong-state", "KP-N-004")
        ru.ledger.write(lambda tx: rebuild(tx, ru.name))
        inspect(parcels=shipment["parcels"] + 1)
        assert refused_shipment(lambda: issue_draft(ru, NUMBER, TWO)) == ("wrong-state", "KP-N-004")
        inspect(totals=shipment["totals"] | {"carats": f"{carats - Decimal('0.5'):.2f}"})
        # What one found stays found until another says otherwise.
        assert refused_shipment(lambda: issue_draft(ru, NUMBER, TWO)) == ("wrong-state", "KP-N-004")
        inspect(parcels=shipment["parcels"])

        assert issue_draft(ru, NUMBER, TWO).number == NUMBER

    def test_a_draft_is_checked_like_an_issue(self, ru: OwnAuthority) -> None:
        bad = shipments()[0] | {"destination": "KE"}

        assert refused_shipment(lambda: draft(ru, [bad], ONE))[0] == "not-a-participant"
        assert ru.ledger.read(entries.size) == 0

    def test_a_number_is_reserved_for_its_shipment(self, ru: OwnAuthority) -> None:
        draft(ru, shipments(), ONE)
        other = shipments(start=1)[0] | {"number": NUMBER}

        assert refused_shipment(lambda: draft(ru, shipments(), TWO)) == (
            "number-conflict",
            "KP-N-001",
        )
        assert refused_shipment(lambda: issue(ru, [other], TWO)) == ("number-conflict", "KP-N-001")

    def test_a_withdrawn_number_is_void_for_ever(self, ru: OwnAuthority) -> None:
        draft(ru, shipments(), ONE)
        withdraw(ru, NUMBER, ONE, reason="not compliant")

        assert refused_shipment(lambda: issue_draft(ru, NUMBER, TWO)) == (
            "number-conflict",
            "KP-N-001",
        )
        assert refused_shipment(lambda: issue(ru, shipments(), TWO)) == (
            "number-conflict",
            "KP-N-001",
        )
        assert refused_shipment(lambda: draft(ru, shipments(), TWO)) == (
            "number-conflict",
            "KP-N-001",
        )
        assert refused(lambda: withdraw(ru, NUMBER, ONE, reason="again")) == (
            "wrong-state",
            "KP-N-002",
        )

    def test_an_issued_number_is_not_drafted(self, ru: OwnAuthority) -> None:
        issue(ru, shipments(), ONE)

        assert refused_shipment(lambda: draft(ru, shipments(), ONE)) == (
            "number-conflict",
            "KP-C-003",
        )

    def test_numbers_are_reserved_together_or_not_at_all(self, ru: OwnAuthority) -> None:
        both = [*shipments(start=1), shipments(start=1)[0]]

        assert refused_shipment(lambda: draft(ru, both, ONE))[0] == "number-conflict"
        assert ru.ledger.read(drafts.listed) == []

    def test_what_was_never_drafted_is_not_found(self, ru: OwnAuthority) -> None:
        for act in (
            lambda: issue_draft(ru, "RU1", ONE),
            lambda: withdraw(ru, "RU1", ONE, reason="x"),
            lambda: inspect_export(ru, "RU1", ONE, found={}, place="x"),
        ):
            with pytest.raises(NotFoundError):
                act()

    def test_the_log_alone_makes_drafts_again(self, ru: OwnAuthority) -> None:
        draft(ru, shipments(count=3), ONE)
        withdraw(ru, NUMBER, ONE, reason="x")
        issue_draft(ru, shipments(start=1)[0]["number"], TWO)
        before = ru.ledger.read(_drafts)

        ru.ledger.write(lambda tx: rebuild(tx, ru.name))

        assert ru.ledger.read(_drafts) == before
        assert sorted(s for _, s in before) == ["draft", "issued", "withdrawn"]

    def test_re_exports_are_counted_from_the_log(self, be: OwnAuthority) -> None:
        (shipment,) = shipments("EU-BE", "RU", start=1)  # three sources
        admit_sources(be, [shipment])
        issue(be, [shipment], ONE)
        before = be.ledger.read(_re_exports)

        be.ledger.write(lambda tx: rebuild(tx, be.name))

        assert be.ledger.read(_re_exports) == before
        assert len(before) == 3


def _drafts(tx: Any) -> list[tuple[str, str]]:
    numbers = [s["number"] for s in shipments(count=3)]
    found = [drafts.by_number(tx, n) for n in numbers]
    return [(d.number, d.state) for d in found if d]


def _re_exports(tx: Any) -> list[Any]:
    return sorted(map(tuple, tx.execute("SELECT * FROM re_exports").fetchall()))


class TestPlausibility:
    def test_a_mistyped_value_is_issued_where_nobody_minds(self, ru: OwnAuthority) -> None:
        issue(ru, [cheap()], ONE)

    @pytest.mark.parametrize(
        "limits", [{"least_usd_per_carat": "1.00"}, {"most_usd_per_carat": "20.00"}]
    )
    def test_what_a_carat_is_worth_has_limits(self, ru: OwnAuthority, limits: Any) -> None:
        with_policy(ru, **{name: Decimal(value) for name, value in limits.items()})
        shipment = cheap() if "least_usd_per_carat" in limits else shipments()[0]

        assert refused_shipment(lambda: issue(ru, [shipment], ONE)) == (
            "policy-refused",
            "KP-C-020",
        )
        with_policy(ru, least_usd_per_carat=Decimal("1.00"), most_usd_per_carat=Decimal("100.00"))
        issue(ru, shipments(), ONE)

    @pytest.mark.parametrize(
        "limits",
        ['most_usd_per_carat = "0"', 'least_usd_per_carat = "9"\nmost_usd_per_carat = "1.00"'],
    )
    def test_limits_that_leave_nothing_are_refused(
        self, homes: dict[str, Path], limits: str
    ) -> None:
        with (homes["RU"] / "peers.toml").open("a") as settings:
            settings.write(f"\n[policy]\n{limits}\n")

        (error,) = errors("--home", homes["RU"], "status", code=1)
        assert error["code"] == "bad-config"


def cheap() -> Any:
    """A shipment whose first line is worth a cent."""
    (shipment,) = shipments()
    first, *rest = shipment["lines"]
    lines = [first | {"value_usd": "0.01"}, *rest]
    total = sum(Decimal(line["value_usd"]) for line in lines)
    return shipment | {"lines": lines, "totals": shipment["totals"] | {"value_usd": f"{total:.2f}"}}


class TestFourEyes:
    @pytest.fixture(autouse=True)
    def policy(self, ru: OwnAuthority) -> None:
        with_policy(ru, four_eyes=True)

    def test_who_drafted_does_not_issue(self, ru: OwnAuthority) -> None:
        draft(ru, shipments(), ONE)

        assert refused_shipment(lambda: issue_draft(ru, NUMBER, ONE)) == (
            "policy-refused",
            "KP-N-003",
        )
        assert refused_shipment(lambda: issue_draft(ru, NUMBER, NOBODY))[0] == "policy-refused"
        other_case = Officer("Moscow", "OFFICER  1")
        assert refused_shipment(lambda: issue_draft(ru, NUMBER, other_case))[1] == "KP-N-003"
        assert issue_draft(ru, NUMBER, TWO).number == NUMBER

    def test_nothing_is_issued_without_a_draft(self, ru: OwnAuthority) -> None:
        assert refused_shipment(lambda: issue(ru, shipments(), TWO)) == (
            "policy-refused",
            "KP-N-003",
        )

    def test_a_draft_by_nobody_named_is_no_draft(self, ru: OwnAuthority) -> None:
        with pytest.raises(RefusedError) as refusal:
            draft(ru, shipments(), NOBODY)

        assert refusal.value.code == "policy-refused"
        assert ru.ledger.read(drafts.listed) == []

    def test_a_draft_from_before_the_policy_is_issued_by_nobody(self, ru: OwnAuthority) -> None:
        with_policy(ru, four_eyes=False)
        draft(ru, shipments(), NOBODY)
        with_policy(ru, four_eyes=True)

        assert refused_shipment(lambda: issue_draft(ru, NUMBER, TWO))[0] == "policy-refused"


class TestPaper:
    def test_a_certificate_on_paper_is_presented_already_when_its_document_comes(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        present_paper(be, NUMBER, ONE, issuer="RU", paper="A" * 43)
        assert [p.number for p in be.ledger.read(papers.without_document)] == [NUMBER]
        issue(ru, shipments(), ONE)
        settle(ru, be)

        assert state(be) == "presented"
        assert story(be) == ["record:presentation", "received"]
        assert be.ledger.read(papers.without_document) == []
        be.ledger.write(lambda tx: rebuild(tx, be.name))
        assert state(be) == "presented"

    def test_it_is_presented_once(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        present_paper(be, NUMBER, ONE, issuer="RU", paper=None)
        issue(ru, shipments(), ONE)
        settle(ru, be)

        again = lambda: present_paper(be, NUMBER, ONE, issuer="RU", paper=None)  # noqa: E731
        assert refused(again) == ("wrong-state", "KP-L-009")
        assert refused(lambda: record(be, "presentation", NUMBER, ONE, {})) == (
            "wrong-state",
            "KP-L-009",
        )

    def test_a_paper_of_tomorrow_is_refused(self, be: OwnAuthority) -> None:
        tomorrow = (be.clock.now().date() + timedelta(days=2)).isoformat()
        present = partial(present_paper, be, NUMBER, ONE, issuer="RU", issued_on=tomorrow)

        assert refused(present) == ("issued-in-future", "KP-C-009")

    def test_a_number_of_another_form_is_told(self, be: OwnAuthority) -> None:
        odd = lambda: present_paper(be, "SL4306", ONE, issuer="RU", paper=None)  # noqa: E731

        assert refused(odd) == ("number-pattern", "KP-C-001")

    def test_goods_in_transit_are_on_record_and_nothing_else(self, be: OwnAuthority) -> None:
        note_transit(be, "AO0001", ONE, issuer="AO", carrier="Sample Carrier", seals=["AO1"])

        assert be.ledger.read(entries.size) == 1
        assert be.ledger.read(lambda tx: certificates.by_number(tx, "AO0001")) is None
        assert audited(be).ok


class TestTolerance:
    @pytest.fixture
    def arrived(self, ru: OwnAuthority, be: OwnAuthority) -> OwnAuthority:
        issue(ru, shipments(), ONE)
        settle(ru, be)
        return be

    def found(self, difference: str) -> dict[str, Any]:
        (shipment,) = shipments()
        carats = Decimal(shipment["totals"]["carats"]) + Decimal(difference)
        return {"totals": shipment["totals"] | {"carats": f"{carats:.2f}"}}

    def test_there_is_none_by_default(self, arrived: OwnAuthority) -> None:
        off = lambda: confirm(arrived, [NUMBER], ONE, inspection=self.found("0.01"))  # noqa: E731

        assert refused(off)[0] in ("wrong-state", "sums-differ")

    def test_a_difference_within_it_is_confirmed_and_on_record(self, arrived: OwnAuthority) -> None:
        with_policy(arrived, tolerance_carats=Decimal("0.05"))
        record(arrived, "presentation", NUMBER, ONE, {})

        confirm(arrived, [NUMBER], ONE, inspection=self.found("-0.05"))

        held = arrived.ledger.read(
            lambda tx: certificates.held(tx, certificates.by_number(tx, NUMBER))  # type: ignore[arg-type]
        )
        inspection = held.last["record:inspection"][1]
        assert inspection["tolerance"] == {"carats": "0.05", "value_usd": "0.00"}
        assert inspection["found"]["totals"] == self.found("-0.05")["totals"]
        assert held.last["confirmation"][1]["totals"] == held.body["totals"]

    def test_a_larger_difference_is_a_discrepancy(self, arrived: OwnAuthority) -> None:
        with_policy(arrived, tolerance_carats=Decimal("0.05"))
        off = lambda: confirm(arrived, [NUMBER], ONE, inspection=self.found("0.06"))  # noqa: E731

        assert refused(off)[0] in ("wrong-state", "sums-differ")

    def test_what_is_refused_records_no_inspection_either(self, arrived: OwnAuthority) -> None:
        with_policy(arrived, tolerance_carats=Decimal("0.05"))
        before = arrived.ledger.read(entries.size)
        found = self.found("0.05") | {"seals_intact": False}

        assert refused(lambda: confirm(arrived, [NUMBER], ONE, inspection=found))[1] == "KP-F-005"
        assert arrived.ledger.read(entries.size) == before

    def test_it_holds_for_an_inspection_of_before(self, arrived: OwnAuthority) -> None:
        with_policy(arrived, tolerance_carats=Decimal("0.05"))
        details = {"found": self.found("0.05"), "place": "here"}
        record(arrived, "inspection", NUMBER, ONE, details)

        assert confirm(arrived, [NUMBER], ONE)[0].state == "admitted"


class TestTime:
    @pytest.mark.parametrize(
        ("zone", "moment", "day"),
        [
            ("Pacific/Pago_Pago", "2026-12-31T10:59", "2026-12-30"),
            ("Pacific/Pago_Pago", "2027-01-01T10:59", "2026-12-31"),
            ("UTC", "2026-12-31T23:59", "2026-12-31"),
            ("Asia/Vladivostok", "2026-12-31T14:00", "2027-01-01"),
            ("Pacific/Kiritimati", "2026-12-31T10:00", "2027-01-01"),
            ("Europe/Moscow", "2028-02-28T21:00", "2028-02-29"),
        ],
    )
    def test_the_day_of_issue_is_that_of_the_authority(
        self, ru: OwnAuthority, clock: SetClock, zone: str, moment: str, day: str
    ) -> None:
        clock.moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        node = replace(ru.config.node, timezone=ZoneInfo(zone))
        ru.config = replace(ru.config, node=node)

        issue(ru, shipments(), ONE)

        held = ru.ledger.read(lambda tx: certificates.by_number(tx, NUMBER))
        assert held is not None
        assert held.body["issued_on"] == day
        last = date.fromisoformat(held.body["expires_on"]) - date.fromisoformat(day)
        assert last.days == 60

    def test_two_months_from_new_years_eve_end_in_february(
        self, be: OwnAuthority, clock: SetClock
    ) -> None:
        clock.moment = datetime(2026, 12, 31, 12, tzinfo=UTC)

        admit_sources(be, shipments("EU-BE", "RU"))
        issue(be, shipments("EU-BE", "RU"), ONE)

        (held,) = be.ledger.read(lambda tx: certificates.listed(tx, "exporter", None, "", 1))
        assert held.body["expires_on"] == "2027-02-28"

    def test_the_sixtieth_day_is_good_until_it_ends_where_the_goods_are(
        self, ru: OwnAuthority, be: OwnAuthority, clock: SetClock
    ) -> None:
        issue(ru, shipments(count=2), ONE)
        settle(ru, be)
        held = be.ledger.read(lambda tx: certificates.by_number(tx, NUMBER))
        assert held is not None
        last = date.fromisoformat(held.body["expires_on"])
        clock.moment = datetime(last.year, last.month, last.day, 23, 59, 59, tzinfo=UTC)
        record(be, "presentation", NUMBER, ONE, {})
        clock.advance(seconds=1)

        late = lambda: record(be, "presentation", shipments(start=1)[0]["number"], ONE, {})  # noqa: E731
        assert refused(late) == ("dates-inconsistent", "KP-L-015")


class TestCommands:
    def test_from_draft_to_issue(self, homes: dict[str, Path]) -> None:
        ru = homes["RU"]
        text = json.dumps(shipments(count=2))
        with (ru / "peers.toml").open("a") as settings:
            settings.write("\n[policy]\nfour_eyes = true\n")

        drafted = result("--home", ru, "draft", "make", "-", "--officer", "1", stdin=text)
        number, other = drafted["drafted"]
        result("--home", ru, "draft", "inspect", number, "--found", "-", "--place", "M", stdin="{}")
        (error,) = errors("--home", ru, "draft", "issue", number, "--officer", "1", code=4)
        issued = result("--home", ru, "draft", "issue", number, "--officer", "2")
        result("--home", ru, "draft", "withdraw", other, "--reason", "not compliant")

        assert error["code"] == "policy-refused"
        assert issued["issued"][0]["number"] == number
        assert result("--home", ru, "draft", "list")["items"] == []
        assert errors("--home", ru, "draft", "issue", other, "--officer", "2", code=5)

    def test_paper_and_transit(self, homes: dict[str, Path]) -> None:
        be = homes["EU-BE"]

        done = result("--home", be, "present", NUMBER, "--from", "RU")
        listed = result("--home", be, "certificate", "papers")["items"]
        passing = ("--from", "AO", "--carrier", "C", "--seal", "S1", "--seal", "S2")

        assert done["state"] == "presented without announcement"
        assert [item["number"] for item in listed] == [NUMBER]
        assert result("--home", be, "transit", "AO0001", *passing)["number"] == "AO0001"

    def test_what_time_has_brought_about_is_shown(
        self, homes: dict[str, Path], clock: SetClock
    ) -> None:
        clock.advance(days=-70)
        keys = homes["RU"] / "keys" / "RU.jwks.json"
        published = json.loads(keys.read_text("utf-8"))
        for key in published["keys"]:
            key["kp_not_before"] -= 100 * 86400
        keys.write_text(json.dumps(published), "utf-8")
        with open_node(homes["RU"], clock=clock) as own:
            issue(own, shipments(), ONE)

        (item,) = result("--home", homes["RU"], "certificate", "list")["items"]

        assert item["attention"] == "expired unconfirmed"


def test_a_refusal_names_the_place_of_each(ru: OwnAuthority, be: OwnAuthority) -> None:
    issue(ru, shipments(count=2), ONE)
    settle(ru, be)
    confirm(be, [shipments(start=1)[0]["number"]], ONE)

    with pytest.raises(RefusedError) as refusal:
        confirm(be, [s["number"] for s in shipments(count=2)], ONE)

    assert refusal.value.index == 1


def test_what_is_no_certificate_yet_says_what_it_is(ru: OwnAuthority, be: OwnAuthority) -> None:
    draft(ru, shipments(), ONE)
    present_paper(be, NUMBER, ONE, issuer="RU", paper=None)

    for own, said in ((ru, "is a draft (draft)"), (be, "only the paper of")):
        with pytest.raises(NotFoundError, match=re.escape(said)):
            record(own, "inspection", NUMBER, ONE, {"found": {}, "place": "x"})
