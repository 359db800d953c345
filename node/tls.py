"""TLS contexts from the settings: the peer listener's, and those to call peers with."""

import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path

from node.config import PeerSettings, TlsSettings
from node.errors import ConfigError
from node.ids import Authority

_MINIMUM = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(tls: TlsSettings, peers: Iterable[PeerSettings]) -> ssl.SSLContext | None:
    """The peer listener's context, or None where it speaks plain http.

    Where a peer's client certificate is pinned, clients are asked for one; who shows none is
    served as far as no peer's name is claimed (`node.web.peer_listener`).

    Raises:
        ConfigError: ``bad-certificate``.
    """
    if tls.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _MINIMUM[tls.minimum]
    renew(context, tls, peers)
    return context


def renew(context: ssl.SSLContext, tls: TlsSettings, peers: Iterable[PeerSettings]) -> None:
    """Load certificates and key of the listener again; connections from now on get them.

    Raises:
        ConfigError: ``bad-certificate``; the context stays as it was.
    """
    pinned = [peer.client_certificate for peer in peers if peer.client_certificate]
    # Tried apart first: a context that has failed to load a key may be left without one.
    for one in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
        _load(one, tls.certificate, tls.key)
        for path in pinned:
            _trust(one, path)
            one.verify_mode = ssl.CERT_OPTIONAL


def client_context(tls: TlsSettings, peer: PeerSettings) -> ssl.SSLContext:
    """What a peer is called with: whom to believe, and what to show where it asks.

    Raises:
        ConfigError: ``bad-certificate``.
    """
    context = ssl.create_default_context()
    context.minimum_version = _MINIMUM[tls.minimum]
    if peer.ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = _MINIMUM[tls.minimum]
        _trust(context, peer.ca)
    if tls.client_certificate is not None:
        _load(context, tls.client_certificate, tls.client_key)
    return context


def pins(peers: Mapping[Authority, PeerSettings]) -> dict[Authority, bytes]:
    """The one certificate that each peer's client must show, DER; only those that have a pin.

    Raises:
        ConfigError: ``bad-certificate``.
    """
    found = {}
    for authority, peer in peers.items():
        if peer.client_certificate is not None:
            try:
                text = peer.client_certificate.read_text("ascii")
                found[authority] = ssl.PEM_cert_to_DER_cert(_first(text))
            except (OSError, ValueError) as error:
                raise _bad(peer.client_certificate, error) from None
    return found


def files(tls: TlsSettings, peers: Iterable[PeerSettings]) -> list[Path]:
    """All files the contexts are made from; a change of one asks for new contexts."""
    ours = (tls.certificate, tls.key, tls.client_certificate, tls.client_key)
    theirs = (path for peer in peers for path in (peer.ca, peer.client_certificate))
    return [path for path in (*ours, *theirs) if path is not None]


def _first(pem: str) -> str:
    end = "-----END CERTIFICATE-----"
    head, found, _ = pem.partition(end)
    if not found:
        raise ValueError("no certificate in it")
    return head[head.find("-----BEGIN") :] + found + "\n"


def _load(context: ssl.SSLContext, certificate: Path | None, key: Path | None) -> None:
    assert certificate is not None
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise _bad(certificate, error) from None


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError) as error:
        raise _bad(path, error) from None
    # What stands in the file is trusted as it is, whoever signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _no_password() -> str:
    raise ValueError("the key has a password; a node starts without anyone to type it")


def _bad(path: Path, error: Exception) -> ConfigError:
    reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
    return ConfigError(f"{path}: no usable PEM: {reason}", code="bad-certificate")
