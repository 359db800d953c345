"""Beside AS2: the same document signed, delivered and answered with a signed receipt by pyas2lib.

python -m bench.as2 [--runs 3]

pyas2lib works in memory, without network or disk; this node's figures are those of `bench.push` and
`bench.receive`, through HTTP into durable ledgers. It gets an environment of its own, installed by
pip. Its oscrypto 1.3.0 cannot read OpenSSL's version where a part has two digits ("3.0.19"), and
would not start; that one expression is mended there.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from statistics import median
from typing import Any

from bench import push, receive
from bench.homes import issue_all
from node import base64url
from node.ledger import entries
from node.wiring import open_node
from tests.nodes import make_homes

PACKAGES = ("pyas2lib==1.4.4", "oscrypto==1.3.0")
MESSAGES = 300
DOCUMENTS = 10_000
BROKEN = r"\\b(\\d\\.\\d\\.\\d[a-z]*)\\b"
MENDED = r"\\b(\\d+\\.\\d+\\.\\d+[a-z]*)\\b"


def main(runs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="kpnode-as2-") as folder:
        document = _document(Path(folder))
        python = _environment(Path(folder) / "env")
        peer = [_messages_per_s(python, document) for _ in range(runs)]
        many, _ = push.measure(runs, 1000)
        bulk, _ = receive.measure(runs, DOCUMENTS)
        peer += [_messages_per_s(python, document) for _ in range(runs)]
    theirs = median(peer)
    return {
        "document_bytes": len(document), "pyas2lib_per_s": round(theirs),
        "single_push_per_s": round(median(many.raw)), "bundles_per_s": round(median(bulk.raw)),
        "single_ratio": round(median(many.raw) / theirs, 1),
        "bundles_ratio": round(median(bulk.raw) / theirs, 1),
    }  # fmt: skip


def _document(folder: Path) -> bytes:
    """The payload of a certificate, as a node signs it."""
    with open_node(make_homes(folder, "RU", "BY")["RU"]) as own:
        issue_all(own, 1)
        entry = own.ledger.read(lambda tx: entries.entry(tx, 0))
    assert entry is not None
    assert entry.jws is not None
    return base64url.decode(entry.jws.split(b".")[1])


def _environment(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    for file in folder.glob("lib/*/site-packages/oscrypto/_openssl/_libcrypto_c*.py"):
        text = file.read_text("utf-8")
        file.write_text(text.replace(BROKEN, MENDED), "utf-8")
    return python


def _messages_per_s(python: Path, document: bytes) -> float:
    script = Path(__file__).with_name("as2_peer.py")
    done = subprocess.run(
        [python, script, str(MESSAGES)], input=document, capture_output=True, check=True
    )
    found = re.fullmatch(rb"([0-9.]+)\s*", done.stdout)
    assert found, done.stdout
    return float(found[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    print(json.dumps(main(parser.parse_args().runs), indent=2), file=sys.stdout)
