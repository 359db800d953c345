"""A hostile peer: it has RU's real keys and a node of EU-BE before it, over real HTTP.

Each case is a name, what the peer does, and how the node must answer: a problem's status and code, or
for a document inside a good bundle the code it is refused with.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from node.authority import OwnAuthority
from node.jose.signing import new_jti
from tests.serving import hung_up
from tests.wire import Wire, b64, payload, unb64

BUNDLE, RECEIPT = "application/vnd.kp.bundle", "application/jose"
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


@dataclass(frozen=True)
class Answer:
    """What came back, read as far as it is needed."""

    status: int
    body: bytes

    @property
    def code(self) -> str | None:
        try:
            return str(json.loads(self.body)["code"])
        except (ValueError, KeyError, TypeError):
            return None


class Attacker:
    """Speaks to one node as a peer whose keys it has, and as whatever else it likes."""

    def __init__(self, own: OwnAuthority, other: OwnAuthority, third: OwnAuthority) -> None:
        self.own, self.other, self.third = own, other, third
        self.url = other.config.node.url
        self.wire = Wire(own, other)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.request(
                method, self.url + path, data=body, headers=named,
                skip_auto_headers=("Content-Type",), allow_redirects=False,
            ) as answer,
        ):  # fmt: skip
            told = Answer(answer.status, await answer.read())
        await hung_up()
        return told

    async def post(self, raw: bytes, **headers: str) -> Answer:
        import io

        return await self.ask(
            "POST", "/kpx/v1/bundles", io.BytesIO(raw), **({"Content_Type": BUNDLE} | headers)
        )

    async def send(self, *lines: bytes, **changes: Any) -> Answer:
        """A bundle that is good but for what is changed."""
        manifest, _ = self.wire.manifest(list(lines), **changes)
        return await self.post(manifest + b"\n" + b"".join(line + b"\n" for line in lines))

    async def deliver(self, *lines: bytes) -> list[Any]:
        """A good bundle; returns the results, and moves on as a sender does."""
        manifest, body = self.wire.manifest(list(lines))
        answer = await self.post(manifest + b"\n" + b"".join(line + b"\n" for line in lines))
        assert answer.status == 200, answer.body
        receipt = payload(answer.body)["body"]
        self.wire.last = body["stream"]["last"]
        self.wire.head = unb64(body["stream"]["head"])
        self.wire.held = len(self.wire.log.leaves)
        return list(receipt["results"])

    def forge(self, header: bytes, body: bytes, role: str = "msg") -> bytes:
        """A JWS of any bytes, really signed."""
        signing_input = f"{b64(header)}.{b64(body)}".encode()
        return signing_input + b"." + b64(self.own.signers[role].sign(signing_input)).encode()

    def header(self, role: str = "msg", kind: str = "manifest", **changes: Any) -> dict[str, Any]:
        signer = self.own.signers[role]
        header = {"alg": "Ed25519", "kid": signer.kid, "typ": f"vnd.kp.{kind}.v1+jwt"} | changes
        return {name: value for name, value in header.items() if value is not None}

    def claims(self, *lines: bytes, **changes: Any) -> dict[str, Any]:
        manifest, _ = self.wire.manifest(list(lines), **changes)
        return dict(payload(manifest))

    def certificate(self, body: dict[str, Any] | None = None, **claims: Any) -> bytes:
        from tests.test_exchange import payload_of_example

        return self.wire.document(payload_of_example() | (body or {}), **claims)

    def token(self, target: str, **claims: Any) -> str:
        """A request token; `claims` override the envelope's members."""
        now_s = self.own.now_s()
        envelope = {
            "iss": "RU", "aud": ["EU-BE"], "iat": now_s, "exp": now_s + 60, "jti": new_jti(),
            "sandbox": True, "body": {"method": "GET", "target": target},
        } | claims  # fmt: skip
        kept = {name: value for name, value in envelope.items() if value is not None}
        header = json.dumps(self.header(kind="request")).encode()
        return "KPX " + self.forge(header, json.dumps(kept).encode()).decode()


Act = Callable[[Attacker], Any]


@dataclass(frozen=True)
class Case:
    """One thing a hostile peer does, and the answer it must get."""

    name: str
    act: Act
    status: int
    code: str | None


def cases() -> Iterator[Case]:
    """All of them; those that end the pair's exchange come last."""
    yield from _http()
    yield from _manifests()
    yield from _framing()
    yield from _log()
    yield from _tokens()
    yield from _receipts()
    yield from _documents()
    yield from _forks()


def _http() -> Iterator[Case]:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        yield Case(
            f"{method} on bundles", lambda a, m=method: a.ask(m, "/kpx/v1/bundles"), 405,
            "not-allowed",
        )  # fmt: skip
    for path in ("/", "/kpx/v1/", "/kpx/v2/bundles", "/kpx/v1/bundles/", "/.well-known/",
                 "/kpx/v1/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/kpx/v1/bundles%00"):  # fmt: skip
        yield Case(f"path {path}", lambda a, p=path: a.ask("GET", p), 404, "not-found")
    for media in ("application/json", "text/plain", "application/octet-stream",
                  "multipart/form-data; boundary=x", "application/vnd.kp.bundle+gzip"):  # fmt: skip
        yield Case(
            f"media type {media}", lambda a, m=media: a.post(b"x\n", Content_Type=m), 415,
            "unsupported-media",
        )  # fmt: skip
    for coding in ("gzip", "deflate", "br", "zstd", "identity"):
        yield Case(
            f"compressed: {coding}", lambda a, c=coding: a.post(b"x\n", Content_Encoding=c), 415,
            "unsupported-media",
        )  # fmt: skip
    yield Case(
        "announced too large", lambda a: a.post(b"A" * (8 * 1024 * 1024 + 1)), 413, "too-large"
    )
    yield Case(
        "an endless first line", lambda a: a.post(b"A" * (2 * 1024 * 1024)), 413, "too-large"
    )
    for name, raw in {
        "nothing": b"", "a line end": b"\n", "many line ends": b"\n" * 5000, "zeros": b"\0" * 1000,
        "0xFF": b"\xff" * 1000 + b"\n", "no line end": b"a.b.c", "JSON": b'{"iss":"RU"}\n',
        "XML": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a/>\n",
        "three dots": b"...\n", "UTF-16": "a.b.c\n".encode("utf-16"),
    }.items():  # fmt: skip
        yield Case(f"body: {name}", lambda a, r=raw: a.post(r), 400, "malformed-bundle")


def _manifests() -> Iterator[Case]:
    def with_header(a: Attacker, role: str = "msg", **changes: Any) -> Any:
        header = json.dumps(a.header(role, **changes)).encode()
        return a.post(a.forge(header, json.dumps(a.claims()).encode(), role) + b"\n")

    def raw_payload(a: Attacker, text: bytes) -> Any:
        return a.post(a.forge(json.dumps(a.header()).encode(), text) + b"\n")

    malformed = {
        "alg none": {"alg": "none"}, "alg HS256": {"alg": "HS256"}, "alg EdDSA": {"alg": "EdDSA"},
        "alg RS256": {"alg": "RS256"}, "alg in small letters": {"alg": "ed25519"},
        "alg as a list": {"alg": ["Ed25519"]}, "no alg": {"alg": None}, "no kid": {"kid": None},
        "no typ": {"typ": None}, "crit": {"crit": ["exp"]}, "jwk": {"jwk": {"kty": "OKP"}},
        "jku": {"jku": "http://localhost:1/"}, "x5u": {"x5u": "http://localhost:1/"},
        "b64 false": {"b64": False}, "zip": {"zip": "DEF"}, "kid a path": {"kid": "../../etc/passwd"},
        "kid SQL": {"kid": "' OR 1=1 --"}, "kid 1 MB": {"kid": "A" * 500_000},
        "typ of a certificate": {"typ": "vnd.kp.certificate.v1+jwt"},
        "typ of a receipt": {"typ": "vnd.kp.receipt.v1+jwt"},
        "typ of version 2": {"typ": "vnd.kp.manifest.v2+jwt"},
        "typ in capitals": {"typ": "VND.KP.MANIFEST.V1+JWT"},
    }  # fmt: skip
    for name, changes in malformed.items():
        yield Case(
            f"header: {name}", lambda a, c=changes: with_header(a, **c), 400, "malformed-bundle"
        )
    for name, role in (("doc", "doc"), ("log", "log")):
        yield Case(
            f"signed by the {name} key", lambda a, r=role: with_header(a, r), 401, "bad-signature"
        )
    yield Case("kid of nobody", lambda a: with_header(a, kid="A" * 43), 401, "bad-signature")
    yield Case("alg of another curve", lambda a: with_header(a, alg="ES256"), 401, "bad-signature")
    deep = b'{"iss":"RU","body":' + b"[" * 17 + b"]" * 17 + b"}"
    endless = b'{"iss":"RU","body":' + b"[" * 300_000 + b"]" * 300_000 + b"}"
    for name, text in {
        "an array": b"[]", "a number": b"1", "nothing": b"", "not JSON": b"{",
        "a member twice": b'{"iss":"BY","iss":"RU"}', "NaN": b'{"iss":"RU","iat":NaN}',
        "Infinity": b'{"iss":"RU","iat":-Infinity}', "beyond a double": b'{"iss":"RU","iat":1e400}',
        "a lone surrogate": b'{"iss":"RU","a":"\\ud800"}', "UTF-8 that is none": b'{"iss":"\xff"}',
        "a byte order mark": b'\xef\xbb\xbf{"iss":"RU"}', "17 deep": deep, "300,000 deep": endless,
        "a trailing comma": b'{"iss":"RU",}', "a comment": b'{"iss":"RU"/**/}',
        "two values": b'{"iss":"RU"}{"iss":"RU"}',
    }.items():  # fmt: skip
        yield Case(f"payload: {name}", lambda a, t=text: raw_payload(a, t), 400, "malformed-bundle")

    def encoding(change: Callable[[bytes], bytes]) -> Act:
        return lambda a: a.post(change(a.wire.manifest([])[0]) + b"\n")

    for name, change in {
        "padding": lambda m: m + b"=", "a space": lambda m: m.replace(b".", b" .", 1),
        "a tab": lambda m: b"\t" + m, "a carriage return": lambda m: m + b"\r",
        "four parts": lambda m: m + b".AA", "two parts": lambda m: m[: m.rfind(b".")],
        "a cut signature": lambda m: m[:-1], "plus for minus": lambda m: m + b"+",
        "stray bits in the last character": _stray, "JSON serialization": lambda m: b'{"payload":"' + m,
    }.items():  # fmt: skip
        yield Case(f"encoding: {name}", encoding(change), 400, "malformed-bundle")
    for name, change in {
        "a flipped bit": _flip, "S plus the order": _malleable, "no signature": lambda m: m[: m.rfind(b".") + 1],
        "zeros": lambda m: m[: m.rfind(b".") + 1] + b64(bytes(64)).encode(),
        "of another payload": _other_payload,
    }.items():  # fmt: skip
        yield Case(f"signature: {name}", encoding(change), 401, "bad-signature")

    def claiming(**claims: Any) -> Act:
        return lambda a: a.send(**claims)

    yield Case("iss of another peer", claiming(iss="BY"), 401, "bad-signature")
    yield Case("iss of a stranger", claiming(iss="AO"), 401, "unknown-peer")
    yield Case("iss of the node itself", claiming(iss="EU-BE"), 401, "unknown-peer")
    yield Case("iss SQL", claiming(iss="RU' OR '1'='1"), 401, "unknown-peer")
    yield Case("iss a list", claiming(iss=["RU"]), 401, "unknown-peer")
    yield Case("aud of another", claiming(aud=["BY"]), 403, "wrong-audience")
    yield Case("aud of two", claiming(aud=["BY", "EU-BE"]), 403, "wrong-audience")
    yield Case("aud of all", claiming(aud=["*"]), 403, "wrong-audience")
    yield Case("aud a text", claiming(aud="EU-BE"), 403, "wrong-audience")
    yield Case("no sandbox", claiming(sandbox=None), 403, "wrong-sandbox")
    yield Case(
        "expired",
        lambda a: a.send(exp=a.own.now_s() - 200),
        400,
        "expired",
    )
    yield Case("of the future", lambda a: a.send(iat=a.own.now_s() + 200), 400, "expired")
    yield Case(
        "good for a year",
        lambda a: a.send(exp=a.own.now_s() + 365 * 86400),
        400,
        "malformed-bundle",
    )
    yield Case("exp before iat", lambda a: a.send(exp=a.own.now_s() - 10), 400, "malformed-bundle")
    yield Case("another protocol", claiming(protocol="KPX/2"), 400, "unsupported-version")
    for name, changes in {
        "first 0": {"stream": {"first": 0, "last": 0, "prev_head": "A" * 43, "head": "A" * 43}},
        "positions as text": {"stream": {"first": "1", "last": "0"}},
        "documents a text": {"documents": "x"}, "indexes negative": {"indexes": [-1]},
        "an index as a float": {"indexes": [1.5]}, "a member more": {"admin": True},
        "witnessed a number": {"witnessed": 5}, "log missing": {"log": {}},
        "a digest with stray bits": {"digest": "A" * 42 + "B"},
        "a thousand and one documents": {"documents": ["A" * 43] * 1001},
        "65 hashes": {"log": {"checkpoint": "x", "from_size": 0, "consistency": ["A" * 43] * 65}},
    }.items():  # fmt: skip
        yield Case(f"body: {name}", claiming(**changes), 400, "malformed-bundle")


def _framing() -> Iterator[Case]:
    def posted(change: Callable[[bytes, list[bytes]], bytes]) -> Act:
        def act(a: Attacker) -> Any:
            lines = [a.certificate({"number": f"RU0009{n:04d}"}) for n in range(2)]
            return a.post(change(a.wire.manifest(lines)[0], lines))

        return act

    yield from (
        Case(f"framing: {name}", posted(change), 400, "malformed-bundle")
        for name, change in {
            "no documents": lambda m, _: m + b"\n",
            "one document too few": lambda m, d: m + b"\n" + d[0] + b"\n",
            "one too many": lambda m, d: m + b"\n" + b"\n".join([*d, d[0]]) + b"\n",
            "swapped": lambda m, d: m + b"\n" + d[1] + b"\n" + d[0] + b"\n",
            "no last line end": lambda m, d: m + b"\n" + b"\n".join(d),
            "an empty line": lambda m, d: m + b"\n" + b"\n\n".join(d) + b"\n",
            "carriage returns": lambda m, d: m + b"\n" + b"\r\n".join(d) + b"\r\n",
            "bytes after the end": lambda m, d: m + b"\n" + b"\n".join(d) + b"\n\x00",
            "a document changed": lambda m, d: m + b"\n" + d[0][:-4] + b"AAAA\n" + d[1] + b"\n",
            "a signature exchanged": lambda m, d: (
                m
                + b"\n"
                + d[0][: d[0].rfind(b".")]
                + d[1][d[1].rfind(b".") :]
                + b"\n"
                + d[1]
                + b"\n"
            ),
            "letters beyond ASCII": lambda m, d: m + b"\n" + "ß".encode() + b"\n" + d[1] + b"\n",
        }.items()
    )
    zero = b64(bytes(32))
    for name, changes in {
        "a digest of other bytes": {"digest": zero},
        "doc ids of other documents": {"documents": [zero]},
        "a head that does not follow": {
            "stream": {"first": 1, "last": 1, "prev_head": zero, "head": zero}
        },
        "an index beyond the checkpoint": {"indexes": [10**9]},
        "more positions than documents": {
            "stream": {"first": 1, "last": 5, "prev_head": zero, "head": zero}
        },
    }.items():  # fmt: skip
        yield Case(
            f"manifest: {name}",
            lambda a, c=changes: a.send(a.certificate(), **c), 400, "malformed-bundle",
        )  # fmt: skip


def _log() -> Iterator[Case]:
    def log(**changes: Any) -> Act:
        def act(a: Attacker) -> Any:
            good = a.claims()["body"]["log"]
            return a.send(log=good | {k: v(a) if callable(v) else v for k, v in changes.items()})

        return act

    def note_of(origin: str) -> Callable[[Attacker], str]:
        def make(a: Attacker) -> str:
            from node.log.note import sign_checkpoint

            signer = a.own.signers["log"]
            public = a.own.keys.keys[signer.kid].raw
            return sign_checkpoint(origin, 0, a.wire.log.root(0), public, signer.sign).note

        return make

    for name, checkpoint in {
        "no note": "x", "of another origin": note_of("kpx-sandbox/BY"),
        "of production": note_of("kpx/RU"), "of a successor nobody announced": note_of("kpx-sandbox/RU/2"),
        "unsigned": lambda a: a.wire.checkpoint().split("\n\n")[0] + "\n\n",
        "signed by someone else": lambda a: a.wire.checkpoint()[:-20] + "AAAAAAAAAAAAAAAAAA==\n",
        "with leading zeros": lambda a: a.wire.checkpoint().replace("RU\n", "RU\n0", 1),
        "of 8 KiB": lambda a: a.wire.checkpoint() + "— x AAAA\n" * 1000,
    }.items():  # fmt: skip
        expected = "malformed-bundle" if name == "of 8 KiB" else "bad-proof"
        yield Case(f"checkpoint: {name}", log(checkpoint=checkpoint), 400, expected)

    def grown(a: Attacker, **changes: Any) -> Any:
        """A document, with the log part changed."""
        line = a.certificate({"number": "RU00080001"})
        good = a.claims(line)["body"]["log"]
        a.wire.log.leaves.pop()
        return a.send(line, log=good | changes)

    yield Case("a proof from another size", lambda a: grown(a, from_size=7), 409, "proof-needed")
    yield Case("hashes too many", lambda a: grown(a, consistency=["A" * 43]), 400, "bad-proof")
    yield Case(
        "witnessed more than there is",
        lambda a: a.send(witnessed={"size": 10**6, "root": "A" * 43}), 400, "bad-proof",
    )  # fmt: skip
    yield Case(
        "witnessed another root", lambda a: a.send(witnessed={"size": 0, "root": "A" * 43}), 400,
        "bad-proof",
    )  # fmt: skip

    def with_proofs(a: Attacker, proofs: Any) -> Any:
        return a.send(a.certificate({"number": "RU00080002"}), proofs=proofs)

    for name, proofs in {
        "of another document": [{"index": 10**6, "proof": []}],
        "that does not verify": lambda a: [{"index": len(a.wire.log.leaves), "proof": ["A" * 43]}],
    }.items():
        yield Case(
            f"an inclusion proof {name}",
            lambda a, p=proofs: with_proofs(a, p(a) if callable(p) else p), 400, "bad-proof",
        )  # fmt: skip


def _tokens() -> Iterator[Case]:
    target = "/kpx/v1/position"

    def get(token: Callable[[Attacker], str] | str, path: str = target) -> Act:
        return lambda a: a.ask("GET", path, Authorization=token(a) if callable(token) else token)

    yield Case("no token", lambda a: a.ask("GET", target), 401, "unknown-peer")
    for name, token in {
        "Basic": "Basic UlU6c2VjcmV0", "Bearer": "Bearer x", "no token after KPX": "KPX",
        "KPX nonsense": "KPX a.b.c", "200 KB": "KPX " + "A" * 7000,
    }.items():  # fmt: skip
        yield Case(f"token: {name}", get(token), 400, "bad-request")
    for name, claims, status, code in (
        ("of a stranger", {"iss": "AO"}, 401, "unknown-peer"),
        ("of another peer", {"iss": "BY"}, 401, "bad-signature"),
        ("for another node", {"aud": ["BY"]}, 403, "wrong-audience"),
        ("for all", {"aud": ["*"]}, 403, "wrong-audience"),
        ("of production", {"sandbox": None}, 403, "wrong-sandbox"),
        ("expired", {"exp": 60}, 400, "expired"),
        ("without exp", {"exp": None}, 401, "bad-signature"),
        ("with more", {"admin": True}, 401, "bad-signature"),
        ("for another target", {"body": {"method": "GET", "target": "/"}}, 401, "bad-signature"),
        ("for POST", {"body": {"method": "POST", "target": target}}, 401, "bad-signature"),
    ):
        yield Case(f"token: {name}", get(lambda a, c=claims: a.token(target, **c)), status, code)
    yield Case(
        "token: good for an hour",
        get(lambda a: a.token(target, exp=a.own.now_s() + 3600)), 401, "bad-signature",
    )  # fmt: skip
    yield Case(
        "token: of the future",
        get(lambda a: a.token(target, iat=a.own.now_s() + 300, exp=a.own.now_s() + 350)), 400,
        "expired",
    )  # fmt: skip

    async def replayed(a: Attacker) -> Answer:
        token = a.token(target)
        assert (await a.ask("GET", target, Authorization=token)).status == 200
        return await a.ask("GET", target, Authorization=token)

    yield Case("token: used twice", replayed, 401, "replayed")
    for name, path, status, code in (
        ("an index of another pair", "/kpx/v1/log/inclusion?index=0&size=1", 404, "not-found"),
        ("an index below zero", "/kpx/v1/log/inclusion?index=-1&size=1", 400, "bad-request"),
        (
            "an index of 20 digits",
            f"/kpx/v1/log/inclusion?index={'9' * 20}&size=1",
            400,
            "bad-request",
        ),
        ("no size", "/kpx/v1/log/inclusion?index=0", 400, "bad-request"),
        ("sizes reversed", "/kpx/v1/log/consistency?old=2&new=1", 400, "bad-request"),
        ("a size to come", "/kpx/v1/log/consistency?old=0&new=999999", 404, "not-found"),
        ("a text as size", "/kpx/v1/log/consistency?old=a&new=1", 400, "bad-request"),
        ("a position beyond the last", "/kpx/v1/bundles?after=99&limit=1", 400, "bad-request"),
        ("a limit below zero", "/kpx/v1/bundles?after=0&limit=-1", 400, "bad-request"),
        ("a question more", "/kpx/v1/bundles?after=0&peer=BY", 400, "bad-request"),
    ):
        yield Case(f"ask: {name}", get(lambda a, p=path: a.token(p), path), status, code)


def _receipts() -> Iterator[Case]:
    def post(raw: Callable[[Attacker], bytes] | bytes, **headers: str) -> Act:
        def act(a: Attacker) -> Any:
            body = raw(a) if callable(raw) else raw
            return a.ask("POST", "/kpx/v1/receipts", body, **({"Content_Type": RECEIPT} | headers))

        return act

    def receipt(a: Attacker, *, role: str = "msg", **changes: Any) -> bytes:
        zero = b64(bytes(32))
        body = {
            "manifest": zero, "stream": {"have": 0, "head": zero}, "results": [],
            "log": a.claims()["body"]["log"], "witnessed": {"size": 0, "root": zero},
        }  # fmt: skip
        claims = {
            "iss": "RU", "aud": ["EU-BE"], "iat": a.own.now_s(), "jti": new_jti(),
            "sandbox": True, "body": body | changes.pop("body", {}),
        } | changes  # fmt: skip
        header = json.dumps(a.header(role, "receipt")).encode()
        return a.forge(header, json.dumps(claims).encode(), role)

    yield Case(
        "receipt: as JSON", post(b"{}", Content_Type="application/json"), 415, "unsupported-media"
    )
    yield Case("receipt: compressed", post(b"x", Content_Encoding="gzip"), 415, "unsupported-media")
    yield Case("receipt: nothing", post(b""), 400, "bad-request")
    yield Case("receipt: nonsense", post(b"a.b.c"), 400, "bad-request")
    for name, changes, status, code in (
        ("for no manifest of the node", {}, 404, "not-found"),
        ("of a stranger", {"iss": "AO"}, 401, "unknown-peer"),
        ("of another peer", {"iss": "BY"}, 401, "bad-signature"),
        ("for another node", {"aud": ["BY"]}, 403, "wrong-audience"),
        ("of production", {"sandbox": False}, 400, "bad-request"),
        ("signed by the doc key", {"role": "doc"}, 401, "bad-signature"),
        ("with more", {"admin": 1}, 400, "bad-request"),
        ("that states a fork of nothing", {"body": {"code": "stream-fork"}}, 404, "not-found"),
    ):
        yield Case(
            f"receipt: {name}", post(lambda a, c=changes: receipt(a, **dict(c))), status, code
        )


def _documents() -> Iterator[Case]:
    def inside(line: Callable[[Attacker], bytes]) -> Act:
        async def act(a: Attacker) -> Answer:
            (result,) = await a.deliver(line(a))
            assert result["outcome"] == "rejected", result
            return Answer(200, json.dumps({"code": result["errors"][0]["code"]}).encode())

        return act

    def signed(a: Attacker, header: dict[str, Any], body: bytes | None = None) -> bytes:
        claims = body or json.dumps(payload(a.certificate())).encode()
        return a.forge(json.dumps(header).encode(), claims, "doc")

    for name, line, code in (
        ("no JWS", lambda _: b"hello", "not-a-jws"),
        ("base64 that is none", lambda _: b"!.!.!", "not-a-jws"),
        ("of 257 KiB", lambda _: b"A" * (257 * 1024), "too-large"),
        ("alg none", lambda a: signed(a, a.header("doc", "certificate", alg="none")), "bad-header"),
        ("crit", lambda a: signed(a, a.header("doc", "certificate", crit=["x"])), "bad-header"),
        ("an unknown kind", lambda a: signed(a, a.header("doc", "visa")), "unknown-type"),
        ("a record", lambda a: signed(a, a.header("doc", "record")), "unknown-type"),
        ("a manifest", lambda a: a.wire.manifest([])[0], "unknown-type"),
        ("a later version", lambda a: signed(a, a.header("doc", typ="vnd.kp.certificate.v9+jwt")), "unknown-type"),
        ("a key of nobody", lambda a: signed(a, a.header("doc", "certificate", kid="A" * 43)), "unknown-key"),
        ("the msg key", lambda a: a.forge(
            json.dumps(a.header("msg", "certificate")).encode(),
            json.dumps(payload(a.certificate())).encode(), "msg"), "wrong-key-role"),
        ("a changed figure", lambda a: _changed(a.certificate()), "bad-signature"),
        ("signed twice over", lambda a: _malleable(a.certificate()), "bad-signature"),
        ("for another", lambda a: a.certificate(aud=["BY"]), "wrong-audience"),
        ("of production", lambda a: a.certificate(sandbox=None), "wrong-sandbox"),
        ("of another authority", lambda a: a.certificate(iss="BY"), "wrong-authority"),
        ("of the node itself", lambda a: a.certificate(iss="EU-BE"), "wrong-authority"),
        ("of the future", lambda a: a.certificate(iat=a.own.now_s() + 1000), "issued-in-future"),
        ("a confirmation of the year 58,875", lambda a: _example(a, "confirmation", iat=1000 * a.own.now_s()), "issued-in-future"),
        ("a technical certificate of the last second", lambda a: _example(a, "technical-certificate", iat=2**53 - 1), "issued-in-future"),
        ("a technical certificate of the last day", lambda a: _example(a, "technical-certificate", issued_on="9999-12-31", expires_on="9999-12-31"), "dates-inconsistent"),
        ("a succession of the future", lambda a: _succession(a, "kpx-sandbox/RU/2", iat=2**53 - 1), "issued-in-future"),
        ("with exp", lambda a: a.certificate(exp=a.own.now_s()), "schema-invalid"),
        ("a member more", lambda a: a.certificate({"admin": True}), "schema-invalid"),
        ("carats as a float", lambda a: a.certificate({"totals": {"carats": 1.5, "value_usd": "1.00"}}), "schema-invalid"),
        ("carats of a googol", lambda a: a.certificate({"totals": {"carats": "1" + "0" * 100 + ".00", "value_usd": "1.00"}}), "schema-invalid"),
        ("parcels below zero", lambda a: a.certificate({"parcels": -1}), "schema-invalid"),
        ("a million parcels in lines", lambda a: a.certificate({"lines": [{}] * 201}), "schema-invalid"),
        ("markup in a seal beyond length", lambda a: a.certificate({"containers": [{"seal": "<script>" * 100}]}), "schema-invalid"),
        ("text turned around", lambda a: a.certificate({"statement": "abc\u202edef"}), "schema-invalid"),
        ("a zero byte", lambda a: a.certificate({"statement": "a\x00b"}), "schema-invalid"),
        ("another participant's number", lambda a: a.certificate({"number": "BY00012345"}), "number-pattern"),
        ("a number that is a path", lambda a: a.certificate({"number": "RU/../../x"}), "number-pattern"),
        ("sums that differ", lambda a: a.certificate({"totals": {"carats": "9.99", "value_usd": "9.99"}}), "sums-differ"),
        ("not declared", lambda a: a.certificate({"declaration": {"not_conflict": False, "by": "x"}}), "declaration-missing"),
        ("a route to elsewhere", lambda a: a.certificate({"destination": "CN"}), "route-inconsistent"),
        ("expired before issue", lambda a: a.certificate({"expires_on": "2020-01-01"}), "dates-inconsistent"),
        ("good for a year", lambda a: a.certificate({"expires_on": "2027-11-24"}), "validity-too-long"),
        ("polished stones", lambda a: a.certificate({"lines": [{"hs": "7102.39", "carats": "1.00", "value_usd": "1.00"}]}), "hs-out-of-scope"),
        ("a confirmation of nothing", lambda a: _example(a, "confirmation"), "unknown-reference"),
        ("a revocation of nothing", lambda a: _example(a, "revocation"), "unknown-reference"),
        ("a succession of another's log", lambda a: _succession(a, "kpx-sandbox/BY/2"), "wrong-authority"),
    ):  # fmt: skip
        yield Case(f"document: {name}", inside(line), 200, code)


def _forks() -> Iterator[Case]:
    async def replayed(a: Attacker) -> Answer:
        """The same manifest again: the first receipt, whatever follows it."""
        line = a.certificate({"number": "RU00090001"})
        manifest, body = a.wire.manifest([line])
        first = await a.post(manifest + b"\n" + line + b"\n")
        again = await a.post(manifest + b"\nsomething else\n")
        assert (first.status, first.body) == (200, again.body)
        a.wire.last, a.wire.head = body["stream"]["last"], unb64(body["stream"]["head"])
        a.wire.held = len(a.wire.log.leaves)
        return Answer(again.status, b"{}")

    async def gap(a: Attacker) -> Answer:
        """Positions left out: the receipt says what is held, and takes nothing."""
        last = a.wire.last
        a.wire.last += 5
        answer = await a.send(a.certificate({"number": "RU00090002"}))
        a.wire.last = last
        a.wire.held = len(a.wire.log.leaves)
        receipt = payload(answer.body)["body"]
        assert (receipt["results"], receipt["stream"]["have"]) == ([], last)
        return Answer(answer.status, b"{}")

    async def reordered(a: Attacker) -> Answer:
        a.wire.last -= 1
        answer = await a.send(*(a.certificate({"number": f"RU0009001{n}"}) for n in range(2)))
        a.wire.last += 1
        return answer

    def rewritten(a: Attacker) -> Any:
        del a.wire.log.leaves[a.wire.held :]
        a.wire.log.leaves[0] = bytes(32)
        return a.send()

    yield Case(
        "a proof from nothing", lambda a: a.send(
            log=a.claims()["body"]["log"] | {"from_size": 0, "consistency": ["A" * 43]}
        ), 400, "bad-proof",
    )  # fmt: skip
    yield Case("a replay", replayed, 200, None)
    yield Case("a gap", gap, 200, None)
    yield Case("a held position with another document", reordered, 409, "stream-fork")
    yield Case(
        "a head of zeros", lambda a: a.send(stream={
            "first": a.wire.last + 1, "last": a.wire.last,
            "prev_head": b64(bytes(32)), "head": b64(bytes(32)),
        }), 409, "stream-fork",
    )  # fmt: skip
    yield Case("a rewritten log", rewritten, 409, "log-fork")
    yield Case("anything after a rewritten log", lambda a: a.send(), 409, "log-fork")


def _example(a: Attacker, kind: str, iat: int | None = None, **changes: Any) -> bytes:
    from pathlib import Path

    path = Path(__file__).parents[1] / f"schemas/examples/valid/{kind}.v1.json"
    claims = json.loads(path.read_text("utf-8"))
    for member in claims["body"].values():
        if isinstance(member, dict) and "authority" in member:
            member["authority"] = "RU"
    iat = a.own.now_s() if iat is None else iat
    return a.wire.document(claims["body"] | changes, kind, re=claims["re"], iat=iat)


def _succession(a: Attacker, origin: str, **claims: Any) -> bytes:
    body = {
        "origin": origin, "predecessor": a.wire.checkpoint(), "because": "x",
        "announced_by": {"authority": "RU", "on": "2026-11-24"},
    }  # fmt: skip
    return a.wire.document(body, "succession", **claims)


def _stray(m: bytes) -> bytes:
    """The last character of the payload with unused bits set."""
    head, body, signature = m.split(b".")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(signature[-1:])
    return b".".join((head, body, signature[:-1] + alphabet[last ^ 1 : (last ^ 1) + 1]))


def _flip(m: bytes) -> bytes:
    head, body, signature = m.split(b".")
    raw = bytearray(unb64(signature.decode()))
    raw[0] ^= 1
    return b".".join((head, body, b64(bytes(raw)).encode()))


def _malleable(m: bytes) -> bytes:
    """The other signature that a careless verifier accepts: S plus the order of the group."""
    head, body, signature = m.split(b".")
    raw = unb64(signature.decode())
    s = int.from_bytes(raw[32:], "little") + ED25519_ORDER
    return b".".join((head, body, b64(raw[:32] + s.to_bytes(32, "little")).encode()))


def _other_payload(m: bytes) -> bytes:
    head, body, signature = m.split(b".")
    claims = json.loads(unb64(body.decode())) | {"jti": new_jti()}
    return b".".join((head, b64(json.dumps(claims).encode()).encode(), signature))


def _changed(m: bytes) -> bytes:
    head, body, signature = m.split(b".")
    claims = json.loads(unb64(body.decode()))
    claims["body"]["totals"]["carats"] = "1.00"
    return b".".join((head, b64(json.dumps(claims).encode()).encode(), signature))
