"""Makes the picture of the Peers page for the README: `make picture`.

Four real nodes on this machine; one is in sync, one is down while documents wait for it, one is
paused, one is carried to. Taken by Debian's Chromium.
"""

import json
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import sync_playwright

from node.wiring import read_config
from tests.nodes import make_homes, serving, shipments
from tests.test_cli import result

PICTURE = Path(__file__).with_name("peers.png")


def main() -> None:
    """Start the nodes, bring them where they are to be, take the picture."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        homes = make_homes(Path(folder), "RU", "BY", "EU-BE", "AO", "AE")
        carried = (homes["RU"] / "peers.toml").read_text("utf-8")
        head, _, tail = carried.partition('authority = "AO"')
        tail = tail.replace('mode = "push"', 'mode = "carry"', 1)
        (homes["RU"] / "peers.toml").write_text(f'{head}authority = "AO"{tail}', "utf-8")
        for name in ("RU", "BY", "AE"):
            stack.enter_context(serving(homes[name]))
        start = 0
        for to, count in (("BY", 6), ("EU-BE", 3), ("AO", 2), ("AE", 4)):
            made = [
                sample | {"to": to, "destination": to[:2], "number": f"RU{70_000_000 + start + n}"}
                for n, sample in enumerate(shipments("RU", "BY", count))
            ]
            start += count
            result("--home", homes["RU"], "issue", "-", stdin=json.dumps(made))
        time.sleep(8)
        result(
            "--home", homes["RU"], "peer", "pause", "AE", "--because", "their audit, until Friday"
        )
        time.sleep(4)
        console = read_config(homes["RU"]).node.console
        with sync_playwright() as started:
            found = shutil.which("chromium")
            browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1180, "height": 780})
            page.goto(f"http://{console.host}:{console.port}/")
            page.screenshot(path=str(PICTURE))
            browser.close()


if __name__ == "__main__":
    main()
