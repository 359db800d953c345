"""Schemathesis against a running node: what the description promises holds for whatever is sent."""

import json
import subprocess
import sys
from pathlib import Path

from tests.nodes import serving, shipments
from tests.test_api import address, make_token
from tests.test_cli import result

PATIENCE_S = 240
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "unsupported_method",
    "ignored_auth", "negative_data_rejection",
)  # fmt: skip


def test_no_answer_that_is_not_described_and_no_server_error(
    homes: dict[str, Path], tmp_path: Path
) -> None:
    ru = homes["RU"]
    token = make_token(ru)
    result("--home", ru, "issue", "-", stdin=json.dumps(shipments(count=3)))
    with serving(ru):
        done = subprocess.run(
            [
                Path(sys.executable).with_name("st"), "run", f"{address(ru)}/openapi.json",
                "--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS),
                "--phases", "examples,fuzzing,stateful", "--max-examples", "6",
                "--rate-limit", "45/s",  # our own limit is 50
                # It has no way to make a JWS or a bundle, and would end its own token; test_api does.
                "--exclude-operation-id", "verify", "--exclude-operation-id", "import-bundle",
                "--exclude-operation-id", "revoke-token",
                "--seed", "20261126", "--continue-on-failure", "--request-timeout", "20",
                "--suppress-health-check", "all", "--no-color",
            ],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
            cwd=tmp_path,  # it leaves what it has found there
        )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "internal error" not in (ru / "serve.log").read_text()
    assert result("--home", ru, "ledger", "verify")["ok"]
