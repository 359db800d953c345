"""`kpnode peer`: the authorities to exchange with."""

import click

from node.cli.output import Output, command

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
    from node import config
    from node.errors import ConfigError, NotFoundError
    from node.jose.keys import read_key_set, same_fingerprint
    from node.ledger import acts, peers
    from node.schema.validation import check
    from node.strict_json import dumps
    from node.wiring import open_node

    with open_node(output.home) as own:
        if own.config.peer(authority) is not None:
            raise ConfigError(
                f"{authority} is a peer already; its table in peers.toml is changed by hand",
                code="peer-exists",
            )
        remote = jwks.startswith(("http://", "https://"))
        if remote and fingerprint is None:
            raise click.UsageError("--jwks from a URL needs --fingerprint")
        if remote:
            config.check_url(jwks, own.sandbox)
            raw = _fetch(jwks)
        else:
            try:
                with open(jwks, "rb") as file:
                    raw = file.read(1024 * 1024)
            except OSError as error:
                raise NotFoundError(f"{jwks}: {error.strerror}") from None
        keys = read_key_set(raw)
        if keys.authority != authority:
            detail = f"the key set is of {keys.authority}, not of {authority}"
            raise ConfigError(detail, code="wrong-authority")
        if fingerprint is not None and not same_fingerprint(fingerprint, keys.fingerprint):
            raise ConfigError(
                f"fingerprint: expected {fingerprint}, the set has {keys.fingerprint}; do not trust it",
                code="wrong-fingerprint",
            )
        from node.domain.participants import name_of

        file_name = f"keys/{authority}.jwks.json"
        table = config.peer_table(authority, name or name_of(authority), url, file_name, mode)
        path = own.config.home / config.PEERS_FILE
        text = path.read_text("utf-8")
        config.parse((text + table).encode(), own.config.home, check)
        own.ledger.write(lambda tx: _pin(tx, authority, keys.fingerprint, own.now_s(), peers, acts))
        target = own.config.home / file_name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(dumps(keys.as_json()) + b"\n")
        fresh = path.with_suffix(".new")
        fresh.write_text(text + table, "utf-8")
        fresh.replace(path)
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

    with open_node(output.home) as own:
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
    output.result({"items": items, "next": None}, output.table(items, columns, empty))


@command()
@click.argument("authority")
def show(output: Output, authority: str) -> None:
    """Show one peer: keys, streams, quarantine, incidents."""
    from node.errors import NotFoundError
    from node.exchange.status import status
    from node.ledger import peers, streams, witness
    from node.wiring import open_node

    with open_node(output.home) as own:
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
    output.result(result, None)


def _pin(tx, authority, fingerprint, now_s, peers, acts) -> None:  # type: ignore[no-untyped-def]
    from node.errors import ConfigError

    state = peers.state(tx, authority)
    if state is None:
        peers.pin(tx, authority, fingerprint, now_s)
    elif state.fingerprint != fingerprint:
        raise ConfigError(
            f"{authority} is pinned with {state.fingerprint}, this set has {fingerprint}",
            code="keys-changed",
        )
    acts.note(tx, now_s, "peer add", f"{authority} {fingerprint}")


def _fetch(url: str) -> bytes:
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
            return await response.content.read(1024 * 1024)

    try:
        return asyncio.run(get())
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise PeerUnreachableError(f"{url}: {error or 'took too long'}") from None


for sub in (add, list_, show):
    peer.add_command(sub)
