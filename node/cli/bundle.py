"""`kpnode bundle`: exchange by files."""

from pathlib import Path
from typing import Any

import click

from node.cli.output import REFUSED, Output, command, finishing, read_file


@click.group()
def bundle() -> None:
    """Exchange by files: export what waits for a peer, import what it gave you."""


@command()
@click.argument("file")
@click.option("--peer", required=True, help="For this authority.")
@click.option(
    "--proof-from", type=click.IntRange(0, 2**53), metavar="SIZE",
    help="What the peer holds of this log, where its import has told you.",
)  # fmt: skip
def export(output: Output, file: str, peer: str, proof_from: int | None) -> None:
    """Write what waits for a peer to FILE, to be carried there (- for standard output).

    At most 1,000 documents go into one file. Until its receipt is back, the same documents are
    exported again. Where nothing waits, the file still shows the peer this node's log. Import what
    came from the peer before you export to it.
    """
    import sys

    from node import durable_file
    from node.exchange import carry
    from node.watch.peers import waiting
    from node.wiring import open_node

    with finishing(), open_node(output.home) as own:
        to = own.config.known_peer(peer).authority
        made = carry.make(own, to, proof_from)
        left = waiting(own, to) - made.count
    if file == "-":
        sys.stdout.buffer.write(made.raw)
    else:
        durable_file.write(Path(file), made.raw)
        told = {
            "file": file, "to": peer, "manifest": made.manifest, "first": made.first,
            "documents": made.count, "bytes": len(made.raw), "left": left,
        }  # fmt: skip
        output.result(told, f"{file}: {made.count} documents for {peer}, {len(made.raw)} bytes")
    if left:
        output.note(f"{left} more wait; export again once the receipt is back.")
    output.note(f"Carry it to {peer}; bring back the receipt and import it here.")


@command(name="import")
@click.argument("file")
@click.option(
    "--receipt", metavar="PATH", help="Where to write the receipt [beside FILE, ending .kpr]."
)
def import_(output: Output, file: str, receipt: str | None) -> None:
    """Take in FILE: a bundle, or a receipt that came back (- for standard input).

    A bundle is checked like one that came over the network; its receipt is written to be carried
    back. The same file again changes nothing and gives the same receipt. Where both came on one
    stick, import receipts first.
    """
    import sys

    from node import durable_file
    from node.bundle import MAX_BUNDLE_BYTES
    from node.errors import NodeError, ProblemError
    from node.exchange import carry
    from node.office.attend import attend
    from node.wiring import open_node

    raw = read_file(file, MAX_BUNDLE_BYTES)
    if len(raw) > MAX_BUNDLE_BYTES:
        raise ProblemError("too-large", f"a bundle has at most {MAX_BUNDLE_BYTES} bytes")
    path = Path(receipt) if receipt else _beside(Path("receipt" if file == "-" else file))
    if path.exists() and file != "-" and path.samefile(file):
        raise NodeError(f"{path} is the bundle itself; give another --receipt", code="file-exists")
    with finishing(), open_node(output.home) as own:
        try:
            done = carry.take_in(own, raw)
        except ProblemError as problem:
            if problem.code == "proof-needed":
                raise _explained(problem) from None
            raise
        if done.answer is not None:
            try:
                durable_file.write(path, done.answer)
            except OSError as error:
                raise NodeError(
                    f"the bundle is taken in, but {path} cannot be written ({error.strerror}); "
                    "import it again with --receipt PATH",
                    code="unusable-file",
                ) from None
        attend(own)
    _tell(output, done, path)
    if done.problem is not None:
        sys.exit(REFUSED)


def _beside(bundle_file: Path) -> Path:
    """Where the receipt for a bundle goes; never the bundle's own name."""
    other = bundle_file.suffix != ".kpr"
    return bundle_file.with_suffix(".kpr") if other else bundle_file.with_suffix(".kpr.kpr")


def _tell(output: Output, done: Any, path: Path) -> None:
    result = {**done.as_json(), "receipt": str(path) if done.answer is not None else None}
    lines = [
        f"statement of {done.peer}: the stream goes on at the place it holds; export again"
        if done.kind == "statement"
        else f"{done.kind} of {done.peer}: {result['documents']} documents, "
        f"{result['accepted']} accepted, {result['duplicate']} held before, "
        f"{result['rejected']} refused"
    ]
    lines += [
        f"refused  {r['doc']} {r['errors'][0]['code']}: {r['errors'][0]['detail']}"
        for r in done.results
        if r["outcome"] == "rejected"
    ]
    if done.problem is not None:
        lines = [f"{done.kind} of {done.peer}: {done.problem.code}: {done.problem}"]
    output.result(result, "\n".join(lines))
    if done.answer is not None:
        output.note(f"Carry {path} back to {done.peer}.")


def _explained(problem: Any) -> Any:
    from node.errors import ProblemError

    held = problem.members.get("held") or {}
    return ProblemError(
        "proof-needed",
        f"{problem}; if it is a bundle, ask for another export with --proof-from "
        f"{held.get('size', 0)}; if it is a receipt, export again: the next receipt counts",
        problem.members,
    )


bundle.add_command(export)
bundle.add_command(import_)
