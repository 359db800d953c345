"""The Kimberley Process exchange node: one authority's signer, exchange and ledger."""

__version__ = "0.1.0"
