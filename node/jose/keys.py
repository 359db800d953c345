"""Public keys and key sets: read strictly, identified by thumbprint, compared by fingerprint."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from node import base64url, strict_json
from node.clock import CLOCK_GRACE_S
from node.errors import ConfigError
from node.ids import AUTHORITY, Authority, Kid
from node.jose.algorithms import ED25519, ES256, es256

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

ROLES = ("doc", "msg", "log")
MAX_KEY_SET_BYTES = 256 * 1024

_LOW_ORDER = frozenset(
    bytes.fromhex(point)
    for point in (
        # The eight points of small order and their six non-canonical encodings (C2SP, CCTV ed25519):
        # under such a key one signature verifies for any message.
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
)

_REQUIRED = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y")}
_TIMES = ("kp_not_before", "kp_retire_after", "kp_revoked_at")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key of an authority: one algorithm, one role, a span of use.

    Attributes:
        not_before, retire_after, revoked_at: Seconds since 1970, or None.
        raw: The 32 bytes of an Ed25519 key, ``b""`` for ES256.
    """

    kid: Kid
    alg: str
    role: str
    not_before: int | None
    retire_after: int | None
    revoked_at: int | None
    raw: bytes
    key: "Ed25519PublicKey | EllipticCurvePublicKey" = field(repr=False)
    jwk: Mapping[str, Any] = field(repr=False)

    def current_at(self, moment_s: int) -> bool:
        """Whether the key was in use then, with the clock's grace at both ends."""
        begun = self.not_before is None or self.not_before - CLOCK_GRACE_S <= moment_s
        ended = self.retire_after is not None and moment_s > self.retire_after + CLOCK_GRACE_S
        return begun and not ended


@dataclass(frozen=True, slots=True)
class KeySet:
    """The public keys of one authority."""

    authority: Authority
    keys: Mapping[Kid, PublicKey]

    @property
    def fingerprint(self) -> str:
        """Eight groups of four letters, to be compared over the phone (protocol section 1)."""
        listed = "".join(f"{kid}\n" for kid in sorted(self.keys)).encode()
        letters = base64.b32encode(hashlib.sha256(listed).digest()[:20]).decode()
        return " ".join(letters[at : at + 4] for at in range(0, len(letters), 4))

    def with_role(self, role: str) -> list[PublicKey]:
        """The keys of a role that are not revoked, oldest first."""
        fit = [k for k in self.keys.values() if k.role == role and k.revoked_at is None]
        return sorted(fit, key=lambda k: k.not_before or 0)

    def signing(self, role: str, moment_s: int) -> PublicKey | None:
        """The key of a role that signs then: the newest in use; None if there is none."""
        current = [key for key in self.with_role(role) if key.current_at(moment_s)]
        return current[-1] if current else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _kept, (strict_json.dumps(self.as_json()),)  # OpenSSL's keys cannot be pickled

    def as_json(self) -> dict[str, Any]:
        """The set as it is published (RFC 7517)."""
        return {"kp_authority": self.authority, "keys": [dict(k.jwk) for k in self.keys.values()]}


def same_fingerprint(one: str, other: str) -> bool:
    """Compare as people write them: case, spaces and dashes do not matter."""
    return _plain(one) == _plain(other)


def _plain(fingerprint: str) -> str:
    return "".join(c for c in fingerprint.upper() if c.isalnum())


def thumbprint(jwk: Mapping[str, Any]) -> Kid:
    """RFC 7638 SHA-256 thumbprint of an OKP, EC, RSA or oct key.

    Raises:
        KeyError: A required member is missing.
    """
    names = {"RSA": ("e", "kty", "n"), "oct": ("k", "kty")} | _REQUIRED
    needed = {name: jwk[name] for name in sorted(names[jwk["kty"]])}
    return Kid(base64url.encode(hashlib.sha256(strict_json.dumps(needed)).digest()))


def read_key_set(raw: bytes) -> KeySet:
    """Read a published key set.

    Checks the form, that every kid is the key's thumbprint, that each key has one algorithm and
    one role, and that no Ed25519 key is of small order. Does not check who published it.

    Raises:
        ConfigError: ``bad-key-set``, with the key and what is wrong.
    """
    if len(raw) > MAX_KEY_SET_BYTES:
        raise _bad(f"expected at most {MAX_KEY_SET_BYTES} bytes, got {len(raw)}")
    return _key_set(raw)


def _key_set(raw: bytes) -> KeySet:
    try:
        parsed = strict_json.loads(raw)
    except ValueError as error:
        raise _bad(f"not strict JSON: {error}") from None
    if not isinstance(parsed, dict) or not isinstance(parsed.get("keys"), list):
        raise _bad('expected an object with a "keys" array')
    authority = parsed.get("kp_authority")
    if not isinstance(authority, str) or not AUTHORITY.fullmatch(authority):
        raise _bad(f"kp_authority: expected an authority, got {authority!r}")
    keys: dict[Kid, PublicKey] = {}
    for number, jwk in enumerate(parsed["keys"]):
        key = _read_key(f"keys[{number}]", jwk)
        if key.kid in keys:
            raise _bad(f"keys[{number}]: {key.kid} stands twice; one key has one role")
        keys[key.kid] = key
    missing = [role for role in ROLES if not any(k.role == role for k in keys.values())]
    if missing:
        raise _bad(f"no key with role {', '.join(missing)}")
    return KeySet(Authority(authority), keys)


@lru_cache(maxsize=256)
def _kept(raw: bytes) -> KeySet:
    return _key_set(raw)


def read_public_key(jwk: Mapping[str, Any]) -> "Ed25519PublicKey | EllipticCurvePublicKey":
    """The cryptographic key of a public Ed25519 or P-256 JWK.

    Raises:
        ConfigError: ``bad-key-set``: another curve, a point of small order, private parts.
    """
    if "d" in jwk:
        raise _bad("a private key stands in a public set; make new keys")
    try:
        for name in _REQUIRED[jwk["kty"]][2:]:
            if len(base64url.decode(jwk[name])) != 32:
                raise _bad(f"{name}: expected 32 bytes")
        if (jwk["kty"], jwk["crv"]) == ("OKP", "Ed25519"):
            raw = base64url.decode(jwk["x"])
            if raw in _LOW_ORDER:
                raise _bad("a point of small order; any signature would verify")
            return Ed25519PublicKey.from_public_bytes(raw)
        if (jwk["kty"], jwk["crv"]) == ("EC", "P-256"):
            return _p256(jwk)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _bad(f"unusable key: {error}") from None
    raise _bad(f"expected Ed25519 or P-256, got {jwk['crv']}")


def _p256(jwk: Mapping[str, Any]) -> "EllipticCurvePublicKey":
    from jwt.exceptions import InvalidKeyError

    try:
        key = es256().from_jwk(dict(jwk))
    except InvalidKeyError as error:
        raise _bad(f"unusable key: {error}") from None
    public: EllipticCurvePublicKey = key  # type: ignore[assignment] # it has no private part
    return public


def _read_key(where: str, jwk: Any) -> PublicKey:
    if not isinstance(jwk, dict):
        raise _bad(f"{where}: expected an object")
    try:
        key = read_public_key(jwk)
        kid = thumbprint(jwk)
    except ConfigError as error:
        raise _bad(f"{where}: {error}") from None
    alg = ED25519 if isinstance(key, Ed25519PublicKey) else ES256
    for member, expected in (("kid", kid), ("alg", alg), ("use", "sig")):
        if jwk.get(member) != expected:
            raise _bad(f"{where}: {member}: expected {expected}, got {jwk.get(member)!r}")
    role = jwk.get("kp_role")
    if role not in ROLES:
        raise _bad(f"{where}: kp_role: expected doc, msg or log, got {role!r}")
    if role == "log" and alg != ED25519:
        raise _bad(f"{where}: a log key is Ed25519")
    times = [jwk.get(name) for name in _TIMES]
    for name, moment in zip(_TIMES, times, strict=True):
        if moment is not None and (type(moment) is not int or not 0 <= moment < 2**53):
            raise _bad(f"{where}: {name}: expected seconds since 1970")
    return PublicKey(
        kid=kid,
        alg=alg,
        role=role,
        not_before=times[0],
        retire_after=times[1],
        revoked_at=times[2],
        raw=base64url.decode(jwk["x"]) if isinstance(key, Ed25519PublicKey) else b"",
        key=key,
        jwk=jwk,
    )


def _bad(text: str) -> ConfigError:
    return ConfigError(text, code="bad-key-set")
