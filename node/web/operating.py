"""What operators do and see through the API: peers, files, the log, tokens and webhooks."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from node import bundle
from node.authority import OwnAuthority
from node.errors import NotFoundError, ProblemError
from node.exchange import carry, probe, rounds
from node.ids import Authority
from node.jose.keys import KeySet
from node.ledger import access, checkpoints, subscribers
from node.office import access as tokens
from node.office import hold_peer, webhooks
from node.office.add_peer import add_peer
from node.office.attend import attend
from node.strict_json import dumps
from node.watch import log, peers
from node.watch.system import system
from node.web import hooks
from node.web.call import TEXT, Answer, ApiError, Call, Handler


def _add_peer(own: OwnAuthority, call: Call) -> Answer:
    told = {"url": "", "name": None, "mode": "push", **call.body}
    keys = add_peer(own, told.pop("authority"), key_set=dumps(told.pop("key_set")), **told)
    return Answer(_pinned(keys), 201)


def _renew(own: OwnAuthority, call: Call) -> Answer:
    told = dict(call.body)
    key_set = dumps(told.pop("key_set"))
    return Answer(
        _pinned(hold_peer.renew_keys(own, call.path["authority"], key_set=key_set, **told))
    )


def _pinned(keys: KeySet) -> dict[str, Any]:
    return {"authority": keys.authority, "fingerprint": keys.fingerprint}


def _pause(own: OwnAuthority, call: Call) -> Answer:
    name = call.path["authority"]
    hold_peer.pause(own, name, call.body["because"])
    return Answer({"authority": name, "paused": True})


def _resume(own: OwnAuthority, call: Call) -> Answer:
    name = call.path["authority"]
    ended = hold_peer.resume(own, name, call.body["because"])
    return Answer({"authority": name, "paused": False, "incidents_ended": ended})


def _probe(own: OwnAuthority, call: Call) -> Answer:
    steps = asyncio.run(probe.probe(own, _peer(own, call)))
    return Answer({"items": [step.as_json() for step in steps], "next": None})


def _sync(own: OwnAuthority, call: Call) -> Answer:
    return Answer(rounds.sync(own, call.path.get("authority"), partial(attend, own)))


def _export_bundle(own: OwnAuthority, call: Call) -> Answer:
    with _refusing():
        made = carry.make(own, _peer(own, call), call.body.get("proof_from"))
    return Answer(made.raw, media=bundle.MEDIA_TYPE)


def _import_bundle(own: OwnAuthority, call: Call) -> Answer:
    with _refusing():
        done = carry.take_in(own, call.body)
    attend(own)
    receipt = None if done.answer is None else done.answer.decode()
    return Answer({**done.as_json(), "receipt": receipt})


def _peer(own: OwnAuthority, call: Call) -> Authority:
    return own.config.known_peer(call.path["authority"]).authority


@contextmanager
def _refusing() -> Iterator[None]:
    """What is wrong with a file is not what is wrong with the request that brought it."""
    try:
        yield
    except ProblemError as problem:
        if problem.code == "paused":
            raise
        raise ApiError(422, problem.code, str(problem)) from None


def _checkpoint(own: OwnAuthority, _: Call) -> Answer:
    newest = own.ledger.read(checkpoints.newest)
    return Answer(newest.note if newest else "", media=TEXT)


def _tokens(own: OwnAuthority, _: Call) -> Answer:
    now_s = own.now_s()
    items = [access.as_json(one, now_s) for one in own.ledger.read(access.listed)]
    return Answer({"items": items, "next": None})


def _webhooks(own: OwnAuthority, _: Call) -> Answer:
    items = [subscribers.as_json(one) for one in own.ledger.read(subscribers.listed)]
    return Answer({"items": items, "next": None})


def _add_webhook(own: OwnAuthority, call: Call) -> Answer:
    url, start = call.body["url"], call.body.get("from_start", False)
    name, secret = webhooks.add(own, url, from_start=start)
    return Answer({"id": name, "url": url, "secret": secret}, 201)


def _ping(own: OwnAuthority, call: Call) -> Answer:
    found = own.ledger.read(lambda tx: subscribers.by_id(tx, call.path["id"]))
    if found is None:
        raise NotFoundError(f"no webhook {call.path['id']}; see kpnode webhook list")
    error = asyncio.run(hooks.ping(own, found))
    return Answer({"id": found.id, "url": found.url, "taken": error is None, "error": error})


def _of_webhook(verb: Callable[..., subscribers.Subscriber]) -> Handler:
    return lambda own, call: Answer(subscribers.as_json(verb(own, call.path["id"], **call.body)))


HANDLERS: dict[str, Handler] = {
    "status": lambda own, _: Answer(peers.status(own)),
    "system": lambda own, _: Answer(system(own)),
    "list-peers": lambda own, _: Answer(peers.listed(own)),
    "show-peer": lambda own, c: Answer(peers.peer(own, c.path["authority"])),
    "add-peer": _add_peer,
    "renew-keys": _renew,
    "pause-peer": _pause,
    "resume-peer": _resume,
    "probe-peer": _probe,
    "sync": _sync,
    "sync-peer": _sync,
    "export-bundle": _export_bundle,
    "import-bundle": _import_bundle,
    "list-entries": lambda own, c: Answer(log.listed(own, c.query["after"], c.query["limit"])),
    "verify-ledger": lambda own, c: Answer(log.verified(own, c.progress)),
    "checkpoint": _checkpoint,
    "proof": lambda own, c: Answer(log.proof(own, c.query["document"])),
    "list-tokens": _tokens,
    "revoke-token": lambda own, c: Answer(
        access.as_json(tokens.revoke(own, c.path["id"]), own.now_s())
    ),
    "list-webhooks": _webhooks,
    "add-webhook": _add_webhook,
    "replay-webhook": _of_webhook(webhooks.replay),
    "remove-webhook": _of_webhook(webhooks.remove),
    "ping-webhook": _ping,
}
"""By operation id."""
