"""New keys of one's own: announced ahead, in use from a day on, and none of them lost by it."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from node.authority import OwnAuthority
from node.errors import ConfigError, NotFoundError
from node.ledger import certificates, entries, peers
from node.office import hold_peer, own_keys
from node.office.confirm import confirm
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node, read_config, reread
from tests.nodes import SetClock, kpnode, make_homes, opened, shipments
from tests.serving import deliver, listening, until
from tests.test_cli import errors, result, run
from tests.test_exchange import incidents
from tests.test_kill import serving
from tests.test_ledger import audited

OFFICER = Officer("Moscow", "Officer 1")
DAY_S = 24 * 3600


@pytest.fixture
def two(tmp_path: Path, clock: SetClock) -> Iterator[tuple[OwnAuthority, OwnAuthority]]:
    """RU and EU-BE, with a certificate that was exchanged."""
    with opened(make_homes(tmp_path, "RU", "EU-BE"), clock) as nodes:
        issue(nodes["RU"], shipments(), OFFICER)
        yield nodes["RU"], nodes["EU-BE"]


def renew(own: OwnAuthority, *roles: str, in_days: int = 14) -> None:
    begins_s = own.now_s() + in_days * DAY_S
    own_keys.renew(own, roles or ("doc", "msg", "log"), begins_s, "planned", OFFICER)
    reread(own)


def pin(own: OwnAuthority, peer: OwnAuthority) -> None:
    """What the operator of a peer does once the fingerprints have been compared."""
    raw = json.dumps(peer.keys.as_json()).encode()
    hold_peer.renew_keys(
        own, peer.name, key_set=raw, fingerprint=peer.keys.fingerprint, because="planned"
    )
    own.reload_peers(read_config(own.config.home))


async def exchange(ru: OwnAuthority, be: OwnAuthority) -> list[str | None]:
    async with listening(ru), listening(be):
        return [(await deliver(ru, "EU-BE")).error, (await deliver(be, "RU")).error]


def signed_by(own: OwnAuthority, number: str) -> str:
    held = own.ledger.read(lambda tx: certificates.by_number(tx, number))
    assert held is not None
    jws = own.ledger.read(lambda tx: entries.document(tx, held.doc_id))
    assert jws is not None
    header = jws.split(b".")[0] + b"=="
    return str(json.loads(base64.urlsafe_b64decode(header))["kid"])


async def test_keys_announced_ahead_are_pinned_and_take_over_on_their_day(
    two: tuple[OwnAuthority, OwnAuthority], clock: SetClock
) -> None:
    ru, be = two
    assert await exchange(ru, be) == [None, None]
    former = {role: ru.signers[role].kid for role in ru.signers}

    renew(ru)
    second, third = shipments(start=1)[0], shipments(start=2)[0]
    issue(ru, [second], OFFICER)
    assert await exchange(ru, be) == [None, None]
    assert incidents(be, "RU") == ["keys-changed"]
    pin(be, ru)
    assert incidents(be, "RU") == []
    assert {role: ru.signers[role].kid for role in ru.signers} == former

    clock.advance(days=14, seconds=10)
    today = {"issued_on": clock.now().date().isoformat(), "expires_on": None}
    issue(ru, [{k: v for k, v in (third | today).items() if v is not None}], OFFICER)
    assert set(former.values()).isdisjoint(ru.signers[role].kid for role in ru.signers)
    assert signed_by(ru, third["number"]) == ru.signers["doc"].kid
    assert await exchange(ru, be) == [None, None]
    confirm(be, [second["number"], third["number"]], OFFICER)
    assert await exchange(ru, be) == [None, None]

    for number in (second["number"], third["number"]):
        held = ru.ledger.read(lambda tx, n=number: certificates.by_number(tx, n))
        assert held is not None
        assert held.state == "confirmed"
    assert audited(ru).ok
    assert audited(be).ok
    clock.advance(days=2)
    assert {own_keys.state(k, ru.now_s(), k.kid in former.values()) for k in ru.keys.keys.values()
            if k.kid in former.values()} == {"retired"}  # fmt: skip


async def test_a_peer_that_has_not_pinned_them_takes_all_of_it_once_it_has(
    two: tuple[OwnAuthority, OwnAuthority],
) -> None:
    ru, be = two
    assert await exchange(ru, be) == [None, None]
    renew(ru, in_days=0)
    issue(ru, shipments(start=1), OFFICER)

    refused, _ = await exchange(ru, be)
    assert "bad-signature" in str(refused)
    pin(be, ru)
    assert await exchange(ru, be) == [None, None]

    assert be.ledger.read(lambda tx: certificates.by_number(tx, "RU00010119")) is not None


async def test_a_revoked_key_counts_no_more_and_what_was_logged_stays(
    two: tuple[OwnAuthority, OwnAuthority], clock: SetClock
) -> None:
    ru, be = two
    assert await exchange(ru, be) == [None, None]
    lost = ru.signers["doc"].kid
    with pytest.raises(ConfigError) as last:
        own_keys.revoke(ru, lost, "the safe was open", OFFICER)
    issue(ru, shipments(start=1), OFFICER)  # signed with it, and not there yet
    renew(ru, "doc", in_days=0)
    own_keys.revoke(ru, lost, "the safe was open", OFFICER)
    reread(ru)
    pin(be, ru)
    assert await exchange(ru, be) == [None, None]

    kept = ru.ledger.read(lambda tx: certificates.by_number(tx, "RU00010119"))
    assert kept is not None
    assert last.value.code == "last-key"
    assert [e["code"] for e in kept.errors] == ["revoked-key"]
    assert audited(ru).ok
    assert audited(be).ok
    confirm(be, ["RU00010118"], OFFICER)
    trail = ru.ledger.read(
        lambda tx: [
            row["verb"] for row in tx.execute("SELECT verb FROM acts WHERE verb LIKE 'keys%'")
        ]
    )
    assert sorted(trail) == ["keys renew", "keys revoke"]
    for kid, code in ((lost, "already-revoked"), ("A" * 43, "not-found")):
        with pytest.raises((ConfigError, NotFoundError)) as refused:
            own_keys.revoke(ru, kid, "again", OFFICER)
        assert refused.value.code == code


def test_what_is_under_way_is_made_anew_and_two_do_not_meet(
    two: tuple[OwnAuthority, OwnAuthority],
) -> None:
    ru, _ = two
    ru.ledger.write(lambda tx: peers.update(tx, "EU-BE", in_flight="x"))
    own_keys.renew(ru, ["msg"], ru.now_s(), "planned", OFFICER)

    state = ru.ledger.read(lambda tx: peers.state(tx, "EU-BE"))
    assert state is not None
    assert state.in_flight is None
    with pytest.raises(ConfigError) as changed:  # it still has the set of before
        own_keys.renew(ru, ["msg"], ru.now_s(), "planned", OFFICER)
    assert changed.value.code == "key-set-changed"
    reread(ru)
    renew(ru, "log")
    with pytest.raises(ConfigError) as waits:
        renew(ru, "log")
    assert waits.value.code == "renewal-waits"


def test_a_backup_of_before_is_restored_under_the_renewed_keys(tmp_path: Path) -> None:
    home = make_homes(tmp_path, "RU", "EU-BE")["RU"]
    result("--home", home, "issue", "-", stdin=json.dumps(shipments()))
    kpnode("--home", str(home), "backup", str(tmp_path / "b"))
    result("--home", home, "keys", "renew", "--now")

    kpnode("--home", str(home), "restore", str(tmp_path / "b"))

    with open_node(home, signing=False) as own:
        assert own.ledger.read(entries.size) == 1


def about(url: str) -> Any:
    with urllib.request.urlopen(f"{url}/.well-known/kpx.json") as answer:
        return json.load(answer)


async def test_a_running_node_takes_them_over_by_itself(tmp_path: Path) -> None:
    home = make_homes(tmp_path, "RU", "EU-BE")["RU"]
    with serving(home):
        url = read_config(home).node.url

        def published() -> list[str]:
            with urllib.request.urlopen(f"{url}/.well-known/jwks.json") as answer:
                return [key["kid"] for key in json.load(answer)["keys"]]

        assert len(published()) == 3
        made = result("--home", home, "keys", "renew", "--now", "--role", "msg", "--role", "log")
        await until(lambda: len(published()) == 5)
        items = result("--home", home, "keys", "list")["items"]
        vkey = about(url)["log"]["vkey"]

    assert sorted((i["role"], i["state"]) for i in items) == [
        ("doc", "signs"), ("log", "retiring"), ("log", "signs"), ("msg", "retiring"), ("msg", "signs"),
    ]  # fmt: skip
    assert made["fingerprint"] == result("--home", home, "keys", "list")["fingerprint"]
    with open_node(home) as own:
        raw = own.keys.keys[own.signers["log"].kid].raw
    assert base64.b64decode(vkey.split("+", 2)[2])[1:] == raw


def test_wrong_input_is_told(tmp_path: Path) -> None:
    home = make_homes(tmp_path, "RU", "EU-BE")["RU"]
    yesterday = (SetClock().now() - timedelta(days=1)).date().isoformat()

    for options in (
        ["--from", yesterday],
        ["--from", "2030-13-01"],
        ["--now", "--from", "2030-01-01"],
    ):
        assert run("--home", home, "keys", "renew", *options).exit_code == 2
    (unknown,) = errors("--home", home, "keys", "revoke", "-" * 43, "--because", "x", code=3)
    assert unknown["code"] == "not-found"
    (no_reason,) = errors("--home", home, "keys", "renew", "--because", " ", code=1)
    assert no_reason["code"] == "no-reason"
    assert len(list((home / "keys" / "private").iterdir())) == 3
