"""Builds a node from its home; the only place that knows every room below `web`."""

import os
import pwd
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from node import config as settings
from node.authority import Fault, OwnAuthority, no_fault
from node.clock import Clock, SystemClock, seconds
from node.config import Config, NodeSettings
from node.crew import Crew
from node.domain.reference import reference
from node.errors import ConfigError
from node.home_lock import in_use
from node.jose.keys import KeySet, read_key_set
from node.jose.signing import Signer, Signers
from node.jose.verify import verify_raw
from node.ledger import entries, succession
from node.ledger.checkpoints import CheckpointKeeper, Signing
from node.ledger.database import Ledger, up_to_date
from node.log.note import Check, Sign
from node.peering import open_book
from node.schema.validation import check

PATIENCE_S = 10.0
"""For others to leave a ledger whose tables must be changed."""


def read_config(home: Path) -> Config:
    """A home's `peers.toml` and reference tables, checked.

    Raises:
        ConfigError: ``no-home``, ``bad-config`` or ``bad-reference``.
    """
    config = settings.load(home, check)
    reference(config.reference)
    return config


def read_own_keys(node: NodeSettings) -> KeySet:
    """This authority's published key set.

    Raises:
        ConfigError: ``keys-missing`` or ``bad-key-set``.
    """
    try:
        keys = read_key_set(node.key_set.read_bytes())
    except OSError as error:
        raise ConfigError(f"{node.key_set}: {error.strerror}", code="keys-missing") from None
    if keys.authority != node.authority:
        raise ConfigError(f"{node.key_set} is of {keys.authority}", code="bad-key-set")
    return keys


@contextmanager
def open_node(
    home: Path,
    *,
    clock: Clock | None = None,
    fault: Fault = no_fault,
    signing: bool = True,
    alone: bool = False,
) -> Iterator[OwnAuthority]:
    """A node of a home, closed at the end.

    Args:
        home: The folder with `peers.toml`.
        clock: The machine's by default.
        fault: Called before each effect; only tests hand one in.
        signing: Whether private keys are needed; reading a ledger works without them.
        alone: Whether no other process may have the home open.

    Raises:
        ConfigError: The home, its keys or its database are not usable; says how to mend it.
    """
    config, clock = read_config(home), clock or SystemClock()
    _check_access(config, signing=signing)
    now_s = seconds(clock.now())
    keys = read_own_keys(config.node)
    signers = _signers(config.node, keys, clock) if signing else {}
    _bring_up_to_date(config.node.database)
    with (
        in_use(config.node.database.parent, alone=alone),
        closing(Ledger(config.node.database)) as ledger,
        closing(Crew("node.exchange.ready")) as crew,
    ):
        _check_origin(ledger, config.node)
        keeper = checkpoint_keeper(config.node, keys, signers, ledger)
        book = ledger.write(lambda tx: open_book(tx, config, now_s))
        yield OwnAuthority(config, keys, signers, ledger, keeper, clock, book, crew, fault)


def _check_access(config: Config, *, signing: bool) -> None:
    """Tell who may not see the home's folders apart from who has none.

    Raises:
        ConfigError: ``no-access``.
    """
    keys = [config.node.private_keys] if signing else []
    for folder in (config.node.database.parent, *keys):
        try:
            os.listdir(folder)
        except PermissionError:
            raise ConfigError(
                f"{folder}: this user may not look into it; the home belongs to "
                f"{_user(config.home.stat().st_uid)}: run kpnode as that user",
                code="no-access",
            ) from None
        except OSError:
            pass  # whoever needs what is in it says what is missing


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _bring_up_to_date(database: Path) -> None:
    """Change the tables of an earlier version while nobody else has them: its node would stumble.

    Commands that start together wait for the one that does it.

    Raises:
        ConfigError: ``home-in-use``.
    """
    until = time.monotonic() + PATIENCE_S
    while not up_to_date(database):
        try:
            with in_use(database.parent, alone=True):
                Ledger(database).close()
        except ConfigError as error:
            if error.code != "home-in-use":
                raise
            if time.monotonic() > until:
                raise ConfigError(
                    f"{database} has the tables of an earlier version, and somebody has it open; "
                    "stop the node and wait for other commands, then try again",
                    code=error.code,
                ) from None
            time.sleep(0.1)


def reread(own: OwnAuthority) -> Config:
    """A home's settings as they are now; this node's own keys, as they are now, are taken over.

    Raises:
        ConfigError: As `read_config` and `read_own_keys`; the former keys stay.
    """
    config = read_config(own.config.home)
    keys = read_own_keys(own.config.node)
    signers = _signers(own.config.node, keys, own.clock)
    own.keys, own.signers = keys, signers
    own.checkpoints.take_keys(_log_signing(keys, signers), _log_keys(keys), _good_log_keys(keys))
    return config


def _signers(node: NodeSettings, keys: KeySet, clock: Clock) -> Signers:
    return Signers(keys, node.private_keys, lambda: seconds(clock.now()))


def checkpoint_keeper(
    node: NodeSettings, keys: KeySet, signers: Mapping[str, Signer], ledger: Ledger
) -> CheckpointKeeper:
    """The keeper of the log in a ledger; without signers it reads and checks only."""
    return CheckpointKeeper(
        node.origin,
        ledger.read(succession.number),
        _log_signing(keys, signers) if signers else _no_key,
        _log_keys(keys),
        _good_log_keys(keys),
        node.released_checkpoint,
    )


def _log_signing(keys: KeySet, signers: Mapping[str, Signer]) -> Signing:
    def present() -> tuple[bytes, Sign]:
        signer = signers["log"]
        return keys.keys[signer.kid].raw, signer.sign

    return present


def _log_keys(keys: KeySet) -> list[tuple[bytes, Check]]:
    return [(key.raw, partial(verify_raw, key)) for key in keys.keys.values() if key.role == "log"]


def _check_origin(ledger: Ledger, node: NodeSettings) -> None:
    origin = ledger.write(lambda tx: entries.belong_to(tx, node.origin))
    if origin != node.origin:
        raise ConfigError(
            f"{node.database} is the ledger of {origin}, the settings are for {node.origin}: "
            "authority and sandbox are for life; make another home with kpnode init",
            code="wrong-home",
        )


def _good_log_keys(keys: KeySet) -> list[bytes]:
    return [key.raw for key in keys.with_role("log")]


def _no_key() -> tuple[bytes, Sign]:
    raise ConfigError("this needs the private keys", code="keys-missing")
