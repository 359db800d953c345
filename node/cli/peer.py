"""`kpnode peer`: the authorities to exchange with."""

from typing import TYPE_CHECKING, Any

import click

from node.cli.output import Output, command, read_file

if TYPE_CHECKING:
    from node.authority import OwnAuthority

MAX_FETCH_S = 20


@click.group()
def peer() -> None:
    """Add, show, probe, pause and renew the authorities to exchange with."""


@command()
@click.argument("authority")
@click.option("--url", help="Where the peer's node is reached; may be left out for pull and carry.")
@click.option("--jwks", required=True, help="Its key set: a file, or a URL (with --fingerprint).")
@click.option("--fingerprint", help="As its officials told you over the phone.")
@click.option("--name", help="Its name, for people.")
@click.option(
    "--mode",
    type=click.Choice(["push", "pull", "carry"]),
    default="push",
    show_default=True,
    help="push: each calls the other. pull: only one can be called, the other does all the "
    "calling. carry: files.",
)
def add(
    output: Output,
    authority: str,
    url: str | None,
    jwks: str,
    fingerprint: str | None,
    name: str | None,
    mode: str,
) -> None:
    """Pin the key set of AUTHORITY and append it to peers.toml.

    Compare the fingerprint with what the peer's officials read to you; it is what makes their
    signatures theirs. A set fetched from a URL is refused without --fingerprint.
    """
    from node.office.add_peer import add_peer
    from node.wiring import open_node

    if jwks.startswith(("http://", "https://")) and fingerprint is None:
        raise click.UsageError("--jwks from a URL needs --fingerprint")
    if not url and mode == "push":
        raise click.UsageError("--mode push needs --url; without one it is pull or carry")
    with open_node(output.home) as own:
        raw = _key_set(own, jwks)
        keys = add_peer(
            own,
            authority,
            url=url or "",
            key_set=raw,
            fingerprint=fingerprint,
            name=name,
            mode=mode,
        )
    output.result(
        {"authority": authority, "url": url or None, "mode": mode, "fingerprint": keys.fingerprint},
        f"{authority}: pinned\nfingerprint  {keys.fingerprint}",
    )
    if fingerprint is None:
        output.note(f"Compare this fingerprint with what officials of {authority} read to you.")


@command(name="list")
def list_(output: Output) -> None:
    """List the peers."""
    from node.watch.peers import listed
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        found = listed(own)
    columns = {"authority": "AUTHORITY", "mode": "MODE", "url": "URL", "fingerprint": "FINGERPRINT"}
    empty = "No peers yet. Add one: kpnode peer add AUTHORITY --url URL --jwks FILE"
    output.rows(found, found["items"], columns, empty)


SHOWN_ATTEMPTS = 10


def _attempt(one: Any) -> str:
    """An attempt for people: when, how often, how it ended."""
    often = f" ({one['tries']} times until {one['until']})" if one["tries"] > 1 else ""
    took = f" in {one['took_s']} s" if one["took_s"] is not None else ""
    ended = f"{one['step']}: {one['error']}" if one["error"] else f"{one['step']}{took}"
    return f"{one['at']}{often} {one['documents']} documents, {ended}"


@command()
@click.argument("authority")
def show(output: Output, authority: str) -> None:
    """Show one peer: keys, streams, attempts, quarantine, incidents."""
    from node.watch.peers import STATES
    from node.watch.peers import peer as read
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        row = read(own, authority)
    held = row["witnessed"]["size"] if row["witnessed"] else 0
    lines = [
        f"{authority}  {row['name']}",
        f"state        {row['state']}: {STATES[row['state']].means}",
        *(
            [f"to do        {STATES[row['state']].do.replace('PEER', authority)}"]
            if row["state"] != "in sync"
            else []
        ),
        f"address      {row['url'] or 'none'} ({row['mode']})",
        f"fingerprint  {row['fingerprint']}",
        f"sent         {row['out']['acknowledged']} of {row['out']['position']} acknowledged",
        f"received     {row['in']['have']} of {row['in']['known']}",
        f"witnessed    {f'{held} entries of its log' if held else 'nothing of its log yet'}",
        f"last contact {row['last_contact'] or 'none'}",
        *([f"last error   {row['last_error']}"] if row["last_error"] else []),
        *(
            [f"paused       {row['paused']['at']}: {row['paused']['because']}"]
            if row["paused"]
            else []
        ),
        *(
            line
            for i in row["incidents"]
            for line in (
                f"incident     {i['at']} {i['code']}: {i['detail']}",
                f"             {i['means']}",
                f"             to do: {i['mend']}",
            )
        ),
        *(
            f"quarantine   {q['position']} {q['document']} {q['errors'][0]['code']}"
            for q in row["refused"]
        ),
        *(f"attempt      {_attempt(one)}" for one in row["attempts"][:SHOWN_ATTEMPTS]),
        *(
            f"ALERT        {one['code']} since {one['since']}: {one['detail']}"
            for one in row["alerts"]
        ),
    ]
    output.result(row, "\n".join(lines))


@command()
@click.argument("authority")
def probe(output: Output, authority: str) -> None:
    """Go the whole way to AUTHORITY, step by step, and say where it breaks off.

    The steps are name, connect, tls, protocol, keys, clock and position. Nothing is delivered.
    Exit code 7 if one fails.
    """
    import asyncio
    import sys

    from node.cli.output import UNREACHABLE
    from node.exchange.probe import probe as walk
    from node.wiring import open_node

    with open_node(output.home) as own:
        steps = asyncio.run(walk(own, own.config.known_peer(authority).authority))
    items = [step.as_json() for step in steps]
    rows = [{**item, "state": "ok" if item["ok"] else "FAILED"} for item in items]
    columns = {"step": "STEP", "state": "", "found": "FOUND", "mend": "MEND"}
    output.rows({"items": items, "next": None}, rows, columns)
    if not all(step.good for step in steps):
        sys.exit(UNREACHABLE)


@command()
@click.argument("authority")
@click.option("--because", required=True, metavar="TEXT", help="Why; it stays on record.")
def pause(output: Output, authority: str, because: str) -> None:
    """Send nothing to AUTHORITY and take nothing from it, until resume."""
    from node.office.hold_peer import pause as verb
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        verb(own, authority, because)
    output.result({"authority": authority, "paused": True}, f"{authority} is paused: {because}")


@command()
@click.argument("authority")
@click.option("--because", required=True, metavar="TEXT", help="Why; it stays on record.")
def resume(output: Output, authority: str, because: str) -> None:
    """Go on with AUTHORITY: end its pause and its incidents.

    What was found stays on record. If the cause lasts, the next contact opens the incident anew.
    """
    from node.office.hold_peer import resume as verb
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        ended = verb(own, authority, because)
    told = f"{authority} goes on; incidents ended: {ended}"
    output.result({"authority": authority, "paused": False, "incidents_ended": ended}, told)


@command()
@click.argument("authority")
@click.option("--jwks", required=True, help="Its new key set: a file, or a URL.")
@click.option("--fingerprint", required=True, help="As its officials told you over the phone.")
@click.option("--because", required=True, metavar="TEXT", help="Why; it stays on record.")
def renew(output: Output, authority: str, jwks: str, fingerprint: str, because: str) -> None:
    """Pin the new keys of AUTHORITY, which is a peer already.

    Compare the fingerprint with what its officials read to you, on a number you have from before.
    What its former keys have signed stays good.
    """
    from node.office.hold_peer import renew_keys
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        keys = renew_keys(
            own, authority, key_set=_key_set(own, jwks), fingerprint=fingerprint, because=because
        )
    output.result(
        {"authority": authority, "fingerprint": keys.fingerprint},
        f"{authority}: pinned anew\nfingerprint  {keys.fingerprint}",
    )


def _key_set(own: "OwnAuthority", jwks: str) -> bytes:
    from node.config import check_url
    from node.jose.keys import MAX_KEY_SET_BYTES

    if not jwks.startswith(("http://", "https://")):
        return read_file(jwks, MAX_KEY_SET_BYTES)
    check_url(jwks, own.sandbox)
    return _fetch(jwks, MAX_KEY_SET_BYTES)


def _fetch(url: str, limit: int) -> bytes:
    """A key set from a URL; trusted only by its fingerprint."""
    import asyncio

    import aiohttp

    from node.errors import PeerUnreachableError

    async def get() -> bytes:
        timeout = aiohttp.ClientTimeout(total=MAX_FETCH_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise PeerUnreachableError(f"{url}: status {response.status}")
            return await response.content.read(limit + 1)

    try:
        return asyncio.run(get())
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise PeerUnreachableError(f"{url}: {error or 'took too long'}") from None


for sub in (add, list_, show, probe, pause, resume, renew):
    peer.add_command(sub)
