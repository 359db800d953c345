"""The schemas and their examples; each invalid one names pointer, rule and code."""

import itertools
import json
import re
import unicodedata
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from node.documents import SignedDocument
from node.domain.kinds import KINDS
from node.errors import RefusedError
from node.ids import Authority, DocId, Kid
from node.schema import accepting, catalogue, keywords
from node.schema.accepting import accepts
from node.schema.explaining import explaining
from node.schema.validation import check, check_document

SCHEMAS = Path(__file__).parents[1] / "schemas"
VALID = sorted((SCHEMAS / "examples" / "valid").glob("*.json"))
INVALID = sorted((SCHEMAS / "examples" / "invalid").glob("*.json"))
NAMES = sorted(path.name.removesuffix(".json") for path in SCHEMAS.glob("*.json"))


def schema_of(path: Path) -> str:
    return ".".join(path.name.split(".")[:2])


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_example_passes(path: Path) -> None:
    assert check(schema_of(path), json.loads(path.read_text("utf-8"))) == []


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_example_fails_where_it_says(path: Path) -> None:
    example = json.loads(path.read_text("utf-8"))

    found = check(schema_of(path), example["instance"])

    assert {(f.code, f.rule, f.pointer) for f in found} == {
        (example["code"], example["rule"], example["pointer"])
    }


@pytest.mark.parametrize("name", [n for n in NAMES if n != "common.v1"])
def test_every_schema_has_valid_and_invalid_examples(name: str) -> None:
    assert any(schema_of(path) == name for path in VALID)
    assert any(schema_of(path) == name for path in INVALID)


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_closed_and_of_the_dialect(name: str) -> None:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))

    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"{name}.json"
    for part in _objects(schema):
        assert part.get("additionalProperties") is False, part


@pytest.mark.parametrize("name", NAMES)
def test_no_schema_uses_a_format_but_date_or_a_loose_pattern(name: str) -> None:
    for part in _parts(json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))):
        assert part.get("format", "date") == "date"
        pattern = part.get("pattern")
        if isinstance(pattern, str):
            assert pattern.startswith("^")
            assert pattern.endswith("$(?!\\n)")
            assert "\\d" not in pattern


def test_every_kind_has_a_schema() -> None:
    for kind in KINDS.values():
        assert catalogue.load(f"{kind.name}.v{kind.version}")


@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "iat", "jti", "re", "sandbox", "body", "exp", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=8,
        ),
    )
)
def test_only_refusals_leave_validation(claims: dict) -> None:
    signed = SignedDocument(
        b"", DocId("A" * 43), bytes(32), "", Authority("RU"), Kid("A" * 43), claims
    )

    for kind in KINDS.values():
        with pytest.raises(RefusedError) as refusal:
            check_document(signed, kind.name)
        assert refusal.value.code == "schema-invalid"


def _parts(value: object) -> list[dict]:
    if isinstance(value, dict):
        return [value, *(part for child in value.values() for part in _parts(child))]
    if isinstance(value, list):
        return [part for child in value for part in _parts(child)]
    return []


def _objects(schema: object) -> list[dict]:
    return [part for part in _parts(schema) if part.get("type") == "object"]


class TestTwoValidators:
    """jsonschema-rs only ever accepts what jsonschema accepts."""

    @pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
    def test_the_fast_one_accepts_the_valid_examples(self, path: Path) -> None:
        assert accepts(schema_of(path), json.loads(path.read_text("utf-8")))

    @pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
    def test_it_accepts_no_invalid_example(self, path: Path) -> None:
        example = json.loads(path.read_text("utf-8"))

        assert not accepts(schema_of(path), example["instance"])

    def test_what_counts_as_plain_text_is_good_text(self) -> None:
        letters = re.compile(f"[{accepting._LETTERS}]")
        plain = [chr(n) for n in range(0x11000) if letters.fullmatch(chr(n))]

        assert len(plain) > 21_000
        for letter in plain:
            assert keywords.text(letter) is None
            # Neither is changed by what stands before it: nothing here combines.
            assert unicodedata.is_normalized("NFC", f"Aо\u1100{letter}")

    def test_they_agree_on_every_day_of_a_calendar(self) -> None:
        instance = json.loads((SCHEMAS / "examples/valid/certificate.v1.json").read_text("utf-8"))
        for year, month, day in itertools.product(
            (0, 1, 1900, 2000, 2024, 2026, 9999), range(14), (0, 1, 28, 29, 30, 31, 32)
        ):
            instance["body"]["issued_on"] = text = f"{year:04}-{month:02}-{day:02}"
            try:
                good = date.fromisoformat(text) is not None
            except ValueError:
                good = False
            assert accepts("certificate.v1", instance) is good, text

    @given(st.data())
    def test_they_agree_on_a_certificate_with_any_one_value_changed(
        self, data: st.DataObject
    ) -> None:
        name = data.draw(st.sampled_from(["certificate.v1", "receipt.v1", "manifest.v1"]))
        instance = json.loads((SCHEMAS / "examples/valid" / f"{name}.json").read_text("utf-8"))
        parent, key = data.draw(st.sampled_from(list(_places(instance))))
        parent[key] = data.draw(
            st.none()
            | st.booleans()
            | st.integers(-(2**70), 2**70)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(max_size=6)
            | st.sampled_from(
                ["12.34\n", "2026-02-29", "0000-01-01", "7102.31", "١٢.٣٤", "\u00a0x"]
            )
            | st.just(parent[key]).map(lambda v: f"{v}\n" if isinstance(v, str) else v)
            | st.lists(st.text(max_size=2), max_size=3)
        )

        assert accepts(name, instance) == (not list(explaining(name).iter_errors(instance)))


def _places(value: object) -> list[tuple[Any, Any]]:
    """Every place in an instance: its container and its key."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        return []
    return [place for key, child in pairs for place in [(value, key), *_places(child)]]
