"""Private keys: made, kept and used here, never shown.

A signer gives raw JOSE signatures; a hardware module can stand behind the same protocol.
"""

import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node import base64url, durable_file, strict_json
from node.documents import SignedDocument
from node.errors import ConfigError
from node.ids import Authority, DocId, Kid
from node.jose.algorithms import ED25519
from node.jose.keys import ROLES, KeySet, PublicKey, read_key_set, thumbprint
from node.jose.strict import doc_digest


class Signer(Protocol):
    """One private key with one role."""

    alg: str
    kid: Kid

    def sign(self, message: bytes) -> bytes:
        """The raw JOSE signature over a message, 64 bytes."""
        ...


class Ed25519Signer:
    """An Ed25519 key held in memory."""

    alg = ED25519

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.kid = thumbprint(_public_jwk(key))

    def sign(self, message: bytes) -> bytes:
        """The signature over a message, 64 bytes (RFC 8032)."""
        return self._key.sign(message)


def new_jti() -> str:
    """128 random bits: they make every doc digest unguessable (protocol section 2)."""
    return base64url.encode(secrets.token_bytes(16))


def sign_document(
    signer: Signer, typ: str, issuer: Authority, claims: Mapping[str, Any]
) -> SignedDocument:
    """Sign a payload as a compact JWS; members keep the order given."""
    payload = base64url.encode(strict_json.dumps(claims))
    signing_input = f"{_header(signer.alg, signer.kid, typ)}.{payload}".encode()
    signature = base64url.encode(signer.sign(signing_input)).encode()
    raw = signing_input + b"." + signature
    digest = doc_digest(raw)
    doc_id = DocId(base64url.encode(digest))
    return SignedDocument(raw, doc_id, digest, typ, issuer, signer.kid, claims)


@lru_cache(maxsize=64)
def _header(alg: str, kid: Kid, typ: str) -> str:
    return base64url.encode(strict_json.dumps({"alg": alg, "kid": kid, "typ": typ}))


def make_keys(authority: Authority, private_folder: Path, now_s: int) -> KeySet:
    """Make one Ed25519 key per role and write the private ones, 0600 in a folder of 0700.

    Raises:
        ConfigError: ``keys-exist`` if the folder already holds something.
    """
    private_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    private_folder.chmod(0o700)
    if any(private_folder.iterdir()):
        raise ConfigError(f"{private_folder} already holds keys", code="keys-exist")
    published = [make_key(role, private_folder, now_s) for role in ROLES]
    return read_key_set(strict_json.dumps({"kp_authority": authority, "keys": published}))


def make_key(role: str, private_folder: Path, begins_s: int) -> dict[str, Any]:
    """Make an Ed25519 key and write it down, 0600 and durable; returns what is published of it.

    Args:
        role: ``doc``, ``msg`` or ``log``.
        private_folder: Where private keys are.
        begins_s: From when it is in use.
    """
    # Late, as what only reads never needs it: it takes a fiftieth of a second.
    from cryptography.hazmat.primitives import serialization

    key = Ed25519PrivateKey.generate()
    jwk = _public_jwk(key)
    kid = thumbprint(jwk)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    descriptor = os.open(private_folder / f"{kid}.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    durable_file.sync(private_folder)
    return jwk | {
        "kid": kid, "alg": ED25519, "use": "sig", "kp_role": role, "kp_not_before": begins_s,
    }  # fmt: skip


def check_private(path: Path) -> None:
    """Refuse a private key, or its folder, that others can read.

    Raises:
        ConfigError: ``key-permissions`` with the command that mends it, ``keys-missing``.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", code="keys-missing") from None
    if mode & 0o077:
        wanted = "700" if path.is_dir() else "600"
        raise ConfigError(
            f"{path} can be read by others (mode {mode:o}); run: chmod {wanted} {path}",
            code="key-permissions",
        )


class Signers(Mapping[str, Signer]):
    """This authority's signers by role: of each the newest key in use at the moment it is asked for.

    Args:
        own: The published set.
        private_folder: Its private keys, a file each.
        now_s: Tells the second.

    Raises:
        ConfigError: ``keys-missing``, ``key-permissions`` or ``bad-key-file``; when a signer is asked
            for, ``keys-missing`` where no key of the role is in use any more.
    """

    def __init__(self, own: KeySet, private_folder: Path, now_s: Callable[[], int]) -> None:
        check_private(private_folder)
        self._own, self._folder, self._now_s = own, private_folder, now_s
        self._loaded: dict[Kid, Signer] = {}
        self._chosen: dict[str, tuple[int, Signer]] = {}
        for role in ROLES:
            signing, wanted = own.signing(role, now_s()), False
            for key in own.with_role(role):  # oldest first
                path, wanted = private_folder / f"{key.kid}.pem", wanted or key is signing
                if wanted or path.exists():  # of a former one it may have been put away
                    self._loaded[key.kid] = _load_signer(key, path)
            self[role]

    def __getitem__(self, role: str) -> Signer:
        """The signer of a role, chosen anew each second."""
        now_s = self._now_s()
        chosen = self._chosen.get(role)
        if chosen is None or chosen[0] != now_s:
            if role not in ROLES:
                raise KeyError(role)
            chosen = self._chosen[role] = (now_s, self._at(role, now_s))
        return chosen[1]

    def __iter__(self) -> Iterator[str]:
        return iter(ROLES)

    def __len__(self) -> int:
        return len(ROLES)

    def _at(self, role: str, now_s: int) -> Signer:
        key = self._own.signing(role, now_s)
        if key is None:
            detail = f"no {role} key of {self._own.authority} is in use now; see kpnode keys list"
            raise ConfigError(detail, code="keys-missing")
        if key.kid not in self._loaded:
            path = self._folder / f"{key.kid}.pem"
            raise ConfigError(f"{path}: no such file", code="keys-missing")
        return self._loaded[key.kid]


def _load_signer(public: PublicKey, path: Path) -> Signer:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    check_private(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} is no unencrypted PKCS#8 key", code="bad-key-file") from None
    if not isinstance(key, Ed25519PrivateKey) or thumbprint(_public_jwk(key)) != public.kid:
        raise ConfigError(f"{path} is not the key {public.kid}", code="bad-key-file")
    return Ed25519Signer(key)


def _public_jwk(key: Ed25519PrivateKey) -> dict[str, Any]:
    raw = key.public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(raw)}
