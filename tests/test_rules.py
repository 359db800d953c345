"""The rules of certificates and confirmations, each by a case that breaks it and nothing else."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.clock import days_after
from node.documents import Draft
from node.domain import certificate
from node.domain.context import Context
from node.domain.judgement import STEPS, judge_content
from node.domain.profiles import Validity
from node.domain.reference import reference
from node.ids import Authority
from node.rulebook import RULES

HERE = Path(__file__).parent
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
EXAMPLE = json.loads(
    (HERE.parent / "schemas/examples/valid/certificate.v1.json").read_text("utf-8")
)["body"]
KNOWN = reference()
CASES = json.loads((HERE / "rules.json").read_text("utf-8"))


def draft(
    body: dict[str, Any], iss: str = "RU", aud: str = "EU-BE", iat: int | None = None
) -> Draft:
    moment = int(NOW.timestamp()) if iat is None else iat
    return Draft("certificate", Authority(iss), (Authority(aud),), moment, body)


def changed(**members: Any) -> dict[str, Any]:
    return json.loads(json.dumps(EXAMPLE)) | members


def findings(document: Draft, context: Context | None = None) -> list[tuple[str, str]]:
    judged = judge_content(document, context or Context(NOW))
    return [(found.rule, found.pointer) for found in judged.findings]


def test_the_example_breaks_no_rule() -> None:
    assert findings(draft(EXAMPLE)) == []


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['rule']}{c['pointer']}")
def test_a_rule_is_broken_where_it_says(case: dict[str, Any]) -> None:
    body = changed(**case.get("set", {}))
    if "line" in case:
        at, members = case["line"]
        body["lines"][at] |= members
    if "drop" in case:
        body.pop(case["drop"])

    assert findings(draft(body)) == [(case["rule"], case["pointer"])]


def test_the_first_failing_step_names_the_code_and_reports_all_of_itself() -> None:
    body = changed(destination="KE", provenance="KP", declaration=None)
    body.pop("declaration")

    assert findings(draft(body)) == [("KP-C-004", "/destination"), ("KP-C-004", "/provenance")]


def test_an_expired_certificate_is_refused_only_when_issuing() -> None:
    body = changed(issued_on="2026-09-01", expires_on="2026-10-01")
    issuing = Context(NOW, issuing=True, today=date(2026, 11, 22))

    assert findings(draft(body)) == []
    assert findings(draft(body), issuing) == [("KP-C-007", "/expires_on")]


def test_a_document_from_the_future_is_refused_beyond_the_clocks_grace() -> None:
    moment = int(NOW.timestamp())

    assert findings(draft(EXAMPLE, iat=moment + 120)) == []
    assert findings(draft(EXAMPLE, iat=moment + 121)) == [("KP-C-009", "")]


def test_a_day_that_has_begun_somewhere_is_not_the_future() -> None:
    late = Context(datetime(2026, 11, 21, 10, 0, tzinfo=UTC))
    early = Context(datetime(2026, 11, 21, 9, 59, tzinfo=UTC))
    iat = int(early.now.timestamp())

    assert findings(draft(EXAMPLE, iat=iat), late) == []
    assert findings(draft(EXAMPLE, iat=iat), early) == [("KP-C-009", "/issued_on")]


def test_mainland_and_hong_kong_may_exchange_within_one_participant() -> None:
    body = changed(
        number="CN0001", participant="CN", issued_by={"authority": "CN"}, provenance="CN",
        destination="CN", mining_origins=["CN"],
    )  # fmt: skip

    assert findings(draft(body, "CN", "CN-HK")) == []
    assert findings(draft(body, "CN", "EU-BE")) == [("KP-C-006", "/destination")]


def test_greenland_and_hong_kong_lie_within_their_participants() -> None:
    assert KNOWN.lies_within("GL", "EU")
    assert KNOWN.lies_within("HK", "CN")
    assert not KNOWN.lies_within("GB", "EU")


@pytest.mark.parametrize(
    ("code", "day", "status"),
    [
        ("CF", "2013-05-22", "active"),
        ("CF", "2013-05-23", "suspended"),
        ("CF", "2015-07-17", "restricted"),
        ("CF", "2024-11-15", "active"),
        ("CM", "2012-08-13", None),
        ("CM", "2012-08-14", "active"),
        ("NA", "2026-11-22", "active"),
        ("NO", "2026-11-22", "active"),
        ("KP", "2026-11-22", None),
    ],
)
def test_a_participants_standing_is_that_of_the_day(
    code: str, day: str, status: str | None
) -> None:
    row = KNOWN.standing(code, date.fromisoformat(day))

    assert (row.status if row else None) == status


def test_goods_of_a_suspended_participant_are_embargoed() -> None:
    body = changed(
        number="CF0001", participant="CF", issued_by={"authority": "CF"}, provenance="CF",
        mining_origins=["CF"], issued_on="2014-01-01", expires_on="2014-02-01",
    )  # fmt: skip

    assert findings(draft(body, "CF")) == [
        ("KP-C-017", "/mining_origins/0"),
        ("KP-C-016", "/provenance"),
    ]


def test_there_are_sixty_participants_today() -> None:
    today = date(2026, 11, 22)

    assert len(KNOWN.participants_on(today)) == 60


@pytest.mark.parametrize(
    ("rule", "issued", "last"),
    [
        (Validity(days=60), "2026-11-22", "2027-01-21"),
        (Validity(months=2), "2026-11-22", "2027-01-22"),
        (Validity(months=2), "2026-12-31", "2027-02-28"),
        (Validity(months=2), "2023-12-31", "2024-02-29"),
        (Validity(months=2), "2026-07-31", "2026-09-30"),
    ],
)
def test_the_last_day_of_validity(rule: Validity, issued: str, last: str) -> None:
    assert rule.last_day(date.fromisoformat(issued)) == date.fromisoformat(last)


@pytest.mark.parametrize(
    ("day", "days", "expected"),
    [("0001-01-01", -1, "0001-01-01"), ("9999-12-31", 60, "9999-12-31"), ("2028-02-28", 1, "2028-02-29")],
)  # fmt: skip
def test_days_end_with_the_calendar(day: str, days: int, expected: str) -> None:
    assert days_after(date.fromisoformat(day), days).isoformat() == expected


def test_a_number_outside_the_announced_ranges_is_out_of_range() -> None:
    day = date(2026, 11, 22)
    announced = replace(KNOWN.profile("SL", day), ranges=(("SL004000", "SL004999"),))

    judged = [announced.in_range(n) for n in ("SL004306", "SL004999", "SL005000", "SL4306")]

    assert judged == [True, True, False, False]
    assert KNOWN.profile("SL", day).in_range("SL4306")


def test_an_issuer_without_a_profile_is_given_the_longer_rule() -> None:
    day = date(2026, 11, 22)

    assert KNOWN.profile("RU", day).longest(day) == date(2027, 1, 22)
    assert KNOWN.profile("CN", day).longest(day) == date(2027, 1, 21)
    assert KNOWN.profile("EU", day).longest(day) == date(2027, 1, 22)
    assert KNOWN.profile("RU", day).validity.last_day(day) == date(2027, 1, 21)


@given(st.lists(st.decimals("0.01", "99999", places=2), min_size=1, max_size=20))
def test_exact_sums_agree_and_a_cent_more_does_not(values: list) -> None:
    lines = [{"hs": "7102.31", "carats": f"{v:.2f}", "value_usd": f"{v:.2f}"} for v in values]
    total = sum(values)
    good = changed(lines=lines, totals={"carats": f"{total:.2f}", "value_usd": f"{total:.2f}"})
    more = f"{total + type(total)('0.01'):.2f}"
    bad = changed(lines=lines, totals={"carats": more, "value_usd": f"{total:.2f}"})

    assert findings(draft(good)) == []
    assert findings(draft(bad)) == [("KP-C-011", "/totals/carats")]


def test_headings_in_scope_are_the_three() -> None:
    assert certificate.IN_SCOPE == ("7102.10", "7102.21", "7102.31")


def test_steps_with_a_ledger_are_steps() -> None:
    for steps in STEPS.values():
        assert steps.with_ledger <= set(steps.order)


def test_every_rule_stands_in_the_docs_with_its_code() -> None:
    text = (HERE.parent / "docs" / "rules.md").read_text("utf-8")
    rows = {
        cells[0]: cells[1]
        for line in text.splitlines()
        if line.startswith("| KP-")
        for cells in [[cell.strip(" `") for cell in line.strip("|").split("|")]]
    }

    assert rows == {name: rule.code for name, rule in RULES.items()}
