"""The story: issue, deliver, confirm, re-export, refuse, tamper, replay, ask, warn, carry, audit.

Every figure is built from what the nodes answer, never from what was planned; `Outcome.held`
compares the two at the end.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from node import base64url, strict_json
from node.bundle import MEDIA_TYPE, assemble
from node.demo import between, third_act
from node.demo.nodes import DemoError, DemoNode, side_by_side, wait_for
from node.jose.strict import doc_digest
from node.ledger import streams, transport
from node.ledger.database import Ledger, Transaction

T = TypeVar("T")
Tell = Callable[[str], None]

WHO = (
    ("RU", "State Precious Metals and Gems Repository (sample)", "Europe/Moscow"),
    ("BY", "Ministry of Finance, Precious Metals (sample)", "Europe/Minsk"),
    ("EU-BE", "Federal Public Service Economy, Antwerp (sample)", "Europe/Brussels"),
)
CONFIRMED = {"EU-BE": ("RU", 12), "BY": ("RU", 6), "RU": ("EU-BE", 4)}
"""Who confirms how many of whose certificates."""


@dataclass(slots=True)
class Outcome:
    """What the three nodes answered."""

    issued: int = 0
    delivered: int = 0
    verified: int = 0
    confirmed: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)
    tampered: dict[str, str] = field(default_factory=dict)
    replayed: dict[str, bool] = field(default_factory=dict)
    interrupted: dict[str, int] = field(default_factory=dict)
    life: list[dict[str, str]] = field(default_factory=list)
    imported: int = 0
    inquiry: dict[str, Any] = field(default_factory=dict)
    forged: dict[str, Any] = field(default_factory=dict)
    overdue: dict[str, Any] = field(default_factory=dict)
    carried: dict[str, Any] = field(default_factory=dict)
    pulled: dict[str, Any] = field(default_factory=dict)
    rewritten: dict[str, Any] = field(default_factory=dict)
    ledgers: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def hold(self, fact: str, true: bool) -> None:
        """Note what must be true."""
        if not true:
            self.failures.append(fact)

    def as_json(self) -> dict[str, Any]:
        """The result of ``demo --json``."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "failures"} | (
            {"failures": self.failures} if self.failures else {}
        )


def sample(name: str) -> Any:
    """Sample data of the package."""
    return json.loads((resources.files("node.demo") / "data" / name).read_text("utf-8"))


def play(nodes: Sequence[DemoNode], tell: Tell) -> Outcome:
    """Play the story on running nodes."""
    began = time.monotonic()
    ru, by, be = nodes
    out = Outcome()
    shipments = sample("shipments.json")
    tell("1. RU issues; half of BY's share while BY is down, ended as by a power cut.")
    _issue(out, ru, [s for s in shipments if s["from"] == "RU" and s["to"] == "EU-BE"])
    to_by = [s for s in shipments if s["from"] == "RU" and s["to"] == "BY"]
    _issue(out, ru, to_by[::2])
    by.kill()
    _issue(out, ru, to_by[1::2])
    by.start()
    tell("   BY is back; its inbox fills.")
    _settled(nodes)
    tell("2. The importers confirm arrivals; EU-BE takes in a table of what came on paper before.")
    used = {number for s in shipments for number in _sources(s, paper=False)}
    side_by_side([partial(_confirm, node, used) for node in (by, be)])
    _import(out, be, [s for s in shipments if s["from"] == be.authority])
    _settled(nodes)
    tell("3. BY and EU-BE re-export part of what came in; RU confirms some of it.")
    side_by_side(
        [
            partial(_issue, out, node, [s for s in shipments if s["from"] == node.authority])
            for node in (by, be)
        ]
    )
    _settled(nodes)
    _check_deliveries(out, nodes)
    _confirm(ru, used)
    _settled(nodes)
    _check_confirmations(out, nodes)
    tell("4. One shipment differs and is amended after consent, one goes back, one is revoked.")
    _second_act(out, ru, be, nodes)
    tell("5. Shipments that must not leave are refused, each with its code.")
    _refuse(out, ru)
    tell("6. A certificate with one figure changed, and a bundle sent twice.")
    _tamper(out, be)
    _replay(out, ru, be)
    tell("7. EU-BE asks about a certificate, and about a paper that turns out to be forged.")
    _ask_and_warn(out, nodes, shipments, tell)
    template = next(s for s in shipments if s["from"] == "RU" and s["to"] == "BY")
    _third_act(out, ru, template, tell)
    tell("12. Every ledger is verified from the bytes up.")
    for node, found in zip(nodes, side_by_side([partial(_audit, n) for n in nodes]), strict=True):
        out.ledgers[node.authority] = {k: found[k] for k in ("size", "root", "ok")}
        out.hold(f"ledger of {node.authority}", found["ok"])
    out.hold("all issued", out.issued == len(shipments))
    out.hold("all delivered", out.delivered == out.issued)
    out.hold("all verified", out.verified == out.issued)
    out.hold("confirmations", out.confirmed >= sum(count for _, count in CONFIRMED.values()))
    out.seconds = round(time.monotonic() - began, 1)
    return out


def _issue(out: Outcome, node: DemoNode, shipments: list[Any]) -> None:
    issued = node.expect("issue", "-", "--office", node.name, stdin=json.dumps(shipments))
    out.issued += len(issued["issued"])


def _settled(nodes: Sequence[DemoNode]) -> None:
    """Wait until every node says that its peers hold all it has sent."""

    def settled() -> bool:
        rows = [row for node in nodes for row in node.status()]
        return all(row["out"]["lag"] == 0 for row in rows)

    wait_for("all peers to be in sync", settled)


def _check_deliveries(out: Outcome, nodes: Sequence[DemoNode]) -> None:
    """Hold what each exporter issued against what each importer has; verify each there."""
    lost = doubled = 0
    names = {node.authority: node for node in nodes}
    held = {node.authority: _certificates(node, "importer") for node in nodes}
    for node in nodes:
        sent = _certificates(node, "exporter")
        out.delivered += sum(item["state"] in ("delivered", "confirmed") for item in sent)
        for item in sent:
            copies = [h for h in held[item["peer"]] if h["doc_id"] == item["doc_id"]]
            lost += not copies
            doubled += len(copies) > 1
    verdicts = side_by_side([partial(_verify_held, names[a], items) for a, items in held.items()])
    out.verified += sum(verdicts)
    out.interrupted = {"lost": lost, "doubled": doubled}
    out.hold("nothing lost or doubled", not lost and not doubled)


def _verify_held(node: DemoNode, items: Sequence[dict[str, Any]]) -> int:
    """Verify at a destination each certificate it holds: one file, all lines, its own keys."""
    count = 0
    for peer in {item["peer"] for item in items}:
        wanted = {item["doc_id"] for item in items if item["peer"] == peer}
        path = node.folder / f"{node.authority}-from-{peer}.kpb"
        # The bundles as the sender's ledger holds them; every line must be known here and good.
        for raw in _sent_bundles(node.folder / peer / "data" / "node.db", node.authority):
            path.write_bytes(raw)
            results = node.expect("verify", str(path))["items"]
            count += sum(
                r["authentic"] and r["valid"] and r["current"]
                for r in results
                if r["doc_id"] in wanted
            )
    return count


def _sources(shipment: dict[str, Any], *, paper: bool) -> list[str]:
    """The certificates that a re-export's goods came in with, through nodes or on paper."""
    named = shipment.get("source_certificates", ())
    return [one["number"] for one in named if one.get("paper", False) == paper]


def _import(out: Outcome, node: DemoNode, re_exports: Sequence[dict[str, Any]]) -> None:
    """Take in, as a table, the sources that came on paper before there was a node."""
    today = time.strftime("%Y-%m-%d")
    lines = ["number,issued_by,carats,confirmed_on"]
    for shipment in re_exports:
        on_paper = _sources(shipment, paper=True)
        lines += [
            f"{one['number']},{one['number'][:2]},{one['carats']},{today}"
            for one in shipment["source_certificates"]
            if one["number"] in on_paper
        ]
    text = "\n".join([*lines, ""])
    tried = node.expect("certificate", "import", "-", stdin=text)
    done = node.expect("certificate", "import", "-", "--apply", stdin=text)
    out.imported = len(done["items"])
    out.hold("a table is tried first", not tried["applied"] and done["applied"])


def _confirm(node: DemoNode, first: set[str]) -> None:
    """Confirm some of what came in; first what will be re-exported."""
    peer, count = CONFIRMED[node.authority]
    numbers = [c["number"] for c in _certificates(node, "importer") if c["peer"] == peer]
    numbers = sorted(numbers, key=lambda number: number not in first)[:count]
    node.expect("confirm", *numbers, "--office", node.name)


def _check_confirmations(out: Outcome, nodes: Sequence[DemoNode]) -> None:
    """Confirmed is what the exporters say, once the confirmations have come back to them."""
    for node in nodes:
        states = [item["state"] for item in _certificates(node, "exporter")]
        out.confirmed += states.count("confirmed")


def _second_act(
    out: Outcome, exporter: DemoNode, importer: DemoNode, nodes: Sequence[DemoNode]
) -> None:
    """Three certificates that do not simply arrive: how each ends on both sides."""
    waiting = [
        c
        for c in _certificates(importer, "importer")
        if c["peer"] == exporter.authority and c["state"] == "announced"
    ]
    amended, returned, revoked = (item["number"] for item in waiting[:3])
    for number in (amended, returned):
        one_more = importer.expect("certificate", "show", number)["body"]["parcels"] + 1
        found = json.dumps({"parcels": one_more})
        importer.expect(
            "dispute", number, "--reason", "one parcel more", "--proposed", "-", stdin=found
        )
    _settled(nodes)
    exporter.expect("consent", amended, "--reason", "counted again; agreed")
    exporter.expect("refuse", returned, "--reason", "our count is right")
    exporter.expect("revoke", revoked, "--reason", "void", "--remarks", "shipment called off")
    _settled(nodes)
    importer.expect("amend", amended)
    importer.expect("confirm", amended)
    importer.expect(
        "order-return", returned, "--technical-number", "TC-EU-0001", "--reason", "no consent",
        "--consulted", exporter.name, "--consulted-on", time.strftime("%Y-%m-%d"),
    )  # fmt: skip
    _settled(nodes)
    exporter.expect("take-in", returned)
    _settled(nodes)
    expected = {
        amended: ("confirmed as amended", "admitted as amended"),
        returned: ("lapsed", "returned"),
        revoked: ("void", "void"),
    }
    for number, states in expected.items():
        there = exporter.expect("certificate", "show", number)["state"]
        here = importer.expect("certificate", "show", number)["state"]
        out.life.append({"number": number, "exporter": there, "importer": here})
        out.hold(f"{number} ends as {states}", (there, here) == states)


def _ask_and_warn(
    out: Outcome, nodes: Sequence[DemoNode], shipments: Sequence[dict[str, Any]], tell: Tell
) -> None:
    """An inquiry answered, a forged number caught at a third authority, an overdue list."""
    ru, by, be = nodes
    template = next(s for s in shipments if s["from"] == "RU" and s["to"] == "EU-BE")
    out.inquiry = told = between.inquiry(ru, be, template["number"])
    answer = (told["verdict"], told["differs"], told["by_the_node"])
    out.hold("inquiry answered by the node", answer == ("genuine", ["/parcels"], True))
    out.forged = told = between.forged(ru, be, by)
    out.hold("forged paper found out", told["verdict"] == "not-genuine")
    out.hold("and caught elsewhere", (told["exit_code"], told["code"]) == (4, "alerted"))
    tell("8. A certificate of forty days ago is not confirmed; its importer is asked.")
    out.overdue = told = between.overdue(ru, be, template)
    late = (told["exit_code"], told["numbers"], told["answer"])
    out.hold("overdue listed and asked for", late == (1, [between.LATE], "not-arrived"))


def _third_act(out: Outcome, ru: DemoNode, template: dict[str, Any], tell: Tell) -> None:
    """Authorities that nobody can call, and a log that is rewritten."""
    tell("9. AO has only e-mail: a certificate and its confirmation travel as files.")
    ao = third_act.newcomer(third_act.CARRIED, ru, "carry")
    out.carried = third_act.carry(ru, ao, template)
    tell("10. CD has no public address: its node calls, and fetches what waits.")
    cd = third_act.newcomer(third_act.PULLING, ru, "pull")
    out.pulled = third_act.pull(ru, cd, template)
    for name, told in (("carried", out.carried), ("pulled", out.pulled)):
        ends = (told["exporter"], told["importer"])
        out.hold(f"{name} certificate confirmed", ends == ("confirmed", "admitted"))
    tell("11. AO puts an old copy of its ledger back and rewrites what it had signed.")
    out.rewritten = told = third_act.rewrite(ru, ao, template)
    tell(f"   RU's node: {told['detail']}.")
    tell(f"   It means: {told['means']}.")
    out.hold("rewritten log caught", (told["exit_code"], told["code"]) == (4, "log-fork"))
    out.hold("both pieces of evidence", {"held", "shown"} <= set(told["evidence"]))


def _refuse(out: Outcome, node: DemoNode) -> None:
    before = node.expect("ledger", "checkpoint")["size"]
    cases = sample("shipments_refused.json")

    def act(case: dict[str, Any]) -> tuple[int, Any]:
        return node.run("issue", "-", stdin=json.dumps(case["shipment"]))

    answers = side_by_side([partial(act, case) for case in cases])
    for case, (code, answer) in zip(cases, answers, strict=True):
        found = [(e["code"], e["pointer"]) for e in answer.get("errors", ())]
        number = case["shipment"]["number"]
        out.refused.extend({"number": number, "code": name} for name, _ in found)
        expected = [(case["code"], case["pointer"])]
        out.hold(f"{number} refused with {case['code']}", found == expected and code in (4, 5))
    after = node.expect("ledger", "checkpoint")["size"]
    out.hold("refusals record nothing", before == after)


def _tamper(out: Outcome, receiver: DemoNode) -> None:
    """Change one figure of a certificate; ask the receiver's node what it thinks of it."""
    held = _certificates(receiver, "importer")[0]
    jws = receiver.expect("document", held["doc_id"])["jws"]
    header, payload, signature = jws.split(".")
    claims = strict_json.loads(base64url.decode(payload))
    claims["body"]["totals"]["carats"] = "1.00"
    changed = ".".join((header, base64url.encode(strict_json.dumps(claims)), signature))
    path = receiver.folder / "tampered.jws"
    path.write_text(changed)
    code, answer = receiver.run("verify", str(path))
    out.tampered = {"code": answer["errors"][0]["code"]}
    out.hold("tampered refused", code == 4 and answer["authentic"] is False)


def _replay(out: Outcome, sender: DemoNode, receiver: DemoNode) -> None:
    """Send a delivered bundle again: the first receipt comes back, nothing is recorded."""
    raw = _sent_bundles(sender.home / "data" / "node.db", receiver.authority)[0]
    before = receiver.expect("ledger", "checkpoint")["size"]
    status, body = _post(receiver, raw)
    after = receiver.expect("ledger", "checkpoint")["size"]
    same = status == 200 and body == _receipt(sender, raw)
    out.replayed = {"same_receipt": same}
    out.hold("replay gives the first receipt", same)
    out.hold("replay records nothing", before == after)


def _audit(node: DemoNode) -> dict[str, Any]:
    found: dict[str, Any] = node.run("ledger", "verify")[1]
    return found


def _certificates(node: DemoNode, side: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = node.expect("certificate", "list", "--side", side)["items"]
    return items


def _sent_bundles(database: Path, peer: str) -> list[bytes]:
    """The bundles of a sender as they went to a peer, from the sender's ledger."""

    def query(tx: Transaction) -> list[bytes]:
        return [
            assemble(
                sent.jws,
                [
                    item.jws
                    for item in streams.waiting(
                        tx, peer, sent.first - 1, sent.last - sent.first + 1
                    )
                ],
            )
            for sent in transport.manifests_with_documents(tx, peer)
        ]

    return _read(database, query)


def _receipt(sender: DemoNode, bundle: bytes) -> bytes | None:
    """The receipt that the sender holds for a bundle."""
    manifest = base64url.encode(doc_digest(bundle.partition(b"\n")[0]))

    def query(tx: Transaction) -> bytes | None:
        sent = transport.manifest(tx, manifest)
        return None if sent is None else transport.receipt(tx, sent.peer, manifest)

    return _read(sender.home / "data" / "node.db", query)


def _read(database: Path, query: Callable[[Transaction], T]) -> T:
    ledger = Ledger(database)
    try:
        return ledger.read(query)
    finally:
        ledger.close()


def _post(node: DemoNode, raw: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(  # noqa: S310 - loopback, our own node
        f"{node.url}/kpx/v1/bundles", data=raw, headers={"Content-Type": MEDIA_TYPE}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - as above
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        raise DemoError(f"{node.url}: {error}") from None
