"""New keys of one's own: announced ahead, in use from a day on, and none of them lost by it."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from node.authority import OwnAuthority
from node.errors import ConfigError, NotFoundError
from node.exchange import carry
from node.exchange.send import Sender
from node.ids import Authority
from node.ledger import certificates, entries, peers
from node.office import hold_peer, own_keys
from node.office.confirm import confirm
from node.office.issue import issue
from node.office.officer import Officer
from node.watch.peers import days_left
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
    words = {k.kid: own_keys.state(ru.keys, k, ru.now_s()) for k in ru.keys.keys.values()}
    assert {words[kid] for kid in former.values()} == {"retired"}


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


async def test_a_revoked_log_key_vouches_for_nothing_any_more(
    two: tuple[OwnAuthority, OwnAuthority],
) -> None:
    """Not even for the checkpoint of the present size, which was signed with it and is stored."""
    ru, be = two
    for _ in range(2):
        assert await exchange(ru, be) == [None, None]
    lost = ru.signers["log"].kid
    renew(ru, "log", in_days=0)
    own_keys.revoke(ru, lost, "the safe was open", OFFICER)
    reread(ru)
    pin(be, ru)

    for _ in range(3):
        assert await exchange(ru, be) == [None, None]

    assert incidents(be, "RU") == []
    assert audited(ru).ok
    assert audited(be).ok


async def test_a_receipt_that_was_lost_before_its_key_was_revoked_is_given_anew(
    two: tuple[OwnAuthority, OwnAuthority],
) -> None:
    ru, be = two
    carry.take_in(be, carry.make(ru, Authority("EU-BE")).raw)  # and its receipt is lost
    lost = be.signers["msg"].kid
    renew(be, "msg", in_days=0)
    own_keys.revoke(be, lost, "the safe was open", OFFICER)
    reread(be)
    pin(ru, be)

    taken = carry.take_in(be, carry.make(ru, Authority("EU-BE")).raw)
    carry.take_in(ru, taken.answer or b"")

    assert [r["outcome"] for r in taken.results] == ["duplicate"]
    assert await exchange(ru, be) == [None, None]


@pytest.mark.parametrize("role", ["msg", "log"])
async def test_a_manifest_made_in_the_last_moment_with_a_revoked_key_is_made_anew(
    two: tuple[OwnAuthority, OwnAuthority], role: str
) -> None:
    ru, be = two
    assert await exchange(ru, be) == [None, None]
    issue(ru, shipments(start=1), OFFICER)
    lost = ru.signers[role].kid
    renew(ru, role, in_days=0)
    signers, keys = ru.signers, ru.keys
    own_keys.revoke(ru, lost, "the safe was open", OFFICER)
    # A node that has not heard of it yet, and still has the former key.
    own_keys_before = replace(ru, signers={**signers, role: signers._loaded[lost]}, keys=keys)  # type: ignore[attr-defined]
    Sender(own_keys_before).next_bundle(Authority("EU-BE"), heartbeat=False)
    reread(ru)
    pin(be, ru)

    assert await exchange(ru, be) == [None, None]


async def test_who_only_revokes_is_noticed_as_well(
    two: tuple[OwnAuthority, OwnAuthority],
) -> None:
    ru, be = two
    renew(ru, "doc", in_days=0)
    pin(be, ru)
    former = next(k.kid for k in ru.keys.with_role("doc"))
    own_keys.revoke(ru, former, "the safe was open", OFFICER)
    reread(ru)

    assert await exchange(ru, be) == [None, None]
    assert incidents(be, "RU") == ["keys-changed"]
    pin(be, ru)
    assert incidents(be, "RU") == []
    (count,) = be.ledger.read(
        lambda tx: tx.execute("SELECT count(*) FROM acts WHERE verb = 'peer renew'").fetchone()
    )
    assert count == 2


def test_whose_successor_is_revoked_goes_on(
    two: tuple[OwnAuthority, OwnAuthority], clock: SetClock
) -> None:
    ru, _ = two
    former = ru.signers["doc"].kid

    def newest() -> str:
        return ru.keys.with_role("doc")[-1].kid

    for in_days in (14, 30):
        renew(ru, "doc", in_days=in_days)
        own_keys.revoke(ru, newest(), "changed our mind", OFFICER)
        reread(ru)
        assert ru.keys.keys[former].retire_after is None  # type: ignore[index]
    renew(ru, "doc", in_days=0)
    own_keys.revoke(ru, newest(), "it leaked at once", OFFICER)
    reread(ru)
    clock.advance(days=400)

    assert ru.signers["doc"].kid == former
    assert days_left(ru.keys, ru.now_s()) is None


def test_what_has_retired_does_not_come_back(
    two: tuple[OwnAuthority, OwnAuthority], clock: SetClock
) -> None:
    ru, _ = two
    first = ru.signers["doc"].kid
    renew(ru, "doc", in_days=0)
    second = ru.signers["doc"].kid
    clock.advance(days=100)
    ended = ru.keys.keys[first].retire_after  # type: ignore[index]
    renew(ru, "doc", in_days=0)
    own_keys.revoke(ru, second, "the safe was open", OFFICER)
    reread(ru)

    assert ended is not None
    assert ru.keys.keys[first].retire_after == ended  # type: ignore[index]
    assert own_keys.state(ru.keys, ru.keys.keys[first], ru.now_s()) == "retired"  # type: ignore[index]


def test_a_coming_key_that_is_missing_is_told_at_once(
    two: tuple[OwnAuthority, OwnAuthority],
) -> None:
    ru, _ = two
    renew(ru, "doc")
    newest = ru.keys.with_role("doc")[-1]
    (ru.config.node.private_keys / f"{newest.kid}.pem").unlink()

    with pytest.raises(ConfigError) as missing:
        reread(ru)

    assert missing.value.code in ("keys-missing", "bad-key-file")


def test_signers_follow_a_clock_that_is_set_right(
    two: tuple[OwnAuthority, OwnAuthority], clock: SetClock
) -> None:
    ru, _ = two
    former = ru.signers["doc"].kid
    renew(ru, "doc")
    assert days_left(ru.keys, ru.now_s()) is None
    clock.advance(days=20)
    ahead = ru.signers["doc"].kid
    reread(ru)
    clock.advance(days=-20)

    assert (ahead == former, ru.signers["doc"].kid) == (False, former)


async def test_what_the_log_has_stays_authentic(
    two: tuple[OwnAuthority, OwnAuthority], tmp_path: Path
) -> None:
    ru, _ = two
    held = ru.ledger.read(lambda tx: certificates.by_number(tx, "RU00010118"))
    assert held is not None
    raw = ru.ledger.read(lambda tx: entries.document(tx, held.doc_id))
    (tmp_path / "d").write_bytes(raw or b"")
    lost = ru.signers["doc"].kid
    renew(ru, "doc", in_days=0)
    own_keys.revoke(ru, lost, "the safe was open", OFFICER)

    assert result("--home", ru.config.home, "verify", tmp_path / "d")["authentic"] is True


def test_what_is_under_way_is_made_anew_and_two_do_not_meet(
    two: tuple[OwnAuthority, OwnAuthority],
) -> None:
    ru, _ = two
    ru.ledger.write(lambda tx: peers.update(tx, "EU-BE", in_flight="x"))
    own_keys.renew(ru, ["msg"], ru.now_s(), "planned", OFFICER)

    state = ru.ledger.read(lambda tx: peers.state(tx, "EU-BE"))
    assert state is not None
    assert state.in_flight is None
    files = sorted(ru.config.node.private_keys.iterdir())
    with pytest.raises(ConfigError) as changed:  # it still has the set of before
        own_keys.renew(ru, ["msg"], ru.now_s(), "planned", OFFICER)
    assert changed.value.code == "key-set-changed"
    assert sorted(ru.config.node.private_keys.iterdir()) == files
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
