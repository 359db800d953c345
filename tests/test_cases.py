"""Real cases of the scheme as stories, on their own days (section 6 of the domain brief).

The clock is simulated; nodes, keys, ledgers and rules are real. People and firms are samples.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from node.authority import OwnAuthority
from node.errors import RefusedError, RefusedShipmentsError
from node.ledger import certificates, inquiries, register
from node.office.alert import raise_alert
from node.office.confirm import confirm
from node.office.goods import present_paper, record
from node.office.import_table import import_table
from node.office.inquire import answer, ask
from node.office.issue import issue
from node.office.officer import Officer
from node.office.profile import publish
from node.office.remind import remind
from node.office.table import COLUMNS
from node.watch import worklists
from tests.nodes import SetClock, make_homes, opened, shipments
from tests.pairs import settle_all

OFFICER = Officer("Office", "Officer 7")
LONG_AGO = datetime(2003, 1, 1, tzinfo=UTC)


@contextmanager
def nodes_on(folder: Path, day: str, *authorities: str) -> Iterator[tuple[SetClock, Any]]:
    """Nodes of some authorities on a day of the past or future; their keys are old enough."""
    clock = SetClock(datetime.fromisoformat(f"{day}T12:00:00+00:00"))
    homes = make_homes(folder, *authorities, in_use_since=LONG_AGO)
    with opened(homes, clock) as nodes:
        yield clock, nodes


def shipment(sender: str, to: str, number: str, **changes: Any) -> dict[str, Any]:
    """A sample shipment of goods mined at the sender's."""
    (sample,) = shipments()
    country = "BE" if sender.startswith("EU") else sender[:2]
    return sample | {
        "from": sender, "to": to, "number": number, "provenance": sender[:2],
        "destination": to[:2], "mining_origins": [country], "mixed_origin": False, **changes,
    }  # fmt: skip


def broken(act: Callable[[], Any]) -> set[tuple[str, str]]:
    """Codes and rules of a refusal."""
    with pytest.raises((RefusedError, RefusedShipmentsError)) as refusal:
        act()
    found = refusal.value
    first = found.refusals[0] if isinstance(found, RefusedShipmentsError) else found
    return {(one.code, one.rule) for one in first.findings}


def state(own: OwnAuthority, number: str) -> str:
    held = own.ledger.read(lambda tx: certificates.by_number(tx, number))
    assert held is not None
    return held.state


def test_the_sierra_leone_number_from_another_years_range(tmp_path: Path) -> None:
    """2015: SL 4306 is of the range of 2014; the issuer says so, and the others are warned."""
    with nodes_on(tmp_path, "2015-11-20", "SL", "EU-BE", "AE") as (_, nodes):
        sl, be, ae = nodes["SL"], nodes["EU-BE"], nodes["AE"]
        ranges = [
            {"first": "SL4200", "last": "SL4399", "from": "2014-01-01", "until": "2014-12-31"},
            {"first": "SL4400", "last": "SL4999", "from": "2015-01-01", "until": "2015-12-31"},
        ]
        profile = {
            "from": "2014-01-01", "number_pattern": "SL[0-9]{4,6}", "validity": {"days": 60},
            "statement": "As the scheme demands.", "ranges": ranges,
        }  # fmt: skip
        publish(sl, profile, OFFICER)
        settle_all(sl, be, ae)

        assert broken(lambda: present_paper(be, "SL4306", OFFICER, issuer="SL")) == {
            ("number-range", "KP-C-002")
        }
        ask(be, "SL4306", OFFICER, to="SL", read={"issued_on": "2015-11-02", "carats": "14.55"})
        settle_all(sl, be, ae)
        answer(sl, "SL4306", OFFICER, verdict="not-genuine", remarks="a number of 2014")
        raise_alert(sl, OFFICER, subject="forged", first="SL4306", reason="a number of 2014")
        settle_all(sl, be, ae)

        told = be.ledger.read(lambda tx: inquiries.about(tx, "SL4306"))
        assert [one.verdict for one in told] == ["not-genuine"]
        # At a third authority even a paper that claims to be of 2014 is caught.
        assert broken(
            lambda: present_paper(ae, "SL4306", OFFICER, issuer="SL", issued_on="2014-06-01")
        ) == {("alerted", "KP-W-001")}
        # A genuine number of the year is issued and accepted, with its leading letters as they are.
        issue(sl, [shipment("SL", "EU-BE", "SL4407")], OFFICER)
        settle_all(sl, be, ae)
        assert state(be, "SL4407") == "announced"


def test_the_kenyan_certificate(tmp_path: Path) -> None:
    """2015: certificates of Kenya turn up; Kenya is no participant and can have issued none."""
    with nodes_on(tmp_path, "2015-07-17", "AE", "EU-BE") as (_, nodes):
        found = broken(lambda: present_paper(nodes["AE"], "KE0001234", OFFICER, issuer="KE"))

        assert found == {("not-a-participant", "KP-C-004")}


@pytest.mark.parametrize(("day", "refused"), [("2012-08-13", True), ("2012-08-14", False)])
def test_cameroon_before_and_after_its_admission(tmp_path: Path, day: str, refused: bool) -> None:
    with nodes_on(tmp_path, day, "CM", "EU-BE") as (_, nodes):
        cm, be = nodes["CM"], nodes["EU-BE"]
        goods = shipment("CM", "EU-BE", "CM000001")

        if refused:
            assert broken(lambda: issue(cm, [goods], OFFICER)) == {
                ("not-a-participant", "KP-C-004")
            }
            assert broken(lambda: present_paper(be, "CM000001", OFFICER, issuer="CM")) == {
                ("not-a-participant", "KP-C-004")
            }
        else:
            issue(cm, [goods], OFFICER)
            settle_all(cm, be)
            assert state(be, "CM000001") == "announced"


class TestCentralAfricanRepublic:
    """Suspended 2013-05-23, named zones from 2015-07-17, no approvals from 2019, free in 2024."""

    def evidence(self, zone: str | None, approval: str | None) -> list[dict[str, str]]:
        digest = "QZ4b9Tg2NNvNTyrXfd9uYN2PtWzhQ6YhA6E6eCEHbPo"
        told = {"compliant-zone": zone, "prior-approval": approval}
        return [
            {"kind": kind, "sha256": digest, "reference": text}
            for kind, text in told.items()
            if text
        ] + [{"kind": "picture", "sha256": digest, "reference": "parcel 1, with a scale"}]

    @pytest.mark.parametrize(
        ("day", "zone", "approval", "rules"),
        [
            ("2013-05-22", None, None, set()),
            ("2013-05-23", "Berberati", "KPMT 1", {"KP-C-016", "KP-C-017"}),
            ("2015-07-16", "Berberati", "KPMT 1", {"KP-C-016", "KP-C-017"}),
            ("2015-07-17", None, "KPMT 1", {"KP-C-018"}),
            ("2015-07-17", "Bria", "KPMT 1", {"KP-C-018"}),
            ("2015-07-17", "Berberati", None, {"KP-C-018"}),
            ("2015-07-17", "Berberati", "KPMT 1", set()),
            ("2015-07-17", "Gazi", "KPMT 1", {"KP-C-018"}),
            ("2018-01-15", "Gazi", "KPMT 9", set()),
            ("2019-12-02", "Gazi", None, set()),
            ("2024-11-15", None, None, set()),
        ],
    )
    def test_exports_on_a_day(
        self, tmp_path: Path, day: str, zone: str | None, approval: str | None, rules: set[str]
    ) -> None:
        with nodes_on(tmp_path, day, "CF", "EU-BE") as (_, nodes):
            cf, be = nodes["CF"], nodes["EU-BE"]
            goods = shipment("CF", "EU-BE", "CF000001", evidence=self.evidence(zone, approval))

            if rules:
                found = broken(lambda: issue(cf, [goods], OFFICER))
                assert {rule for _, rule in found} == rules
                assert {code for code, _ in found} == {"embargoed"}
            else:
                issue(cf, [goods], OFFICER)
                settle_all(cf, be)
                assert state(be, "CF000001") == "announced"

    def test_its_goods_are_under_embargo_wherever_they_come_from(self, tmp_path: Path) -> None:
        with nodes_on(tmp_path, "2014-02-01", "CM", "AE") as (_, nodes):
            goods = shipment(
                "CM", "AE", "CM000002", mining_origins=["CF"],
                source_certificates=[{"number": "CF000001", "carats": "7558.33"}],
            )  # fmt: skip
            goods["source_certificates"][0]["carats"] = goods["totals"]["carats"]

            assert broken(lambda: issue(nodes["CM"], [goods], OFFICER)) == {
                ("embargoed", "KP-C-017")
            }


def test_china_mainland_and_hong_kong_run_schemes_of_their_own(tmp_path: Path) -> None:
    with nodes_on(tmp_path, "2026-11-20", "CN", "CN-HK", "RU") as (_, nodes):
        cn, hk, ru = nodes["CN"], nodes["CN-HK"], nodes["RU"]
        profile = {
            "from": "2026-01-01", "number_pattern": "CN[0-9]{8}", "validity": {"days": 60},
            "statement": "As Order 269 demands.",
        }  # fmt: skip
        publish(cn, profile, OFFICER)
        publish(hk, profile | {"number_pattern": "CNHK[0-9]{6}"}, OFFICER)
        settle_all(cn, hk, ru)

        issue(cn, [shipment("CN", "CN-HK", "CN00000001")], OFFICER)
        issue(hk, [shipment("CN-HK", "RU", "CNHK000001")], OFFICER)
        assert broken(lambda: issue(hk, [shipment("CN-HK", "RU", "CN00000002")], OFFICER)) == {
            ("number-pattern", "KP-C-001")
        }
        settle_all(cn, hk, ru)
        confirm(hk, ["CN00000001"], OFFICER)
        settle_all(cn, hk, ru)

        assert state(cn, "CN00000001") == "confirmed"
        assert state(ru, "CNHK000001") == "announced"


def test_northern_ireland_stays_in_the_union_scheme(tmp_path: Path) -> None:
    """From 2021 the United Kingdom has a scheme of its own; goods for Belfast are the Union's."""
    with nodes_on(tmp_path, "2021-01-04", "GB", "EU-BE") as (clock, nodes):
        gb, be = nodes["GB"], nodes["EU-BE"]
        belfast = {"name": "Sample Importer NI", "address": "Belfast", "country": "GB"}

        issue(gb, [shipment("GB", "EU-BE", "GB000001", importer=belfast)], OFFICER)
        settle_all(gb, be)
        confirm(be, ["GB000001"], OFFICER)
        settle_all(gb, be)
        assert state(gb, "GB000001") == "confirmed"

        clock.moment = datetime(2020, 12, 31, 12, tzinfo=UTC)
        assert broken(lambda: issue(gb, [shipment("GB", "EU-BE", "GB000002")], OFFICER)) == {
            ("not-a-participant", "KP-C-004")
        }


def test_hand_carry_to_the_emirates_under_vigilance(tmp_path: Path) -> None:
    with nodes_on(tmp_path, "2026-11-20", "RU", "AE") as (_, nodes):
        ru, ae = nodes["RU"], nodes["AE"]
        path = ae.config.home / "peers.toml"
        because = "hand-carried: original certificate to customs, copy to the passenger"
        path.write_text(
            path.read_text() + f'\n[[vigilance]]\ntransport = "hand_carry"\nbecause = "{because}"\n'
        )
        from node.wiring import read_config

        ae.reload_peers(read_config(ae.config.home))
        carried = {"mode": "hand_carry", "carrier": "Sample Bearer", "reference": "EK 134"}
        issue(ru, [shipment("RU", "AE", "RU00030001", transport=carried)], OFFICER)
        issue(ru, [shipment("RU", "AE", "RU00030002", transport={"mode": "air_freight"})], OFFICER)
        settle_all(ru, ae)

        watched = worklists.read(ae, "vigilance")

        assert [(one["number"], one["detail"]) for one in watched] == [("RU00030001", because)]


def test_exploration_samples_have_a_certificate_like_other_goods(tmp_path: Path) -> None:
    with nodes_on(tmp_path, "2026-11-20", "AO", "EU-BE") as (_, nodes):
        ao, be = nodes["AO"], nodes["EU-BE"]
        amounts = {"carats": "0.42", "value_usd": "0.00"}
        letter = {
            "kind": "letter-of-comfort",
            "sha256": "QZ4b9Tg2NNvNTyrXfd9uYN2PtWzhQ6YhA6E6eCEHbPo",
            "reference": "Technical Guideline 17",
        }
        goods = shipment(
            "AO", "EU-BE", "AO000001", consignment_kind="exploration-sample", evidence=[letter],
            lines=[{"hs": "7102.10", **amounts, "description": "kimberlite, 40 kg"}], totals=amounts,
        )  # fmt: skip

        issue(ao, [goods], OFFICER)
        settle_all(ao, be)
        confirm(be, ["AO000001"], OFFICER)
        settle_all(ao, be)

        assert state(ao, "AO000001") == "confirmed"


def test_a_certificate_that_is_never_confirmed(tmp_path: Path) -> None:
    """Exports that never reached the declared destination (UN A/76, 50c)."""
    with nodes_on(tmp_path, "2026-06-01", "CF", "AE", "EU-BE") as (clock, nodes):
        cf, ae, be = nodes["CF"], nodes["AE"], nodes["EU-BE"]
        issue(cf, [shipment("CF", "AE", "CF000009")], OFFICER)
        settle_all(cf, ae, be)

        clock.advance(days=31)
        late = [item["number"] for item in worklists.read(cf, "overdue")]
        remind(cf, late, OFFICER)
        settle_all(cf, ae, be)
        answer(ae, "CF000009", OFFICER, verdict="not-arrived")
        clock.advance(days=30)
        settle_all(cf, ae, be)
        assert [item["number"] for item in worklists.read(cf, "expired-in-transit")] == late
        assert [item["number"] for item in worklists.read(ae, "never-presented")] == late
        raise_alert(cf, OFFICER, subject="missing-shipment", first="CF000009", reason="never came")
        settle_all(cf, ae, be)

        # Whoever is offered the goods, at the destination or elsewhere, is warned.
        assert be.ledger.read(lambda tx: [a.subject for a in register.on(tx, "CF000009")]) == [
            "missing-shipment"
        ]
        assert broken(lambda: present_paper(be, "CF000009", OFFICER, issuer="CF")) == {
            ("alerted", "KP-W-001")
        }
        assert state(ae, "CF000009") == "held, announced"
        record(ae, "release", "CF000009", OFFICER, {"reason": "nothing is here"})
        too_late = {("dates-inconsistent", "KP-F-004")}
        assert broken(lambda: confirm(ae, ["CF000009"], OFFICER)) == too_late


def test_namibia_is_no_missing_value(tmp_path: Path) -> None:
    with nodes_on(tmp_path, "2026-11-20", "NA", "EU-BE") as (_, nodes):
        na, be = nodes["NA"], nodes["EU-BE"]
        row = dict.fromkeys(COLUMNS, "") | {
            "number": "NA0001", "issued_by": "NA", "provenance": "NA", "mining_origins": "NA",
            "mixed_origin": "no", "destination": "EU", "to": "EU-BE", "exporter": "Sample Namibia",
            "exporter_address": "Windhoek", "exporter_country": "NA", "importer": "Sample Antwerp",
            "importer_address": "Antwerpen", "importer_country": "BE", "parcels": "1",
            "hs": "7102.31", "carats": "10.00", "value_usd": "5002.50", "seals": "NA1",
            "declared_by": "Sample Namibia",
        }  # fmt: skip
        text = ",".join(row) + "\n" + ",".join(row.values()) + "\n"

        (step,) = import_table(na, text.encode(), OFFICER, apply=True)
        settle_all(na, be)

        assert step.will == "issue", step
        held = be.ledger.read(lambda tx: certificates.by_number(tx, "NA0001"))
        assert held is not None
        assert held.body["mining_origins"] == ["NA"]
        assert be.ledger.read(lambda tx: be.reference(tx)).name_of("NA") == "Namibia"
        assert date.fromisoformat(held.body["issued_on"]) == date(2026, 11, 20)
