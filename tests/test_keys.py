"""Key sets, fingerprints, and private keys that nobody else may read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.errors import ConfigError
from node.ids import Authority
from node.jose.keys import KeySet, read_key_set, same_fingerprint, thumbprint
from node.jose.signing import Signers, make_keys

NOW_S = 1795305600


@pytest.fixture
def made(tmp_path: Path) -> KeySet:
    return make_keys(Authority("RU"), tmp_path / "private", NOW_S)


def changed(made: KeySet, change: Callable[[dict[str, Any]], object]) -> str:
    """What reading says of a set after a change; its code, or ``ok``."""
    published = json.loads(json.dumps(made.as_json()))
    change(published)
    try:
        read_key_set(json.dumps(published).encode())
    except ConfigError as error:
        return error.code
    return "ok"


def test_three_keys_are_made_one_a_role(made: KeySet, tmp_path: Path) -> None:
    assert sorted(key.role for key in made.keys.values()) == ["doc", "log", "msg"]
    files = list((tmp_path / "private").iterdir())
    assert sorted(f.stem for f in files) == sorted(made.keys)
    assert {f.stat().st_mode & 0o777 for f in files} == {0o600}
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o700


def test_a_published_set_reads_back(made: KeySet) -> None:
    assert changed(made, lambda published: None) == "ok"
    assert read_key_set(json.dumps(made.as_json()).encode()).fingerprint == made.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["keys"][0].update(kid="A" * 43),
        lambda s: s["keys"][0].update(alg="EdDSA"),
        lambda s: s["keys"][0].update(use="enc"),
        lambda s: s["keys"][0].update(kp_role="root"),
        lambda s: s["keys"][0].update(kp_not_before="soon"),
        lambda s: s["keys"][0].update(d="AAAA"),
        lambda s: s["keys"][0].update(x=s["keys"][0]["x"] + "="),
        lambda s: s["keys"].append(dict(s["keys"][0], kp_role="log")),
        lambda s: s["keys"].pop(),
        lambda s: s.update(kp_authority="Russia"),
        lambda s: s.pop("kp_authority"),
        lambda s: s.update(keys={}),
        lambda s: s["keys"].append("key"),
        lambda s: s["keys"].append({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        lambda s: s["keys"].append({"kty": "OKP", "crv": "X25519", "x": "A" * 43}),
        lambda s: s["keys"].append({"kty": "OKP", "crv": "Ed25519", "x": 5}),
    ],
)
def test_a_set_with_a_wrong_key_is_refused(made: KeySet, change: Callable[[Any], object]) -> None:
    assert changed(made, change) == "bad-key-set"


def test_keys_of_small_order_are_refused(made: KeySet) -> None:
    from node import base64url
    from node.jose.keys import _LOW_ORDER

    assert len(_LOW_ORDER) == 14
    for point in _LOW_ORDER:
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(point)}
        jwk |= {"kid": thumbprint(jwk), "alg": "Ed25519", "use": "sig", "kp_role": "doc"}
        assert changed(made, lambda s, jwk=jwk: s["keys"].append(jwk)) == "bad-key-set"


def test_fingerprints_compare_as_people_write_them(made: KeySet) -> None:
    assert same_fingerprint(made.fingerprint, made.fingerprint.lower().replace(" ", "-"))
    assert not same_fingerprint(made.fingerprint, made.fingerprint[:-1] + "9")


def test_private_keys_that_others_can_read_stop_the_start(made: KeySet, tmp_path: Path) -> None:
    folder = tmp_path / "private"
    assert Signers(made, folder, lambda: NOW_S).keys() == {"doc", "msg", "log"}
    key = next(folder.iterdir())
    key.chmod(0o640)

    with pytest.raises(ConfigError) as error:
        Signers(made, folder, lambda: NOW_S)

    assert error.value.code == "key-permissions"
    assert f"chmod 600 {key}" in str(error.value)


def test_a_folder_that_others_can_read_stops_the_start(made: KeySet, tmp_path: Path) -> None:
    (tmp_path / "private").chmod(0o755)

    with pytest.raises(ConfigError) as error:
        Signers(made, tmp_path / "private", lambda: NOW_S)

    assert error.value.code == "key-permissions"


def test_keys_are_never_made_over_others(made: KeySet, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        make_keys(Authority("RU"), tmp_path / "private", NOW_S)

    assert error.value.code == "keys-exist"


def test_a_key_file_of_another_key_is_refused(made: KeySet, tmp_path: Path) -> None:
    one, other, _ = sorted((tmp_path / "private").iterdir())
    one.write_bytes(other.read_bytes())

    with pytest.raises(ConfigError) as error:
        Signers(made, tmp_path / "private", lambda: NOW_S)

    assert error.value.code == "bad-key-file"


def test_a_key_not_yet_in_use_does_not_sign(made: KeySet, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        Signers(made, tmp_path / "private", lambda: NOW_S - 10_000)

    assert error.value.code == "keys-missing"


def test_a_key_is_judged_with_grace_at_both_ends(made: KeySet) -> None:
    published = made.as_json()
    published["keys"][0] |= {"kp_not_before": 1000, "kp_retire_after": 2000}
    key = read_key_set(json.dumps(published).encode()).keys[published["keys"][0]["kid"]]

    judged = [key.current_at(moment) for moment in (879, 880, 2000, 2120, 2121)]

    assert judged == [False, True, True, True, False]
