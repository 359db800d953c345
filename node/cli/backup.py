"""`kpnode backup` and `kpnode restore`."""

from pathlib import Path

import click

from node.cli.output import Output, command, progress


@command()
@click.argument("file")
def backup(output: Output, file: str) -> None:
    """Write ledger, settings and public keys to FILE, also while the node runs.

    The copy is verified from the bytes up before it gets its name. Private keys are not in it: keep
    keys/private apart, under lock.
    """
    from node import backup as archive
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        about = archive.make(own, Path(file), progress)
    told = f"{file}\n{about.size} entries, verified; root {about.root}"
    output.result({"file": file, **about.as_json()}, told)
    output.note("Private keys are not in it; keep keys/private apart.")


@command()
@click.argument("file")
def restore(output: Output, file: str) -> None:
    """Put the ledger of backup FILE into the home; a ledger that is there is moved aside.

    The node must be stopped. A home that is not there is made, with settings and public keys from
    the backup; private keys are brought back from where they are kept. Afterwards the node signs
    nothing until its peers have said what they hold of its log, or you let it go on.
    """
    from node import backup as archive
    from node.clock import SystemClock
    from node.errors import NotFoundError
    from node.wiring import checkpoint_keeper, read_config, read_own_keys

    source, now = Path(file), SystemClock().now()
    if not source.exists():
        raise NotFoundError(f"{file}: no such file")
    archive.unpack_settings(source, output.home)
    config = read_config(output.home)
    keys = read_own_keys(config.node)
    about, aside = archive.restore(
        source,
        config,
        lambda ledger: checkpoint_keeper(config.node, keys, {}, ledger),
        keys,
        now.strftime("%Y%m%dT%H%M%SZ"),
        progress,
    )
    result = {
        **about.as_json(),
        "home": str(config.home),
        "former_ledger": str(aside) if aside else None,
    }
    text = f"restored {about.size} entries of {about.authority}, as of {about.made_at}"
    output.result(result, text + (f"\nthe former ledger is {aside}" if aside else ""))
    if not any(config.node.private_keys.glob("*.pem")):
        output.note(f"Bring the private keys back to {config.node.private_keys} (0600).")
    output.note("Start the node: it asks its peers what they hold before it signs anything.")
