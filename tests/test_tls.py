"""TLS between nodes, pinned client certificates, renewal while running, nginx in front, and probe."""

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from node.authority import OwnAuthority
from node.config import parse
from node.demo.nodes import free_ports
from node.errors import ConfigError
from node.exchange.probe import probe
from node.ids import Authority
from node.office import hold_peer
from node.office.issue import issue
from node.office.officer import Officer
from node.schema.validation import check
from node.web.peer_listener import about
from node.web.serving import serve
from node.wiring import reread
from tests.certificates import write_certificate
from tests.machine import needs
from tests.nodes import SetClock, make_homes, opened, shipments
from tests.serving import deliver, faulty, listening, until

RU, BE = Authority("RU"), Authority("EU-BE")


def secure(home: Path, peer: Path, *, shows: bool = False, pins: bool = False) -> None:
    """Settings as an operator writes them: https, its own certificate, the peer's trusted."""
    path = home / "peers.toml"
    text = path.read_text("utf-8").replace("http://", "https://")
    own = f'\n[tls]\ncertificate = "tls/{home.name}.pem"\nkey = "tls/{home.name}.key"\n'
    if shows:
        own += 'client_certificate = "tls/client.pem"\nclient_key = "tls/client.key"\n'
    head, table = text.split("\n[[peer]]\n")
    table += f'ca = "{peer}/tls/{peer.name}.pem"\n'
    if pins:
        table += f'client_certificate = "{peer}/tls/client.pem"\n'
    path.write_text(f"{head}{own}\n[[peer]]\n{table}", "utf-8")


@pytest.fixture
def tls_homes(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Path]:
    homes = make_homes(tmp_path / "tls", "RU", "EU-BE")
    options = getattr(request, "param", {})
    for name, home in homes.items():
        write_certificate(home / "tls", name)
        write_certificate(home / "tls", "client")
        other = homes["EU-BE" if name == "RU" else "RU"]
        secure(home, other, **options)
    return homes


@pytest.fixture
def tls_nodes(tls_homes: dict[str, Path]) -> Iterator[dict[str, OwnAuthority]]:
    with opened(tls_homes, SetClock()) as nodes:
        yield nodes


async def test_nodes_exchange_over_tls(tls_nodes: dict[str, OwnAuthority]) -> None:
    issue(tls_nodes["RU"], shipments(count=2), Officer())

    async with listening(tls_nodes["RU"]), listening(tls_nodes["EU-BE"]):
        done = await deliver(tls_nodes["RU"], "EU-BE")
        back = await deliver(tls_nodes["EU-BE"], "RU")

    assert (done.delivered, done.error, back.error) == (2, None, None)


async def test_a_server_with_a_certificate_nobody_trusts_gets_nothing(
    tls_nodes: dict[str, OwnAuthority], tls_homes: dict[str, Path]
) -> None:
    issue(tls_nodes["RU"], shipments(), Officer())
    write_certificate(tls_homes["EU-BE"] / "tls", "impostor")
    impostor = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = tls_homes["EU-BE"] / "tls"
    impostor.load_cert_chain(folder / "impostor.pem", folder / "impostor.key")
    asked = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=503)

    async with faulty(tls_nodes["EU-BE"], handler, impostor):
        done = await deliver(tls_nodes["RU"], "EU-BE")

    assert "certificate" in str(done.error)
    assert asked == []


@pytest.mark.parametrize("minimum", ["1.3", "1.2"])
async def test_the_oldest_version_is_a_setting(tls_homes: dict[str, Path], minimum: str) -> None:
    path = tls_homes["RU"] / "peers.toml"
    path.write_text(path.read_text().replace("[tls]", f'[tls]\nminimum = "{minimum}"'))
    old = ssl.create_default_context(cafile=tls_homes["RU"] / "tls" / "RU.pem")
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    with opened(tls_homes, SetClock()) as nodes:
        async with listening(nodes["RU"]):
            endpoint = nodes["RU"].config.node.listen
            try:
                _, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=old)
                writer.close()
                spoken = True
            except (ssl.SSLError, ConnectionError):
                spoken = False

    assert spoken == (minimum == "1.2")


class TestClientCertificates:
    @pytest.mark.parametrize("tls_homes", [{"shows": True, "pins": True}], indirect=True)
    async def test_a_peer_that_shows_its_pinned_certificate_is_served(
        self, tls_nodes: dict[str, OwnAuthority]
    ) -> None:
        issue(tls_nodes["RU"], shipments(), Officer())

        async with listening(tls_nodes["RU"]), listening(tls_nodes["EU-BE"]):
            done = await deliver(tls_nodes["RU"], "EU-BE")

        assert (done.delivered, done.error) == (1, None)

    @pytest.mark.parametrize("tls_homes", [{"shows": False, "pins": True}], indirect=True)
    async def test_a_peer_that_shows_none_is_unknown(
        self, tls_nodes: dict[str, OwnAuthority]
    ) -> None:
        issue(tls_nodes["RU"], shipments(), Officer())

        async with listening(tls_nodes["RU"]), listening(tls_nodes["EU-BE"]):
            done = await deliver(tls_nodes["RU"], "EU-BE")

        assert "401 unknown-peer" in str(done.error)

    @pytest.mark.parametrize("tls_homes", [{"shows": True, "pins": True}], indirect=True)
    async def test_the_certificate_of_another_peer_is_not_enough(
        self, tls_nodes: dict[str, OwnAuthority], tls_homes: dict[str, Path]
    ) -> None:
        be = tls_nodes["EU-BE"]
        other = write_certificate(tls_homes["EU-BE"] / "tls", "of-by")[0]
        der = ssl.PEM_cert_to_DER_cert(other.read_text())
        be.book = replace(be.book, client_certificates={RU: der})
        issue(tls_nodes["RU"], shipments(), Officer())

        async with listening(tls_nodes["RU"]), listening(be):
            done = await deliver(tls_nodes["RU"], "EU-BE")

        assert "401 unknown-peer" in str(done.error)

    @pytest.mark.parametrize("tls_homes", [{"shows": False, "pins": True}], indirect=True)
    async def test_strangers_may_still_read_what_is_public(
        self, tls_nodes: dict[str, OwnAuthority]
    ) -> None:
        async with listening(tls_nodes["RU"]), listening(tls_nodes["EU-BE"]):
            steps = await probe(tls_nodes["RU"], BE)

        assert [s.name for s in steps if not s.good] == ["position"]


async def test_a_renewed_certificate_is_shown_without_a_restart(
    tls_homes: dict[str, Path],
) -> None:
    from node.wiring import open_node

    with open_node(tls_homes["RU"]) as own:
        stop, ready = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(serve(own, reread, stop, ready.set))
        await ready.wait()
        before = await asyncio.to_thread(_shown, own)
        write_certificate(tls_homes["RU"] / "tls", "RU")
        new = ssl.PEM_cert_to_DER_cert((tls_homes["RU"] / "tls" / "RU.pem").read_text())

        shown: list[bytes] = [before]
        for _ in range(200):
            shown.append(await asyncio.to_thread(_shown, own))
            if shown[-1] == new:
                break
            await asyncio.sleep(0.05)
        (tls_homes["RU"] / "tls" / "RU.key").write_text("broken")
        await asyncio.sleep(1.5)
        after_damage = await asyncio.to_thread(_shown, own)
        stop.set()
        await task

    assert before != new
    assert shown[-1] == new
    assert after_damage == new, "a broken file leaves the former certificate"


def _shown(own: OwnAuthority) -> bytes:
    node = own.config.node.listen
    pem = ssl.get_server_certificate((node.host, node.port))
    return ssl.PEM_cert_to_DER_cert(pem)


class TestSettings:
    def text(self, listen: str, url: str, extra: str = "", sandbox: str = "false") -> bytes:
        return (
            f'[node]\nauthority = "RU"\nname = "n"\nurl = "{url}"\nlisten = "{listen}"\n'
            f'console = "localhost:8111"\nsandbox = {sandbox}\n{extra}'
        ).encode()

    @pytest.mark.parametrize(
        ("listen", "url", "extra", "sandbox", "good"),
        [
            ("0.0.0.0:443", "https://ru.example", "", "false", False),
            ("0.0.0.0:443", "https://ru.example", "", "true", True),
            ("localhost:8101", "https://ru.example", "", "false", True),
            ("0.0.0.0:443", "http://ru.example", "", "false", False),
            ("0.0.0.0:443", "https://ru.example", "C", "false", True),
            ("0.0.0.0:443", "https://ru.example", "P", "false", False),
        ],
    )
    def test_plain_http_is_for_the_sandbox_and_loopback(
        self, tmp_path: Path, listen: str, url: str, extra: str, sandbox: str, good: bool
    ) -> None:
        tls = '[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n'
        peer = '[[peer]]\nauthority = "BY"\nurl = "http://by.example"\njwks = "j"\n'
        more = {"C": tls, "P": tls + peer}.get(extra, "")
        try:
            parse(self.text(listen, url, more, sandbox), tmp_path, check)
            refused = None
        except ConfigError as error:
            refused = error.code

        assert refused == (None if good else "insecure-url")

    @pytest.mark.parametrize(
        "extra",
        [
            '[tls]\ncertificate = "c.pem"\n',
            '[tls]\nkey = "c.pem"\n',
            '[tls]\nminimum = "1.1"\n',
            '[tls]\nciphers = "all"\n',
            '[[peer]]\nauthority = "BY"\njwks = "j"\n',
            '[[peer]]\nauthority = "BY"\njwks = "j"\nmode = "fax"\n',
        ],
    )
    def test_half_a_setting_is_refused(self, tmp_path: Path, extra: str) -> None:
        with pytest.raises(ConfigError) as refused:
            parse(self.text("localhost:1", "http://localhost:1", extra), tmp_path, check)

        assert refused.value.code == "bad-config"

    def test_a_certificate_that_is_none_says_so(self, tls_homes: dict[str, Path]) -> None:
        from node.wiring import open_node

        (tls_homes["RU"] / "tls" / "RU.key").write_text("nothing")
        with open_node(tls_homes["RU"]) as own, pytest.raises(ConfigError) as refused:
            asyncio.run(serve(own, reread, asyncio.Event(), lambda: None))

        assert refused.value.code == "bad-certificate"


class TestProxy:
    async def test_nginx_in_front_ends_tls_and_passes_everything_on(self, tmp_path: Path) -> None:
        """The configuration of docs/operations.md, with this test's ports and files."""
        homes = make_homes(tmp_path / "p", "RU", "EU-BE")
        port, folder = free_ports(1)[0], tmp_path / "nginx"
        certificate, key = write_certificate(folder, "proxy")
        with opened(homes, SetClock()) as nodes:
            inner = nodes["EU-BE"].config.node.listen
            docs = (Path(__file__).parents[1] / "docs" / "operations.md").read_text("utf-8")
            server = docs.split("```nginx\n")[1].split("```")[0]
            for old, new in (
                ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
                ("/etc/kpnode/tls/node.pem", str(certificate)),
                ("/etc/kpnode/tls/node.key", str(key)),
                ("ru.example.org", "localhost"),
                ("127.0.0.1:8101", f"{inner.host}:{inner.port}"),
            ):
                assert old in server, old
                server = server.replace(old, new)
            (folder / "nginx.conf").write_text(
                f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
                f"http {{\naccess_log off;\nclient_body_temp_path {folder}/b;\n"
                f"proxy_temp_path {folder}/t;\nfastcgi_temp_path {folder}/f;\n"
                f"uwsgi_temp_path {folder}/u;\nscgi_temp_path {folder}/s;\n{server}\n}}\n"
            )
            ru = nodes["RU"]
            settings = replace(
                ru.book.settings[BE], url=f"https://localhost:{port}", ca=certificate
            )
            ru.book = replace(ru.book, settings={BE: settings})
            issue(ru, shipments(count=10), Officer())
            process = await asyncio.create_subprocess_exec(
                needs("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"),
                "-e", str(folder / "error.log"),
            )  # fmt: skip
            try:
                await until(lambda: (folder / "pid").exists())
                async with listening(ru), listening(nodes["EU-BE"]):
                    steps = await probe(ru, BE)
                    done = await deliver(ru, "EU-BE")
                    template = shipments()[0] | {"exporter": shipments()[0]["exporter"]}
                    many = [dict(template, number=f"RU{70000000 + n}") for n in range(900)]
                    issue(ru, many, Officer())
                    large = await deliver(ru, "EU-BE")
            finally:
                process.terminate()
                await process.wait()

        assert [s.name for s in steps if not s.good] == []
        assert (done.delivered, done.error) == (10, None)
        assert (large.delivered, large.error) == (900, None)


class TestProbe:
    async def walk(self, own: OwnAuthority) -> tuple[list[str], Any]:
        steps = await probe(own, BE)
        failed = [step for step in steps if not step.good]
        assert all(step.mend for step in failed)
        return [step.name for step in steps], failed[0].name if failed else None

    def change(self, ru: OwnAuthority, **values: Any) -> None:
        ru.book = replace(ru.book, settings={BE: replace(ru.book.settings[BE], **values)})

    async def test_all_is_well(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        async with listening(be):
            names, failed = await self.walk(ru)

        assert (names, failed) == (
            ["name", "connect", "protocol", "keys", "clock", "position"], None,
        )  # fmt: skip

    async def test_a_name_that_is_none(self, ru: OwnAuthority) -> None:
        self.change(ru, url="http://no-such-host.invalid:1")

        assert await self.walk(ru) == (["name"], "name")

    async def test_nobody_listens(self, ru: OwnAuthority) -> None:
        assert await self.walk(ru) == (["name", "connect"], "connect")

    async def test_tls_where_there_is_none(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        self.change(ru, url=ru.book.settings[BE].url.replace("http:", "https:"))

        async with listening(be):
            assert await self.walk(ru) == (["name", "connect", "tls"], "tls")

    async def test_another_authority_answers(self, ru: OwnAuthority) -> None:
        self.change(ru, url=ru.config.node.url)

        async with listening(ru):
            assert (await self.walk(ru))[1] == "protocol"

    async def test_something_else_answers(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        async def handler(_: web.Request) -> web.StreamResponse:
            return web.Response(text="<html>hello</html>")

        async with faulty(be, handler):
            assert (await self.walk(ru))[1] == "protocol"

    async def test_other_keys_are_published(
        self, ru: OwnAuthority, be: OwnAuthority, tmp_path: Path
    ) -> None:
        from node.jose.keys import read_key_set

        path = make_homes(tmp_path / "o", "EU-BE", "BY")["EU-BE"] / "keys" / "EU-BE.jwks.json"
        other = read_key_set(path.read_bytes()).as_json()

        async def handler(request: web.Request) -> web.StreamResponse:
            published = {"/.well-known/jwks.json": other, "/.well-known/kpx.json": about(be)}
            if request.path in published:
                return web.json_response(published[request.path])
            return web.Response(status=404)

        async with faulty(be, handler):
            assert (await self.walk(ru))[1] == "keys"

    async def test_the_clocks_differ(
        self, ru: OwnAuthority, be: OwnAuthority, clock: SetClock
    ) -> None:
        clock.moment -= timedelta(seconds=90)

        async with listening(be):
            assert (await self.walk(ru))[1] == "clock"

    async def test_the_peer_has_paused_us(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        hold_peer.pause(be, "RU", "audit")

        async with listening(be):
            assert (await self.walk(ru))[1] == "position"
