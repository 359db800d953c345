"""Two nodes exchanging in one process: the real sender and receiver, without a network between."""

from collections.abc import Callable
from itertools import permutations

from node.authority import OwnAuthority
from node.errors import ProblemError
from node.exchange import answers
from node.exchange.acknowledge import Acknowledger
from node.exchange.peer_log import hashes
from node.exchange.receive import Receiver
from node.exchange.send import Sender
from node.ids import Authority
from node.office.attend import attend


def always(_: str) -> bool:
    """A link that loses nothing."""
    return True


def deliver_one(own: OwnAuthority, other: OwnAuthority, passes: Callable[[str], bool]) -> bool:
    """One bundle from `own` to `other`; False when nothing waits or something was lost.

    `passes` is asked for ``request`` and ``reply`` (a simulated link).
    """
    sender, receiver, peer = Sender(own), Receiver(other), Authority(other.name)
    outgoing = sender.next_bundle(peer, heartbeat=False)
    if outgoing is None or not passes("request"):
        return False
    manifest, _, rest = outgoing.raw.partition(b"\n")
    try:
        receipt = receiver.receive(receiver.open(manifest), rest)
    except ProblemError as problem:
        if problem.code != "proof-needed":
            raise
        sender.proof_needed(peer, problem.members["held"])
        return True
    if not passes("reply"):
        return False
    gap = Acknowledger(own).accept(peer, outgoing.manifest, receipt)
    if gap is not None:
        query = {"old": str(gap.old), "new": str(gap.new)}
        bridge = answers.consistency(other, query)["proof"]
        assert Acknowledger(own).accept(peer, outgoing.manifest, receipt, hashes(bridge)) is None
    return True


def settle_all(*nodes: OwnAuthority) -> None:
    """Deliver among all of them, see to what needs no officer, until nothing waits."""
    busy = True
    while busy:
        busy = False
        for one, other in permutations(nodes, 2):
            while deliver_one(one, other, always):
                busy = True
        busy = sum(attend(own) for own in nodes) > 0 or busy


def settle(one: OwnAuthority, other: OwnAuthority) -> None:
    """Deliver both ways until nothing waits."""
    while deliver_one(one, other, always) or deliver_one(other, one, always):
        pass
