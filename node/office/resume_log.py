"""Going on after a loss: the operator answers for what the ledger no longer has (protocol section 5)."""

from dataclasses import dataclass

from node.authority import OwnAuthority
from node.config import log_origin
from node.errors import ConfigError
from node.ledger import acts, peers, recovery, succession
from node.ledger.checkpoints import all_checkpoints
from node.ledger.database import Transaction
from node.office.hold_peer import check_reason
from node.office.officer import Officer, day_of
from node.succession import announce

_ENDED = {"log-fork": ("out", "both"), "stream-fork": ("out", "both"), "position-ahead": ("%",)}
"""Incidents, by direction, that show a loss here; a successor log and a place taken anew end them."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """How the node goes on.

    Attributes:
        origin: Of the log from now on.
        successor: Whether that is a new log.
        predecessor: The last known checkpoint of the log before, ``""`` if there is no new one.
    """

    origin: str
    successor: bool
    predecessor: str = ""


def resume_log(own: OwnAuthority, because: str, officer: Officer, *, new_log: bool) -> Resumed:
    """Let a node sign again that lost entries, or was restored and waits for its peers.

    Where a checkpoint has left that the ledger lacks, or a peer has stated that the log is forked,
    a successor log begins and is announced to each peer; each stream goes on where its peer says
    it is. Where nothing shows a loss, the node just stops waiting. Order of effects: one
    transaction, then the files of the former log are set aside.

    Args:
        own: This node, opened alone.
        because: The operator's reason; peers read it.
        officer: Who says so.
        new_log: Begin a successor though nothing shows a loss: keys and evidence were lost, too.

    Raises:
        ConfigError: ``no-reason`` or ``nothing-to-resume``.
    """
    check_reason(because)
    former = own.checkpoints.number
    try:
        resumed = own.ledger.write(lambda tx: _resume(tx, own, because, officer, new_log))
    except BaseException:
        own.checkpoints.succeed(former)
        raise
    if resumed.successor:
        own.checkpoints.set_aside()
    return resumed


def _resume(
    tx: Transaction, own: OwnAuthority, because: str, officer: Officer, new_log: bool
) -> Resumed:
    beyond, silent = own.checkpoints.beyond(tx), recovery.silent(tx)
    names, now_s = [peer.authority for peer in own.config.peers], own.now_s()
    shown = any(_shows_loss(incident) for name in names for incident in peers.incidents(tx, name))
    if not (beyond or shown or new_log or silent):
        raise ConfigError(
            "this node is not stopped: its ledger has all that has left it, and no peer says "
            "otherwise; --new-log begins a successor log all the same",
            code="nothing-to-resume",
        )
    acts.note(tx, now_s, "ledger resume", because, officer.office, officer.officer)
    recovery.let_go_on(tx, names)
    if not (beyond or shown or new_log):
        return Resumed(own.checkpoints.origin, successor=False)
    number_of = own.checkpoints.number_of
    last = max(beyond, key=lambda one: (number_of(one), one.size), default=None)
    predecessor = last.note if last else _newest(tx, own, now_s)
    number = max([own.checkpoints.number, *map(number_of, beyond)]) + 1
    origin = log_origin(own.name, own.sandbox, number)
    succession.succeed(tx, number, origin, predecessor, because, now_s)
    own.checkpoints.succeed(number)
    for name in names:
        peers.update(
            tx, name, proven_size=0, proven_at=0, shown_size=0, in_flight=None,
            next_try=0, attempts=0,
        )  # fmt: skip
        for code, directions in _ENDED.items():
            for direction in directions:
                peers.resolve(tx, name, because, now_s, code=code, direction=direction)
    announce(tx, own, own.book.ring, officer.signs(own, day_of(own, own.clock.now())))
    return Resumed(origin, successor=True, predecessor=predecessor)


def _shows_loss(incident: peers.Incident) -> bool:
    directions = _ENDED.get(incident.code, ())
    return "%" in directions or incident.direction in directions


def _newest(tx: Transaction, own: OwnAuthority, now_s: int) -> str:
    known = all_checkpoints(tx)
    return known[-1].note if known else own.checkpoints.current(tx, now_s).note
