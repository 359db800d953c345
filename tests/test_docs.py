"""The docs are true: links lead somewhere, help texts are those of the commands, the tutorial runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from node.cli.app import COMMANDS, main
from node.config import load
from node.demo.nodes import free_ports
from node.domain.kinds import KINDS
from node.incidents import INCIDENTS
from node.office.access import SCOPES
from node.schema.validation import check
from node.watch.conditions import CONDITIONS
from node.watch.peers import STATES
from node.watch.worklists import LISTS
from node.web.description import operations
from node.web.problems import STATUS

ROOT = Path(__file__).parents[1]
PAGES = [
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "keys").glob("*.md")]
    if path.is_file()
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, target


def test_every_command_stands_in_the_reference_with_its_own_help() -> None:
    text = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    sections = re.findall(
        r"^## ([a-z -]+)\n\n```\n(Usage.+?)\n```$", text, re.MULTILINE | re.DOTALL
    )

    for name, shown in sections:
        done = CliRunner().invoke(
            main, [*name.split(), "--help"], prog_name="kpnode", terminal_width=100
        )
        assert done.stdout.rstrip() == shown, name
    assert {name.split()[0] for name, _ in sections} == COMMANDS.keys()


def test_the_protocol_page_names_every_kind_and_every_problem() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text("utf-8")

    for code, status in STATUS.items():
        assert f"`{code}`" in text, code
        assert str(status) in text, status
    for kind in KINDS.values():
        assert f"`{kind.name}`" in text, kind.name


def test_the_operations_page_explains_every_incident_in_its_own_words() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")

    for code, incident in INCIDENTS.items():
        assert f"| `{code}` | {incident.means} |" in text, code


def test_the_settings_page_names_every_member() -> None:
    from node.schema import catalogue

    text = (ROOT / "docs" / "reference" / "peers-toml.md").read_text("utf-8")
    properties = catalogue.load("peers.v1")["properties"]

    for member in [
        *properties["node"]["properties"],
        *properties["tls"]["properties"],
        *properties["peer"]["items"]["properties"],
        *properties["alerts"]["properties"],
    ]:
        assert re.search(rf"^\|[^|]*`{member}`[^|]*\|", text, re.MULTILINE), member


def test_the_example_settings_are_valid() -> None:
    config = load(ROOT, check)

    assert config.node.authority == "RU"
    assert [peer.authority for peer in config.peers] == ["EU-BE"]


def test_the_readme_has_the_two_commands_that_the_makefile_has() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")

    for target in ("demo", "test", "check", "bench", "soak", "lock"):
        assert f"make {target}" in readme
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


TUTORIALS = {
    "first-exchange": (
        "announced", "in sync", "sums-differ", "authentic: yes, valid: yes", "good: 4 entries",
    ),
    "through-the-api": (
        "issued RU00020001 - once: True", "confirmed: admitted",
        "0 org.kp.certificate.issued RU00020001",
        "org.kp.confirmation.as-issued.received RU00020001",
        "refused: sums-differ /totals/carats KP-C-011",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs_as_it_stands(tmp_path: Path, name: str) -> None:
    text = (ROOT / "docs" / "tutorial" / f"{name}.md").read_text("utf-8")
    commands = []
    for block in re.findall(r"```console\n(.+?)```", text, re.DOTALL):
        commands += [line.removeprefix("$ ") for line in block.splitlines()]
    ports = iter(free_ports(4))
    script = "set -e\nset -o monitor\n" + "\n".join(commands)
    for home, known, console in (("ru", "8101", "8111"), ("be", "8102", "8112")):
        # On other ports the consoles may not be ten above, where others could listen.
        script = script.replace(known, str(next(ports))).replace(console, there := str(next(ports)))
        script = script.replace(
            f"kpnode init {home} ", f"kpnode init {home} --console localhost:{there} "
        )
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}

    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    for told in TUTORIALS[name]:
        assert told in done.stdout + done.stderr, told


def test_the_api_page_names_scopes_and_calls_what_is_described() -> None:
    text = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
    paths = set(re.findall(r"(?:NODE|\", \"|\"GET\", \")(/api/v1/[^\"\s` ?]+)", text))

    for scope, means in SCOPES.items():
        assert f"| `{scope}` | {means} |" in text
    assert len(paths) >= 4
    for path in paths:
        template = path.replace("RU00020001", "{number}").replace("/to-confirm", "/{list}")
        assert any(one.path == template for one in operations().values()), path


def test_the_life_of_a_certificate_is_drawn_from_the_table_of_states() -> None:
    from node.domain.states import DRAFTING, EXPORTER, IMPORTER, MEANINGS, TRANSITIONS, diagram

    text = (ROOT / "docs" / "explanation" / "life-of-a-certificate.md").read_text("utf-8")

    for side in (DRAFTING, EXPORTER, IMPORTER):
        assert f"```mermaid\n{diagram(side)}\n```" in text
    for change in TRANSITIONS:
        becomes = change.target or "as it was"
        row = f"| {change.event} | {', '.join(change.sources)} | {becomes} | {change.who} | {change.rule} |"
        assert row in text
    for state, meaning in MEANINGS.items():
        assert f"| {state} | {meaning} |" in text


def test_every_state_and_alert_stands_in_the_operations_page_with_its_words() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")

    for word, told in [*STATES.items(), *CONDITIONS.items()]:
        assert f"| `{word}` | {told.means} | {told.do} |" in text, word


def test_the_page_of_work_lists_explains_each_in_its_own_words() -> None:
    text = (ROOT / "docs" / "explanation" / "work-lists.md").read_text("utf-8")

    for name, one in LISTS.items():
        assert f"| {one.title} | `{name}` | {one.means} | {one.do} |" in text, name
