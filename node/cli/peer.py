"""`kpnode peer`: the authorities to exchange with."""

import click

from node.cli.output import Output, command, read_file

MAX_FETCH_S = 20


@click.group()
def peer() -> None:
    """Add, list and show the authorities to exchange with."""


@command()
@click.argument("authority")
@click.option("--url", required=True, help="Where the peer's node is reached.")
@click.option("--jwks", required=True, help="Its key set: a file, or a URL (with --fingerprint).")
@click.option("--fingerprint", help="As its officials told you over the phone.")
@click.option("--name", help="Its name, for people.")
@click.option(
    "--mode",
    type=click.Choice(["push", "pull", "carry"]),
    default="push",
    show_default=True,
    help="How bundles reach it.",
)
def add(
    output: Output,
    authority: str,
    url: str,
    jwks: str,
    fingerprint: str | None,
    name: str | None,
    mode: str,
) -> None:
    """Pin the key set of AUTHORITY and append it to peers.toml.

    Compare the fingerprint with what the peer's officials read to you; it is what makes their
    signatures theirs. A set fetched from a URL is refused without --fingerprint.
    """
    from node.config import check_url
    from node.jose.keys import MAX_KEY_SET_BYTES
    from node.office.add_peer import add_peer
    from node.wiring import open_node

    remote = jwks.startswith(("http://", "https://"))
    if remote and fingerprint is None:
        raise click.UsageError("--jwks from a URL needs --fingerprint")
    with open_node(output.home) as own:
        if remote:
            check_url(jwks, own.sandbox)
        raw = _fetch(jwks, MAX_KEY_SET_BYTES) if remote else read_file(jwks, MAX_KEY_SET_BYTES)
        keys = add_peer(
            own, authority, url=url, key_set=raw, fingerprint=fingerprint, name=name, mode=mode
        )
    output.result(
        {"authority": authority, "url": url, "mode": mode, "fingerprint": keys.fingerprint},
        f"{authority}: pinned\nfingerprint  {keys.fingerprint}",
    )
    if fingerprint is None:
        output.note(f"Compare this fingerprint with what officials of {authority} read to you.")


@command(name="list")
def list_(output: Output) -> None:
    """List the peers."""
    from node.ledger import peers
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        states = own.ledger.read(
            lambda tx: {p.authority: peers.state(tx, p.authority) for p in own.config.peers}
        )
        items = [
            {
                "authority": settings.authority,
                "name": settings.name,
                "url": settings.url,
                "mode": settings.mode,
                "fingerprint": state.fingerprint if state else None,
            }
            for settings in own.config.peers
            for state in [states[settings.authority]]
        ]
    columns = {"authority": "AUTHORITY", "mode": "MODE", "url": "URL", "fingerprint": "FINGERPRINT"}
    empty = "No peers yet. Add one: kpnode peer add AUTHORITY --url URL --jwks FILE"
    output.rows({"items": items, "next": None}, items, columns, empty)


@command()
@click.argument("authority")
def show(output: Output, authority: str) -> None:
    """Show one peer: keys, streams, quarantine, incidents."""
    from node.errors import NotFoundError
    from node.exchange.status import status
    from node.ledger import peers, streams, witness
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        settings = own.config.peer(authority)
        if settings is None:
            raise NotFoundError(f"{authority} is no peer of this node; see kpnode peer list")
        row = next(r for r in status(own)["peers"] if r["authority"] == authority)
        state, kept, held = own.ledger.read(
            lambda tx: (
                peers.state(tx, authority),
                streams.quarantined(tx, authority),
                witness.held(tx, authority),
            )
        )
        keys = own.book.ring.get(settings.authority)
    result = {
        **row,
        "name": settings.name,
        "url": settings.url,
        "mode": settings.mode,
        "fingerprint": state.fingerprint if state else None,
        "keys": [dict(key.jwk) for key in keys.keys.values()] if keys else [],
        "witnessed": {"size": held.size, "note": held.note} if held else None,
        "quarantined": [
            {"position": q.position, "doc_id": q.doc_id, "errors": q.errors} for q in kept
        ],
    }
    lines = [
        f"{settings.authority}  {settings.name}",
        f"state        {row['state']}",
        f"address      {settings.url} ({settings.mode})",
        f"fingerprint  {result['fingerprint']}",
        f"sent         {row['out']['acknowledged']} of {row['out']['position']} acknowledged",
        f"received     {row['in']['have']} of {row['in']['known']}",
        f"witnessed    {f'{held.size} entries of its log' if held else 'nothing of its log yet'}",
        f"last contact {row['last_contact'] or 'none'}",
        *([f"last error   {row['last_error']}"] if row["last_error"] else []),
        *(f"incident     {i['at']} {i['code']}: {i['detail']}" for i in row["incidents"]),
        *(f"quarantine   {q.position} {q.doc_id} {q.errors[0]['code']}" for q in kept),
    ]
    output.result(result, "\n".join(lines))


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


for sub in (add, list_, show):
    peer.add_command(sub)
