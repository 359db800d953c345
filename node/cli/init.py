"""`kpnode init`: make a home."""

from pathlib import Path
from urllib.parse import urlsplit

import click

from node.cli.output import Output, command

PEERS_HINT = """
# Peers are added by `kpnode peer add`, or by hand:
# [[peer]]
# authority = "EU-BE"
# name = "Federal Public Service Economy, Antwerp"
# url = "https://kpx.example.org"
# jwks = "keys/EU-BE.jwks.json"    # pinned; fetching never replaces it
# mode = "push"                    # push, pull or carry
"""


@command()
@click.argument("directory", type=click.Path(file_okay=False))
@click.option("--authority", required=True, help="Who signs, e.g. RU, CN-HK or EU-BE.")
@click.option("--name", required=True, help="The authority's name, for people.")
@click.option("--url", required=True, help="Where peers reach this node.")
@click.option("--listen", help="HOST:PORT of the peer listener [from the URL].")
@click.option("--console", help="HOST:PORT of console and API [localhost, listen + 10].")
@click.option("--timezone", default="UTC", show_default=True, help="For dates of issue.")
@click.option("--sandbox", is_flag=True, help="A node for trials; never mixes with production.")
def init(
    output: Output,
    directory: str,
    authority: str,
    name: str,
    url: str,
    listen: str | None,
    console: str | None,
    timezone: str,
    sandbox: bool,
) -> None:
    """Make a home in DIRECTORY: three keys, a database and peers.toml.

    Prints the fingerprint of the key set: read it to your peers over the phone.
    """
    from contextlib import closing
    from datetime import date

    from node import config
    from node.clock import SystemClock, seconds
    from node.domain.reference import reference
    from node.errors import ConfigError
    from node.ids import AUTHORITY, Authority, participant_of
    from node.jose.signing import make_keys
    from node.ledger import acts, entries
    from node.ledger.database import Ledger
    from node.schema.validation import check
    from node.strict_json import dumps

    home = Path(directory)
    _refuse_work_tree(home.resolve())
    if _has_something(home):
        raise ConfigError(f"{home} is not empty; choose a new folder", code="home-exists")
    if not AUTHORITY.fullmatch(authority):
        raise click.UsageError(f"--authority: expected e.g. RU or EU-BE, got {authority!r}")
    listen = listen or _listen_of(url)
    port = listen.rpartition(":")[2]
    if not port.isdecimal():
        raise click.UsageError(f"--listen: expected HOST:PORT, got {listen!r}")
    console = console or f"localhost:{int(port) + 10}"
    if console.rpartition(":")[2] == port:
        raise click.UsageError(f"--listen and --console both have port {port}")
    table = config.node_table(
        {
            "authority": authority,
            "name": name,
            "url": url,
            "listen": listen,
            "console": console,
            "sandbox": sandbox,
            "timezone": timezone,
            "database": "data/node.db",
            "keys": "keys",
        }
    )
    settings = config.parse(table.encode(), home, check).node  # before anything is written
    new, now_s = not home.exists(), seconds(SystemClock().now())
    try:
        settings.database.parent.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise ConfigError(f"{home}: another init is at work", code="home-exists") from None
    try:
        keys = make_keys(Authority(authority), settings.private_keys, now_s)
        settings.key_set.write_bytes(dumps(keys.as_json()) + b"\n")
        with closing(Ledger(settings.database, create=True)) as ledger:
            ledger.write(lambda tx: entries.belong_to(tx, settings.origin))
            ledger.write(lambda tx: acts.note(tx, now_s, "init", authority))
        # Last: a home is a home once it has this file.
        (home / config.PEERS_FILE).write_text(table + PEERS_HINT, "utf-8")
    except BaseException as error:
        _take_back(home, whole=new)
        if isinstance(error, OSError):
            raise ConfigError(f"{home}: {error.strerror}", code="unusable-file") from None
        raise
    result = {
        "authority": authority,
        "home": str(home),
        "fingerprint": keys.fingerprint,
        "jwks": str(settings.key_set),
        "sandbox": sandbox,
    }
    world = "sandbox " if sandbox else ""
    output.result(
        result,
        f"{authority}: {world}home in {home}\n"
        f"fingerprint  {keys.fingerprint}\n"
        f"key set      {settings.key_set.relative_to(home.resolve())}  (give this file to your peers)",
    )
    participant = participant_of(authority)
    if participant is not None and reference().standing(participant, date.today()) is None:
        output.note(
            f"Note: {participant} is no participant of the scheme; others will refuse its certificates."
        )
    output.note(f"Next: kpnode --home {home} peer add AUTHORITY --url URL --jwks FILE")


def _has_something(home: Path) -> bool:
    return home.exists() and any(home.iterdir())


def _take_back(home: Path, *, whole: bool) -> None:
    """Leave nothing of a home that could not be made; it was empty, or not there."""
    import shutil

    for path in [home] if whole else list(home.iterdir()):
        shutil.rmtree(path, ignore_errors=True)
        if path.is_file():
            path.unlink()


def _refuse_work_tree(home: Path) -> None:
    from node.errors import ConfigError

    for folder in (home, *home.parents):
        if (folder / ".git").exists():
            raise ConfigError(
                f"{home} is inside the git work tree {folder}; private keys do not belong there",
                code="inside-work-tree",
            )


def _listen_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or 'localhost'}:{parts.port or 8101}"
    except ValueError:
        raise click.UsageError(f"--url: no port in {url!r}") from None
