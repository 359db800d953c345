"""`kpnode keys`: this authority's own keys."""

from typing import Any

import click

from node.cli.acting import officer_options
from node.cli.output import Output, command, day, finishing

AHEAD_DAYS = 14
"""From when new keys are in use, where nobody says: peers need time to compare fingerprints."""

FARTHEST_DAYS = 1000


@click.group()
def keys() -> None:
    """This authority's own keys: list, renew and revoke them."""


@command(name="list")
def list_(output: Output) -> None:
    """List the keys, which of them signs now, and until when each is in use."""
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        items = _items(own)
        fingerprint = own.keys.fingerprint
    columns = {
        "role": "ROLE", "state": "STATE", "from": "FROM", "until": "UNTIL", "kid": "KEY",
    }  # fmt: skip
    output.rows({"items": items, "next": None, "fingerprint": fingerprint}, items, columns)
    output.note(f"fingerprint  {fingerprint}")


@command()
@click.option(
    "--role", "roles", multiple=True, type=click.Choice(["doc", "msg", "log"]),
    help="Only keys of this role; repeat. All three by default.",
)  # fmt: skip
@click.option(
    "--from", "begins", metavar="DATE",
    help=f"In use from this day on, YYYY-MM-DD; {AHEAD_DAYS} days from now by default.",
)  # fmt: skip
@click.option("--now", is_flag=True, help="In use at once, though no peer has pinned them yet.")
@click.option("--because", default="planned renewal", show_default=True, help="Why, in words.")
@officer_options
def renew(
    output: Output,
    roles: tuple[str, ...],
    begins: str | None,
    now: bool,
    because: str,
    office: str | None,
    officer: str | None,
) -> None:
    """Make new keys, to be in use from a day on; the former ones retire a day later.

    A running node publishes them at once and signs with them when the day comes. Until then give
    the new key set to each peer and read out its fingerprint: they pin it by kpnode peer renew.
    What is signed with a key that a peer has not pinned waits there, refused, until it has.
    """
    from datetime import datetime, time

    from node.clock import iso, seconds
    from node.office import own_keys
    from node.office.officer import Officer
    from node.wiring import open_node

    if begins and now:
        raise click.UsageError("--from and --now: one of them")
    with finishing():
        with open_node(output.home, signing=False) as own:
            begins_s = own.now_s() if now else own.now_s() + AHEAD_DAYS * 24 * 3600
            if begins is not None:
                first = datetime.combine(day("--from", begins), time(), own.config.node.timezone)
                begins_s = seconds(first)
                if not own.now_s() < begins_s <= own.now_s() + FARTHEST_DAYS * 24 * 3600:
                    raise click.UsageError(
                        f"--from: expected a day within the next {FARTHEST_DAYS}, got {begins}"
                    )
            chosen = roles or ("doc", "msg", "log")
            made = own_keys.renew(own, chosen, begins_s, because, Officer(office, officer))
            told = _told(own, made)
        lines = [f"new keys     {', '.join(chosen)}, in use from {iso(begins_s)}", *_lines(told)]
        output.result({**told, "from": iso(begins_s)}, "\n".join(lines))
        output.note(
            "Give the key set to each peer and read out the fingerprint: kpnode peer renew."
        )


@command(context_settings={"ignore_unknown_options": True})
@click.argument("kid")
@click.option("--because", required=True, help="Why, in words.")
@officer_options
def revoke(output: Output, kid: str, because: str, office: str | None, officer: str | None) -> None:
    """Revoke the key KID: nobody who has the new set takes anything it has signed any more.

    What a peer's log held before stays good. Certificates signed with it that have not arrived are
    refused there: revoke them, and issue others.
    """
    from node.office import own_keys
    from node.office.officer import Officer
    from node.wiring import open_node

    with finishing():
        with open_node(output.home, signing=False) as own:
            told = _told(own, own_keys.revoke(own, kid, because, Officer(office, officer)))
        output.result(told, "\n".join([f"revoked      {kid}", *_lines(told)]))
        output.note("Call each peer at once: they pin the new set by kpnode peer renew.")


def _told(own: Any, made: Any) -> dict[str, Any]:
    return {"fingerprint": made.fingerprint, "jwks": str(own.config.node.key_set)}


def _lines(told: dict[str, Any]) -> list[str]:
    return [f"fingerprint  {told['fingerprint']}", f"key set      {told['jwks']}"]


def _items(own: Any) -> list[dict[str, Any]]:
    from node.clock import iso
    from node.office.own_keys import state

    now_s = own.now_s()
    return [
        {
            "role": key.role,
            "state": state(own.keys, key, now_s),
            "from": iso(key.not_before) if key.not_before is not None else None,
            "until": iso(key.retire_after) if key.retire_after is not None else None,
            "revoked": iso(key.revoked_at) if key.revoked_at is not None else None,
            "kid": key.kid,
        }
        for key in own.keys.keys.values()
    ]


for sub in (list_, renew, revoke):
    keys.add_command(sub)
