"""`kpnode verify`: is it authentic, valid, current?"""

import sys
from typing import Any

import click

from node.cli.output import REFUSED, Output, command, day, read_file


@command()
@click.argument("file")
@click.option(
    "--jwks", metavar="FILE", help="Trust only this key set; needs no home and no ledger."
)
@click.option("--at", metavar="DATE", help="Judge being current on this day, YYYY-MM-DD [today].")
def verify(output: Output, file: str, jwks: str | None, at: str | None) -> None:
    """Verify FILE: a document, a bundle or a receipt (- for standard input).

    Four different answers: authentic (signed with the issuer's key), valid (form and rules),
    current (in force by this ledger) and matches (goods agreed with it). What cannot be judged
    here is null. Exit code 0 when nothing is false, else 4.
    """
    from node.clock import SystemClock
    from node.domain.context import Context
    from node.errors import refuse
    from node.jose.keys import MAX_KEY_SET_BYTES, read_key_set
    from node.office import verify as verb
    from node.office.officer import day_of
    from node.wiring import open_node

    now = SystemClock().now()
    if at is not None and jwks is not None:
        raise click.UsageError("--at asks the ledger, --jwks goes without it; give one of them")
    asked = None if at is None else day("--at", at)
    raw = read_file(file, verb.MAX_FILE_BYTES)
    if len(raw) > verb.MAX_FILE_BYTES:
        raise refuse("KP-J-003", f"expected at most {verb.MAX_FILE_BYTES} bytes")
    if jwks is not None:
        keys = read_key_set(read_file(jwks, MAX_KEY_SET_BYTES))
        results = verb.verify_file(raw, {keys.authority: keys}, Context(now))
    else:
        with open_node(output.home, signing=False) as own:
            ring = {**own.book.ring, own.name: own.keys}
            when = asked or day_of(own, now)
            context = own.context()
            results = own.ledger.read(
                lambda tx: verb.verify_file(
                    raw,
                    ring,
                    context,
                    lambda document: verb.ask_ledger(tx, document, when),
                    lambda doc_id: verb.in_log(tx, doc_id),
                )
            )
    items = [result.as_json() for result in results]
    as_json: Any = items[0] if len(items) == 1 else {"items": items, "next": None}
    output.result(as_json, "\n".join(_as_text(item) for item in items))
    if not all(result.good for result in results):
        sys.exit(REFUSED)


def _as_text(item: dict[str, Any]) -> str:
    words = {True: "yes", False: "NO", None: "not judged"}
    answers = ", ".join(
        f"{name}: {words[item[name]]}" for name in ("authentic", "valid", "current", "matches")
    )
    errors = [
        f"  {e['code']}: {e['pointer']} {e['detail']} [{e['rule']}]".replace(":  ", ": ")
        for e in item["errors"]
    ]
    flags = [f"  flagged by {a['by']}: {a['subject']} ({a['doc_id']})" for a in item["alerts"]]
    return "\n".join(
        [f"{item['kind'] or 'document'} of {item['issuer'] or '?'}: {answers}", *flags, *errors]
    )
