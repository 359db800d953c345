"""The strict parsers: what two programs could read differently is refused, and nothing else leaves."""

import base64
import contextlib
import json
import math
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import base64url, bundle, strict_json
from node.documents import MAX_DOCUMENT_BYTES
from node.errors import ConfigError, ProblemError, RefusedError
from node.jose.keys import read_key_set
from node.jose.strict import parse
from node.log.note import NoteError, read_checkpoint

HEADER = {"alg": "Ed25519", "kid": "A" * 43, "typ": "vnd.kp.certificate.v1+jwt"}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def compact(header: object = HEADER, payload: object = None, signature: bytes = bytes(64)) -> bytes:
    parts = [
        part if isinstance(part, bytes) else json.dumps(part).encode()
        for part in (header, {"iss": "RU"} if payload is None else payload)
    ]
    return ".".join([*map(b64, parts), b64(signature)]).encode()


def code_of(raw: bytes) -> str:
    with pytest.raises(RefusedError) as refusal:
        parse(raw)
    return refusal.value.code


def test_a_well_formed_document_parses() -> None:
    parsed = parse(compact())

    assert parsed.claimed_issuer == "RU"
    assert len(parsed.doc_id) == 43


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"..",
        b"not a jws",
        compact() + b"==",
        compact() + b"\n",
        compact() + b".x",
        compact().replace(b".", b"!", 1),
        compact(payload=b'{"iss":"RU","iss":"BY"}'),
        compact(payload=b'{"iss":"RU","n":NaN}'),
        compact(payload=b'{"iss":"RU","n":-Infinity}'),
        compact(payload=b'{"iss":"RU","n":1e999}'),
        compact(payload=b'{"iss":"RU","n":' + b"9" * 400 + b"}"),
        compact(payload=b'{"iss":"RU","t":"\\ud800"}'),
        compact(payload=b'\xef\xbb\xbf{"iss":"RU"}'),
        compact(payload='{"iss":"RU"}'.encode("utf-16")),
        compact(payload=b'{"iss":"\xff"}'),
        compact(payload=b'["iss"]'),
        compact(payload=b"{"),
        compact(payload=b"[" * 5000),
        compact(header=b'{"alg":"Ed25519","alg":"none"}'),
    ],
)
def test_what_is_no_strict_jws_is_refused_as_such(raw: bytes) -> None:
    assert code_of(raw) == "not-a-jws"


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"alg": "Ed25519"},
        HEADER | {"crit": ["b64"]},
        HEADER | {"jwk": {}},
        HEADER | {"alg": "EdDSA"},
        HEADER | {"alg": "none"},
        HEADER | {"alg": "HS256"},
        HEADER | {"alg": 5},
        HEADER | {"kid": "short"},
        HEADER | {"kid": "A" * 42 + "B"},
        HEADER | {"typ": None},
        ["alg", "kid", "typ"],
    ],
)
def test_a_header_that_is_not_exactly_ours_is_refused(header: object) -> None:
    assert code_of(compact(header)) == "bad-header"


def test_a_last_character_with_stray_bits_is_refused() -> None:
    head, _, signature = compact(signature=bytes(64)).rpartition(b".")

    assert code_of(head + b"." + signature[:-1] + b"B") == "not-a-jws"


def test_nesting_of_sixteen_is_allowed_and_of_seventeen_is_not() -> None:
    def nested(depth: int) -> bytes:
        inside = b"[" * (depth - 1) + b"]" * (depth - 1)
        return compact(payload=b'{"iss":"RU","x":' + inside + b"}")

    assert parse(nested(16))
    assert code_of(nested(17)) == "not-a-jws"


def test_size_is_checked_before_anything_is_decoded() -> None:
    assert code_of(b"!" * (MAX_DOCUMENT_BYTES + 1)) == "too-large"


@given(st.binary(max_size=400))
def test_only_documented_errors_leave_the_jws_parser(raw: bytes) -> None:
    with contextlib.suppress(RefusedError):
        parse(raw)


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=80))
def test_only_documented_errors_leave_it_for_well_framed_bytes(
    header: bytes, payload: bytes, signature: bytes
) -> None:
    with contextlib.suppress(RefusedError):
        parse(compact(header, payload, signature))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_any_object_as_payload_parses_or_is_refused(payload: dict) -> None:
    with contextlib.suppress(RefusedError):
        parse(compact(payload=json.dumps(payload).encode("utf-8", "replace")))


@given(json_values, st.sampled_from([None, (",", ":"), (", ", ": ")]), st.booleans())
def test_json_is_read_as_the_library_reads_it(value: object, separators: Any, ascii_: bool) -> None:
    try:
        raw = json.dumps(value, separators=separators, ensure_ascii=ascii_).encode()
        expected = json.loads(raw)
        read = strict_json.loads(raw)
    except ValueError:
        return  # what is refused has tests of its own

    assert repr(read) == repr(expected)  # 1 is not 1.0, nor True


@given(json_values)
def test_json_is_written_as_the_library_writes_it(value: object) -> None:
    try:
        expected = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            strict_json.dumps(value)
        return

    assert json.loads(strict_json.dumps(value)) == json.loads(expected)


@pytest.mark.parametrize("value", [math.nan, -math.inf, [1, {"a": math.nan}], "\ud800"])
def test_what_is_no_json_is_not_written(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict_json.dumps(value)


@pytest.mark.parametrize("value", [date(2026, 1, 1), Decimal(1), b"a", {1}])
def test_what_json_has_no_value_for_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        strict_json.dumps({"a": value})


@given(json_values)
def test_json_written_here_reads_back_the_same(value: object) -> None:
    try:
        written = strict_json.dumps(value)
    except UnicodeEncodeError:
        return  # a lone surrogate cannot be written

    with contextlib.suppress(ValueError):  # deeper than 16
        assert strict_json.loads(written) == value


@given(st.binary(max_size=300))
def test_only_value_errors_leave_the_json_parser(raw: bytes) -> None:
    with contextlib.suppress(ValueError):
        strict_json.loads(raw)


@given(st.binary(max_size=300))
def test_only_problems_leave_the_bundle_parser(raw: bytes) -> None:
    with contextlib.suppress(ProblemError):
        bundle.split(raw)


@given(st.text(max_size=300))
def test_only_note_errors_leave_the_note_parser(text: str) -> None:
    with contextlib.suppress(NoteError):
        read_checkpoint(text, "kpx/RU", [])


@given(
    st.text(max_size=20),
    st.text(alphabet="0123456789", max_size=20),
    st.text(alphabet="ABCabc+/=", max_size=50),
    st.text(alphabet="— kpx/RU+=ab\n", max_size=80),
)
def test_only_note_errors_leave_it_for_almost_notes(a: str, b: str, c: str, d: str) -> None:
    with contextlib.suppress(NoteError):
        read_checkpoint(f"{a}\n{b}\n{c}\n\n{d}", "kpx/RU", [(bytes(32), lambda *_: True)])


@given(json_values)
def test_only_config_errors_leave_the_key_set_reader(value: object) -> None:
    raw = json.dumps({"kp_authority": "RU", "keys": [value]}).encode("utf-8", "replace")

    with contextlib.suppress(ConfigError):
        read_key_set(raw)


@given(st.binary(max_size=64))
def test_base64url_round_trips(raw: bytes) -> None:
    assert base64url.decode(base64url.encode(raw)) == raw


@pytest.mark.parametrize("text", ["A", "AB", "A=", "AA==", "A+", "A/", "é", "A A"])
def test_base64url_is_canonical_and_unpadded(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64url|ascii|codec"):
        base64url.decode(text)
