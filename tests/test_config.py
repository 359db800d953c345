"""Settings: what is this machine, what is text, what is allowed in production."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import check_url, is_loopback, toml_text
from node.errors import ConfigError


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "[::1]"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(f"http://{host}:8101")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1.evil.example",
        "127.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "[::1",
        "",
    ],
)
def test_another_name_is_not_however_it_begins(host: str) -> None:
    assert not is_loopback(f"http://{host}")
    with pytest.raises(ConfigError) as error:
        check_url(f"http://{host}", sandbox=False)
    assert error.value.code == "insecure-url"


def test_plain_http_is_for_the_sandbox() -> None:
    check_url("http://node.example.org", sandbox=True)
    check_url("https://node.example.org", sandbox=False)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_as_toml(text: str) -> None:
    assert tomllib.loads(f"x = {toml_text(text)}")["x"] == text
