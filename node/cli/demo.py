"""`kpnode demo`: see it work."""

import sys
from typing import Any

import click

from node.cli.output import FAILURE, Output, command


@command()
@click.option("--stay", is_flag=True, help="Keep the nodes up afterwards; print their addresses.")
def demo(output: Output, stay: bool) -> None:
    """Play the 2021 pilots in small: RU, BY and EU-BE as three nodes on this machine.

    They issue and deliver 60 sample certificates, confirm some, refuse what must be refused, and
    survive a killed process. A forged paper is caught by an alert at a third authority. Two more join by files and by calling only; a rewritten log is caught.
    Exit code 0 only if all of it held. Everything is SANDBOX and in a
    temporary folder.
    """
    import signal
    import tempfile
    from pathlib import Path

    from node.demo.nodes import DemoError, make_nodes, side_by_side
    from node.demo.story import WHO, Outcome, play

    def tell(text: str) -> None:
        output.note(text) if output.as_json else click.echo(text)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the nodes, too
    with tempfile.TemporaryDirectory(prefix="kpnode-demo-") as folder:
        tell(
            "SANDBOX demo: three authorities, three nodes, no centre. Nothing leaves this machine."
        )
        nodes: list[Any] = []
        try:
            nodes = make_nodes(Path(folder), WHO)
            side_by_side([node.start for node in nodes])
            for node in nodes:
                tell(f"   SANDBOX {node.authority:<6} {node.name}, {node.url}")
            outcome = play(nodes, tell)
            _show(output, outcome)
            if stay:
                _stay(output, nodes)
        except DemoError as error:
            outcome = Outcome(failures=[str(error)])
            output.note(f"error: demo: {error}")
            if output.as_json:
                output.result(outcome.as_json())
        finally:
            for node in nodes:
                node.stop()
    if outcome.failures:
        sys.exit(FAILURE)


def _show(output: Output, outcome: Any) -> None:
    if output.as_json:
        output.result(outcome.as_json())
        return
    rows = [
        {"what": "certificates issued", "figure": outcome.issued},
        {"what": "delivered, with a signed receipt", "figure": outcome.delivered},
        {"what": "verified at their destination", "figure": outcome.verified},
        {"what": "arrivals confirmed back", "figure": outcome.confirmed},
        *(
            {"what": f"{story['number']} ends as", "figure": _both(story)} for story in outcome.life
        ),
        {"what": "wrong shipments refused", "figure": len(outcome.refused)},
        {"what": "tampered certificate", "figure": outcome.tampered["code"]},
        {"what": "replayed bundle", "figure": _yes(outcome.replayed["same_receipt"], "first receipt again")},
        {"what": "lost or doubled by the power cut", "figure": sum(outcome.interrupted.values())},
        {"what": "sources taken in from a table", "figure": outcome.imported},
        {"what": "inquiry, answered by the issuer's node", "figure": f"{outcome.inquiry['verdict']}, differs: {', '.join(outcome.inquiry['differs'])}"},
        {"what": f"{outcome.forged['number']}, a forged paper", "figure": f"{outcome.forged['verdict']}; {outcome.forged['code']} at {outcome.forged['caught_by']}"},
        {"what": f"{', '.join(outcome.overdue['numbers'])}, not confirmed in time", "figure": f"asked of; answer: {outcome.overdue['answer']}"},
        {"what": "carried as files to AO", "figure": _both(outcome.carried)},
        {"what": "fetched by CD, which nobody can call", "figure": _both(outcome.pulled)},
        {"what": "AO's rewritten log", "figure": f"{outcome.rewritten['code']}, caught at the next contact"},
    ]  # fmt: skip
    for authority, found in outcome.ledgers.items():
        state = _yes(found["ok"], f"good, {found['size']} entries, root {found['root'][:12]}…")
        rows.append({"what": f"ledger of {authority}", "figure": state})
    output.rows(rows, rows, {"what": "SANDBOX", "figure": "RESULT"})
    for failure in outcome.failures:
        click.echo(f"FAILED: {failure}")
    if not outcome.failures:
        click.echo(f"All of it held, in {outcome.seconds} s (SANDBOX).")


def _both(story: dict[str, str]) -> str:
    there, here = story["exporter"], story["importer"]
    return there if there == here else f"{there}, {here}"


def _yes(true: bool, text: str) -> str:
    return text if true else "NO"


def _stay(output: Output, nodes: Any) -> None:
    import time

    for node in nodes:
        output.note(
            f"SANDBOX {node.authority:<6} pages {node.console}  home {node.home}  process {node.pid}"
        )
    first, second = nodes[0], nodes[1]
    scopes = [word for scope in ("read", "issue", "confirm") for word in ("--scope", scope)]
    made = first.expect("token", "make", "demo", *scopes, "--days", "1")
    output.note(f"The API of {first.authority}: {first.console}/docs  token {made['token']}")
    output.note(
        f"The nodes stay up. Open {first.console} and watch {second.authority} die and come back: "
        f"kill {second.pid}, then kpnode --home {second.home} serve. Ctrl-C ends all."
    )
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        output.note("ending")
