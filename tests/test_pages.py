"""The console's pages in Debian's Chromium: with and without JavaScript, narrow, by keyboard, axe."""

import hashlib
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from node.ledger import peers
from node.office.alert import raise_alert
from node.office.officer import Officer
from node.wiring import open_node
from tests.shared import lacking
from tests.test_api import make_token
from tests.test_watch import fetch, issued, serving

ROOT = Path(__file__).parents[1]
PATHS = ("/", "/peers/EU-BE", "/queue", "/certificates", "/work", "/alerts", "/docs", "/certificates/RU00010118", "/incidents",
         "/ledger", "/system", "/peers/XX")  # fmt: skip
PATIENCE_MS = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    if found is None:
        lacking("no chromium on this machine")
    with sync_playwright() as started:
        launched = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def console(homes: dict[str, Path]) -> Iterator[str]:
    """A node with something to see: a document that waits, an incident, an alert."""
    issued(homes["RU"])
    with open_node(homes["RU"]) as own:
        told = ("bad-proof", "in", "three <b>proofs</b> failed", {}, own.now_s())
        own.ledger.write(lambda tx: peers.report(tx, "EU-BE", *told))
        why = "<script>forged</script> in Antwerp"
        raise_alert(own, Officer(), subject="forged", first="RU00010118", reason=why)
    with serving(homes["RU"]) as address:
        yield address


@pytest.fixture(params=["1280", "360", "360 dark"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, _, dark = request.param.partition(" ")
    context = browser.new_context(
        viewport={"width": int(width), "height": 800}, color_scheme="dark" if dark else "light"
    )
    opened = context.new_page()
    wrong: list[str] = []
    # What the policy forbids is said on the console; a stream that ends with its page is, too.
    opened.on("console", lambda m: wrong.append(m.text) if "Security Policy" in m.text else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    context.close()
    assert wrong == []


def test_no_violation_of_accessibility_and_nothing_runs_out_of_a_narrow_page(
    page: Page, console: str
) -> None:
    axe = (ROOT / "tests" / "vendor" / "axe.min.js").read_text("utf-8")
    for path in PATHS:
        page.goto(console + path)
        found: Any = page.evaluate(f"async () => {{ {axe}; return (await axe.run()).violations; }}")
        told = [(v["id"], [n["html"][:100] for n in v["nodes"]]) for v in found]
        assert told == [], (path, told)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, (path, wide)


def test_texts_of_peers_are_shown_as_texts(page: Page, console: str) -> None:
    page.goto(f"{console}/incidents")

    expect(page.get_by_text("three <b>proofs</b> failed").first).to_be_visible()


def test_pages_are_complete_without_javascript(browser: Browser, console: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for path in PATHS:
        page.goto(console + path)
        assert page.locator("h1").count() == 1
    page.goto(console)
    page.get_by_role("link", name="Certificates").click()
    page.get_by_label("Exporter or importer").fill("zzz")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("No certificates like that.")).to_be_visible()
    page.get_by_label("Exporter or importer").fill("")
    page.get_by_label("Number").fill("RU00010118")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="RU00010118").click()
    expect(page.get_by_role("heading", name="Where it has been")).to_be_visible()
    context.close()


def test_everything_is_reached_by_keyboard(browser: Browser, console: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(console)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('href')"))
    links = page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert set(links) - {"#main"} <= reached
    context.close()


def test_an_open_page_learns_by_itself_and_keeps_the_focus(
    browser: Browser, homes: dict[str, Path]
) -> None:
    context = browser.new_context()
    page = context.new_page()
    with serving(homes["RU"]) as console:
        page.goto(console)
        chip = page.locator("td .chip").first
        expect(chip).to_contain_text("silent")
        page.locator("#peer-EU-BE").focus()
        with serving(homes["EU-BE"]):
            expect(page.locator("td .chip").first).to_contain_text("in sync", timeout=PATIENCE_MS)
            assert page.evaluate("document.activeElement.id") == "peer-EU-BE"
        issued(homes["RU"])
        expect(page.locator("td .chip").first).to_contain_text("behind", timeout=PATIENCE_MS)
    context.close()


def test_what_is_vendored_is_what_its_list_says() -> None:
    folder = ROOT / "node" / "web" / "static"
    listed = dict(
        re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (folder / "README.md").read_text(), re.M)
    )

    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    served = {f.name for f in folder.iterdir() if f.suffix in (".js", ".css")}
    assert served - {"node.css", "docs.js"} == set(listed)


def test_a_page_never_asks_another_host(browser: Browser, console: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    for path in PATHS:
        page.goto(console + path)
        time.sleep(0.1)
    assert {url for url in asked if not url.startswith((console, "data:"))} == set()
    assert f"{console}/events" in asked
    context.close()


def test_the_pages_are_those_the_nav_names(console: str) -> None:
    for path in re.findall(r'id="nav-\d+" href="([^"]+)"', fetch(f"{console}/")[1]):
        assert fetch(console + path)[0] == 200


def test_the_page_of_the_api_sends_what_its_forms_say(
    page: Page, homes: dict[str, Path], console: str
) -> None:
    page.goto(f"{console}/docs")
    page.get_by_label("Token for what is sent").fill(make_token(homes["RU"]))

    page.locator("#list-certificates summary").click()
    asking = page.get_by_role("form", name="Try list-certificates")
    asking.get_by_label("side").fill("exporter")
    asking.get_by_role("button").click()
    expect(asking.get_by_role("status")).to_contain_text('"number": "RU00010118"')
    page.locator("#revoke summary").click()
    acting = page.get_by_role("form", name="Try revoke")
    acting.get_by_label("number").fill("RU00010118")
    acting.get_by_role("button").click()
    expect(acting.get_by_role("status")).to_contain_text("200 OK")
    expect(acting.get_by_role("status")).to_contain_text('"state": "void"')
    acting.get_by_role("button").click()
    expect(acting.get_by_role("status")).to_contain_text("wrong-state")
    # An open page that is being worked in is not made anew when something happens.
    page.wait_for_timeout(2500)
    expect(acting.get_by_role("status")).to_be_visible()
