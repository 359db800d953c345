"""Full and read-only disks, clocks that jump, a month without a link, two hosts cut off."""

import asyncio
import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from node.authority import OwnAuthority
from node.errors import ConfigError, LedgerUnavailableError, NodeError
from node.exchange import backoff
from node.exchange.send import Sender
from node.ids import Authority
from node.ledger import entries, peers
from node.office.confirm import confirm
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node
from tests.machine import Disk, needs, needs_root, run, small_disk
from tests.nodes import SetClock, kpnode, make_homes, opened, shipments
from tests.serving import courier, deliver, listening
from tests.test_cli import run as command_line
from tests.test_exchange import certificate, incidents, state
from tests.test_kill import NEVER, ROOT, acknowledged, command, wait_until
from tests.test_ledger import audited
from tests.test_pull_and_carry import agree

RU, BE = Authority("RU"), Authority("EU-BE")


def numbered(count: int, start: int) -> list[Any]:
    template = shipments()[0]
    return [dict(template, number=f"RU{80000000 + start + n}") for n in range(count)]


def doctor(home: Path) -> list[dict[str, str]]:
    items: list[dict[str, str]] = json.loads(
        command_line("--json", "--home", home, "doctor").stdout
    )["items"]
    return items


class TestDisk:
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Disk]:
        with small_disk(tmp_path / "disk") as disk:
            yield disk

    @pytest.fixture
    def on_disk(self, disk: Disk, homes: dict[str, Path]) -> dict[str, Path]:
        """EU-BE's home stands on the small disk."""
        moved = disk.folder / "EU-BE"
        shutil.copytree(homes["EU-BE"], moved)
        return homes | {"EU-BE": moved}

    def refusal(self, own: OwnAuthority, lot: list[Any]) -> str | None:
        try:
            issue(own, lot, Officer())
        except LedgerUnavailableError as error:
            return str(error)
        return None

    def test_a_full_disk_issues_nothing_or_all_and_goes_on_once_there_is_room(
        self, disk: Disk, homes: dict[str, Path], clock: SetClock
    ) -> None:
        home = disk.folder / "RU"
        shutil.copytree(homes["RU"], home)
        with open_node(home, clock=clock) as own:
            disk.fill(leave_bytes=600 * 1024)
            done = 0
            while (refused := self.refusal(own, numbered(20, 20 * done))) is None:
                done += 1
            assert "full" in refused
            assert 0 < done < 200
            assert own.ledger.read(entries.size) == 20 * done
            assert audited(own).ok
            disk.free()

            issue(own, numbered(20, 20 * done), Officer())

            assert own.ledger.read(entries.size) == 20 * (done + 1)
            assert audited(own).ok

    async def test_a_recipient_without_room_says_later_and_gets_it_once_there_is(
        self, disk: Disk, on_disk: dict[str, Path], clock: SetClock
    ) -> None:
        with opened(on_disk, clock) as nodes:
            ru, be = nodes["RU"], nodes["EU-BE"]
            async with listening(ru), listening(be):
                assert (await deliver(ru, "EU-BE")).error is None
                issue(ru, numbered(500, 0), Officer())
                disk.fill()

                refused = await deliver(ru, "EU-BE")

                assert "503 paused" in str(refused.error)
                assert be.ledger.read(entries.size) == 0
                disk.free()
                done = await deliver(ru, "EU-BE")
                back = await deliver(be, "RU")
        assert (done.delivered, done.error, back.error) == (500, None, None)

    async def test_the_couriers_of_a_full_disk_live_on(
        self, disk: Disk, on_disk: dict[str, Path], clock: SetClock
    ) -> None:
        with opened(on_disk, clock) as nodes:
            issue(nodes["RU"], numbered(1, 0), Officer())
            async with listening(nodes["RU"]), listening(nodes["EU-BE"]):
                await deliver(nodes["RU"], "EU-BE")
                number = "RU80000000"
                confirm(nodes["EU-BE"], [number], Officer())
                disk.fill()
                async with courier(nodes["EU-BE"], "RU") as worker:
                    first = await worker.round(heartbeat=True)
                    disk.free()
                    second = await worker.round(heartbeat=True)

            assert first.error is not None
            assert second.error is None
            assert certificate(nodes["RU"], number).state == "confirmed"

    def test_commands_on_a_full_disk_say_so(self, disk: Disk, homes: dict[str, Path]) -> None:
        home = disk.folder / "RU"
        shutil.copytree(homes["RU"], home)
        disk.fill()

        done = command_line(
            "--json", "--home", home, "issue", "-", stdin=json.dumps(shipments(count=20))
        )

        assert done.exit_code == 1
        (error,) = json.loads(done.stdout)["errors"]
        assert error["code"] == "ledger-unavailable"
        assert "full" in error["detail"] or "disk" in error["detail"]
        told = {i["check"]: i["mend"] for i in doctor(home)}
        assert "free space" in told["ledger-unavailable"]
        disk.free()
        kpnode("--home", str(home), "ledger", "verify")

    @pytest.mark.parametrize("folder", ["data", "keys/private"])
    def test_who_may_not_look_into_a_home_is_told_whose_it_is(
        self, homes: dict[str, Path], folder: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: Any) -> list[str]:
            raise PermissionError(13, "Permission denied", str(path))

        # Simulated: this user is root, to whom nothing is forbidden.
        listdir = os.listdir
        shut = homes["RU"] / folder
        monkeypatch.setattr(
            os, "listdir", lambda p=".": refuse(p) if Path(p) == shut else listdir(p)
        )

        done = command_line("--json", "--home", homes["RU"], "issue", "-", stdin="[]")

        (error,) = json.loads(done.stdout)["errors"]
        assert error["code"] == "no-access"
        assert pwd.getpwuid(os.getuid()).pw_name in error["detail"]

    def test_a_backup_without_room_leaves_nothing_behind(
        self, disk: Disk, homes: dict[str, Path], clock: SetClock
    ) -> None:
        with open_node(homes["RU"], clock=clock) as own:
            issue(own, numbered(200, 0), Officer())
        disk.fill(leave_bytes=100 * 1024)

        done = command_line("--json", "--home", homes["RU"], "backup", disk.folder / "b")

        assert done.exit_code == 1
        assert json.loads(done.stdout)["errors"][0]["code"] in (
            "ledger-unavailable",
            "unusable-file",
        )
        assert os.listdir(disk.folder) == ["filler"]

    def test_a_read_only_disk_is_a_clear_error_and_no_harm(
        self, disk: Disk, homes: dict[str, Path]
    ) -> None:
        home = disk.folder / "RU"
        shutil.copytree(homes["RU"], home)
        disk.remount("ro")

        with pytest.raises((ConfigError, NodeError)) as refused, open_node(home):
            pass
        done = command_line("--json", "--home", home, "issue", "-", stdin="[]")

        assert refused.value.code == "ledger-unavailable"
        assert json.loads(done.stdout)["errors"][0]["code"] == refused.value.code
        disk.remount("rw")
        kpnode("--home", str(home), "ledger", "verify")


class TestClock:
    """The clock is the test's (simulated)."""

    @pytest.mark.parametrize("years", [10, -10])
    async def test_a_clock_that_was_years_off_does_no_lasting_harm(
        self, ru: OwnAuthority, be: OwnAuthority, clock: SetClock, years: int
    ) -> None:
        right = clock.moment
        issue(ru, numbered(1, 0), Officer())
        clock.moment = right + timedelta(days=365 * years)
        ru_only = SetClock(clock.moment)
        ru.clock = ru_only
        clock.moment = right
        async with listening(ru), listening(be):
            wrong = await deliver(ru, "EU-BE")
            assert wrong.error is not None
            ru_only.moment = right

            done = await deliver(ru, "EU-BE")

        assert (done.delivered, done.error) == (1, None)
        assert incidents(be, "RU") == []
        assert incidents(ru) == []

    async def test_no_wait_written_by_a_wrong_clock_is_sat_out(
        self, ru: OwnAuthority, clock: SetClock
    ) -> None:
        ru.ledger.write(lambda tx: peers.update(tx, "EU-BE", next_try=ru.now_s() + 10**9))

        async with courier(ru, "EU-BE") as worker:
            _, pause = await worker._due()

        assert pause <= backoff.CAP_S

    def test_a_lease_from_the_future_is_taken_over(self, ru: OwnAuthority, clock: SetClock) -> None:
        clock.advance(days=3650)
        now_s = ru.now_s()
        ru.ledger.write(lambda tx: peers.take_lease(tx, "EU-BE", "sync-1", now_s, now_s + 30))
        clock.advance(days=-3650)
        now_s = ru.now_s()

        assert ru.ledger.write(
            lambda tx: peers.take_lease(tx, "EU-BE", "serve-2", now_s, now_s + 30)
        )

    async def test_small_steps_back_and_forth_lose_nothing(
        self, ru: OwnAuthority, be: OwnAuthority, clock: SetClock
    ) -> None:
        async with listening(ru), listening(be):
            for step in range(12):
                clock.advance(seconds=(-1) ** step * 100)
                issue(ru, numbered(1, step), Officer())
                assert (await deliver(ru, "EU-BE")).error is None
                assert (await deliver(be, "RU")).error is None

        agree(ru, be)


async def test_a_month_without_a_link_ends_with_everything_delivered(
    ru: OwnAuthority, be: OwnAuthority, clock: SetClock
) -> None:
    """The clock is the test's: thirty days pass in seconds, a try every quarter of an hour or less."""
    waits = []
    for day in range(30):
        issue(ru, numbered(10, 10 * day), Officer())
        async with courier(ru, "EU-BE") as worker:
            for _ in range(4):
                failed = await worker.round(heartbeat=False)
                assert failed.error is not None
                waits.append(failed.retry_s)
                clock.advance(hours=6)

    async with listening(ru), listening(be):
        done = await deliver(ru, "EU-BE")
        back = await deliver(be, "RU")

    assert max(waits) <= backoff.CAP_S
    assert (done.delivered, done.error, back.error) == (300, None, None)
    assert (state(ru).attempts, state(ru).last_error) == (0, None)
    agree(ru, be)


async def test_the_bundle_gets_smaller_on_a_slow_link_and_grows_again(
    ru: OwnAuthority, be: OwnAuthority
) -> None:
    issue(ru, numbered(64, 0), Officer())
    sizes = []
    for _ in range(8):
        made = Sender(ru).next_bundle(BE, heartbeat=False)
        assert made is not None
        sizes.append(made.count)
        Sender(ru).halve(BE, made.count)
    assert sizes == [64, 32, 16, 8, 4, 2, 1, 1]

    async with listening(ru), listening(be):
        done = await deliver(ru, "EU-BE")

    assert done.delivered == 64
    assert done.bundles == 7  # 1, 2, 4, 8, 16, 32 and the last
    assert state(ru).batch >= 64


class TestTwoHosts:
    """Two network namespaces of the kernel, joined by one cable that is pulled out."""

    @contextmanager
    def hosts(self) -> Iterator[dict[str, tuple[str, str]]]:
        """Name of the namespace and address, by authority."""
        needs_root()
        ip = needs("ip")
        mark = f"kp{os.getpid()}"
        hosts = {"RU": (f"{mark}a", "10.213.7.1"), "EU-BE": (f"{mark}b", "10.213.7.2")}
        with ExitStack() as stack:
            for name, _ in hosts.values():
                run(ip, "netns", "add", name)
                stack.callback(run, ip, "netns", "delete", name)
            first, second = (name for name, _ in hosts.values())
            run(ip, "-n", first, "link", "add", "eth0", "type", "veth",
                "peer", "name", "eth0", "netns", second)  # fmt: skip
            for name, address in hosts.values():
                run(ip, "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
                run(ip, "-n", name, "link", "set", "lo", "up")
                run(ip, "-n", name, "link", "set", "eth0", "up")
            yield hosts

    def test_hosts_cut_off_from_each_other_catch_up(self, tmp_path: Path) -> None:
        homes = make_homes(tmp_path, "RU", "EU-BE")
        with self.hosts() as hosts, ExitStack() as stack:
            ip = needs("ip")
            for authority, home in homes.items():
                path = home / "peers.toml"
                text = path.read_text()
                for other, (_, address) in hosts.items():
                    with open_node(homes[other]) as own:
                        port = own.config.node.listen.port
                    text = text.replace(f"localhost:{port}", f"{address}:{port}")
                path.write_text(text)
                stack.enter_context(_serving_at(hosts[authority][0], home))
            with open_node(homes["RU"]) as ru, open_node(homes["EU-BE"]) as be:
                issue(ru, numbered(5, 0), Officer())
                wait_until(ru, acknowledged("EU-BE"), 5)
                run(ip, "-n", hosts["RU"][0], "link", "set", "eth0", "down")
                issue(ru, numbered(20, 5), Officer())
                confirm(be, [f"RU{80000000 + n}" for n in range(5)], Officer())
                time.sleep(3)
                assert state(ru).acknowledged == 5
                assert state(be, "RU").acknowledged == 0

                run(ip, "-n", hosts["RU"][0], "link", "set", "eth0", "up")

                wait_until(ru, acknowledged("EU-BE"), 25, patience_s=90)
                wait_until(be, acknowledged("RU"), 5, patience_s=90)
                agree(ru, be)


@contextmanager
def _serving_at(namespace: str, home: Path) -> Iterator[None]:
    """A node inside a network namespace."""
    inside = [needs("ip"), "netns", "exec", namespace, *command(home, NEVER, 1, "serve")]
    with (home / "serve.log").open("a") as log:
        process = subprocess.Popen(inside, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        assert process.stdout.readline(), (home / "serve.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


class TestIsolation:
    async def test_sick_peers_take_no_place_of_healthy_ones(self) -> None:
        from node.exchange.courier import HEALTHY_AT_ONCE, SICK_AT_ONCE, Slots

        slots = Slots()
        stuck = [asyncio.create_task(_hold(slots.of(3))) for _ in range(50)]
        await asyncio.sleep(0)

        async with asyncio.timeout(1):
            for _ in range(HEALTHY_AT_ONCE):
                await slots.of(0).acquire()

        assert sum(not task.done() for task in stuck) == 50
        assert SICK_AT_ONCE < HEALTHY_AT_ONCE
        for task in stuck:
            task.cancel()

    async def test_a_node_stops_gracefully_in_the_middle_of_a_delivery(
        self, tmp_path: Path
    ) -> None:
        """SIGTERM while a recipient stalls: the process ends at once, and nothing is lost."""
        homes = make_homes(tmp_path, "RU", "EU-BE")
        with open_node(homes["RU"]) as own:
            issue(own, numbered(5, 0), Officer())
        asked = asyncio.Event()

        async def stall(reader: Any, writer: Any) -> None:
            await reader.read(100)
            asked.set()
            await reader.read()
            writer.close()

        with open_node(homes["EU-BE"]) as be:
            endpoint = be.config.node.listen
        server = await asyncio.start_server(stall, endpoint.host, endpoint.port)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "node.cli", "--home", str(homes["RU"]), "serve",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
        async with asyncio.timeout(20):
            await asked.wait()
            started = time.monotonic()
            process.terminate()
            code = await process.wait()
        server.close()
        lasted = time.monotonic() - started

        assert code == 0
        assert lasted < 5
        with open_node(homes["RU"]) as ru, open_node(homes["EU-BE"]) as be:
            async with listening(ru), listening(be):
                assert (await deliver(ru, "EU-BE")).delivered == 5


async def _hold(places: asyncio.Semaphore) -> None:
    async with places:
        await asyncio.sleep(3600)
