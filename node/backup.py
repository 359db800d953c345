"""Backups: one file with ledger, settings and public keys; private keys are kept apart.

The file is a tar of `backup.json`, `node.db`, `peers.toml` and the key sets. It is written beside
its name and renamed once everything in it was verified, so a file of that name is a good one.
"""

import errno
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from node import base64url
from node.authority import OwnAuthority
from node.clock import iso
from node.config import MAX_CONFIG_BYTES, PEERS_FILE, Config
from node.crew import Crew
from node.durable_file import sync
from node.errors import ConfigError, LedgerUnavailableError
from node.home_lock import in_use
from node.ids import Authority
from node.jose.keys import MAX_KEY_SET_BYTES, KeySet, read_key_set
from node.ledger import acts, recovery
from node.ledger.audit import Audit, audit
from node.ledger.checkpoints import CheckpointKeeper
from node.ledger.copy import copy
from node.ledger.database import Ledger
from node.peering import keys_of_all_times
from node.progress import Progress

_ABOUT, _DATABASE, _KEYS = "backup.json", "node.db", "keys/"
_FORMAT = "kpnode-backup/1"
_MAX_ABOUT_BYTES = 64 * 1024
_MAX_KEY_SETS = 1001


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: whose ledger, and its log as it was verified."""

    authority: str
    sandbox: bool
    size: int
    root: str
    made_at: str
    sha256: str

    def as_json(self) -> dict[str, Any]:
        """The members of `backup.json`."""
        return {"format": _FORMAT} | {name: getattr(self, name) for name in self.__slots__}


def make(own: OwnAuthority, target: Path, progress: Progress) -> Backup:
    """Back a node up while it runs.

    The copy is of one moment. Every document, signature, tree node and checkpoint in it is
    verified before the file gets its name.

    Raises:
        ConfigError: ``file-exists``, or ``damaged`` with what is wrong in the ledger.
        LedgerUnavailableError: The ledger cannot be read.
        OSError: The file cannot be written; nothing is left of it.
    """
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent))
    if target.exists():
        raise ConfigError(f"{target} exists; give another name", code="file-exists")
    # In a folder of its own: no file of somebody else's has its names.
    with TemporaryDirectory(prefix=".kpnode-backup-", dir=target.parent) as scratch:
        fresh, database = Path(scratch) / "fresh.kpbackup", Path(scratch) / "node.db"
        own.ledger.read(lambda tx: copy(tx, database, lambda *at: progress("copying", *at)))
        with closing(Ledger(database)) as ledger:
            ring = ledger.read(lambda tx: keys_of_all_times(tx, own.config))
            found = _verify(ledger, own.checkpoints, ring | {own.name: own.keys}, progress)
        _only_file(database)
        about = Backup(
            own.name, own.sandbox, found.size, base64url.encode(found.root),
            iso(own.now_s()), _sha256(database),
        )  # fmt: skip
        with _durable(fresh) as file, tarfile.open(fileobj=file, mode="w") as archive:
            _add(archive, _ABOUT, json.dumps(about.as_json(), indent=2).encode())
            _add(archive, PEERS_FILE, (own.config.home / PEERS_FILE).read_bytes())
            for path in (own.config.node.key_set, *(peer.jwks for peer in own.config.peers)):
                if path.exists():
                    _add(archive, _KEYS + path.name, path.read_bytes())
            archive.add(database, _DATABASE, filter=_nobody)
        fresh.replace(target)
        sync(target.parent)
        with suppress(LedgerUnavailableError):  # the file counts all the same
            own.ledger.write(lambda tx: acts.note(tx, own.now_s(), "backup", str(target)))
    return about


def read_about(source: Path) -> Backup:
    """What a backup file says of itself.

    Raises:
        ConfigError: ``bad-backup``.
        OSError: The file cannot be read.
    """
    with _opened(source) as archive:
        try:
            said = json.loads(_member(archive, _ABOUT, _MAX_ABOUT_BYTES))
            if said.pop("format") != _FORMAT:
                raise ValueError("another format")
            return Backup(**said)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise _bad(source, f"{_ABOUT}: {error}") from None


def unpack_settings(source: Path, home: Path) -> None:
    """Put settings and public key sets into a home that has none; existing files stay.

    Raises:
        ConfigError: ``bad-backup``.
        OSError: The home cannot be written.
    """
    about = read_about(source)
    with _opened(source) as archive:
        digest = hashlib.file_digest(_file_in(archive, source, _DATABASE), "sha256")  # type: ignore[arg-type]
        if digest.hexdigest() != about.sha256:
            raise _bad(source, f"{_DATABASE} is not the one that was backed up (SHA-256)")
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        names = [name for name in archive.getnames() if name.startswith(_KEYS)]
        if len(names) > _MAX_KEY_SETS:
            raise _bad(source, "too many key sets")
        for name in names:
            raw = _member(archive, name, MAX_KEY_SET_BYTES)
            target = home / "keys" / f"{read_key_set(raw).authority}.jwks.json"
            target.parent.mkdir(exist_ok=True, mode=0o700)
            if not target.exists():
                target.write_bytes(raw)
        settings = home / PEERS_FILE
        if not settings.exists():
            settings.write_bytes(_member(archive, PEERS_FILE, MAX_CONFIG_BYTES))


def restore(
    source: Path,
    config: Config,
    keeper: Callable[[Ledger], CheckpointKeeper],
    own_keys: KeySet,
    stamp: str,
    progress: Progress,
) -> tuple[Backup, Path | None]:
    """Put the ledger of a backup into a home; a ledger that is there is moved aside.

    It is verified before anything is moved. Afterwards the node signs nothing until each peer that
    it calls has said what it holds of the log, or an operator lets it go on.

    Args:
        source: The backup.
        config: The home's settings.
        keeper: Makes the keeper of the log in a ledger.
        own_keys: This authority's published keys.
        stamp: What the former ledger's name gets, e.g. the time.
        progress: Called now and then.

    Returns:
        What was restored, and where the former ledger is now.

    Raises:
        ConfigError: ``bad-backup``, ``wrong-home``, ``home-in-use`` or ``damaged``; nothing was
            changed.
    """
    about, node = read_about(source), config.node
    if (about.authority, about.sandbox) != (node.authority, node.sandbox):
        raise ConfigError(
            f"{source} is of {about.authority}, sandbox {about.sandbox}; this home is of "
            f"{node.authority}, sandbox {node.sandbox}",
            code="wrong-home",
        )
    with _opened(source) as archive:
        theirs = read_key_set(_member(archive, f"{_KEYS}{node.key_set.name}", MAX_KEY_SET_BYTES))
    if not theirs.keys.keys() <= own_keys.keys.keys():  # renewed keys stand beside the former
        raise ConfigError(
            f"{source} was made under other keys ({theirs.fingerprint}) than this home has; bring "
            f"back {node.key_set} of its time, or restore into a new home",
            code="wrong-home",
        )
    folder = node.database.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh, aside = node.database.with_name(node.database.name + ".restored"), None
    with in_use(folder, alone=True):
        try:
            _extract(source, fresh, about.sha256, progress)
            with closing(Ledger(fresh)) as ledger:
                ring = ledger.read(lambda tx: keys_of_all_times(tx, config))
                ring[node.authority] = own_keys
                found = _verify(ledger, keeper(ledger), ring, progress)
                if (found.size, base64url.encode(found.root)) != (about.size, about.root):
                    raise _bad(source, "the ledger is not the one that was backed up")
                asked = [peer.authority for peer in config.peers if peer.called]
                ledger.write(lambda tx: recovery.await_word(tx, asked))
            _only_file(fresh)
            if node.database.exists():
                aside = node.database.with_name(f"{node.database.name}.before-{stamp}")
                for path in (node.database, *_beside(node.database)):
                    if path.exists():
                        end = path.name.removeprefix(node.database.name)
                        path.replace(aside.with_name(aside.name + end))
            fresh.replace(node.database)
            sync(folder)
        finally:
            for path in (fresh, *_beside(fresh)):
                path.unlink(missing_ok=True)
    return about, aside


def _verify(
    ledger: Ledger, keeper: CheckpointKeeper, ring: dict[Authority, KeySet], progress: Progress
) -> Audit:
    with closing(Crew()) as crew:
        found = ledger.read(lambda tx: audit(tx, keeper, ring, crew, progress))
    if not found.ok:
        told = "; ".join(found.problems[:3])
        raise ConfigError(
            f"the ledger is damaged: {told}; see kpnode ledger verify", code="damaged"
        )
    return found


def _extract(source: Path, target: Path, sha256: str, progress: Progress) -> None:
    digest = hashlib.sha256()
    with _opened(source) as archive, _durable(target) as out:
        member = _file_in(archive, source, _DATABASE)
        done = 0
        while piece := member.read(1024 * 1024):
            out.write(piece)
            digest.update(piece)
            done += len(piece)
            progress("unpacking", done, max(done, archive.getmember(_DATABASE).size))
    if digest.hexdigest() != sha256:
        raise _bad(source, f"{_DATABASE} is not the one that was backed up (SHA-256)")


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, mode="r:") as archive:
            yield archive
    except tarfile.TarError as error:
        raise _bad(source, str(error)) from None


def _member(archive: tarfile.TarFile, name: str, limit: int) -> bytes:
    source = Path(str(archive.name))
    raw = _file_in(archive, source, name).read(limit + 1)
    if len(raw) > limit:
        raise _bad(source, f"{name} has more than {limit} bytes")
    return raw


def _file_in(archive: tarfile.TarFile, source: Path, name: str) -> IO[bytes]:
    try:
        member = archive.getmember(name)
        found = archive.extractfile(member) if member.isfile() else None
    except KeyError:
        found = None
    if found is None:
        raise _bad(source, f"no {name} in it")
    return found


@contextmanager
def _durable(path: Path) -> Iterator[IO[bytes]]:
    """A new file for its owner only, on the disk when this ends."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _add(archive: tarfile.TarFile, name: str, raw: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(raw), 0o600
    archive.addfile(info, io.BytesIO(raw))


def _nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    return info


def _only_file(database: Path) -> None:
    """A closed ledger is one file; what stands beside it would be of another."""
    assert not any(path.exists() for path in _beside(database) if path.suffix.endswith("wal"))


def _beside(database: Path) -> list[Path]:
    return [database.with_name(database.name + end) for end in ("-wal", "-shm", "-journal")]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bad(source: Path, text: str) -> ConfigError:
    return ConfigError(f"{source}: no usable backup: {text}", code="bad-backup")
