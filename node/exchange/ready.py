"""Imported once, by the process that workers are copied from: what judging needs is there at once."""

from node.domain.kinds import KINDS
from node.domain.reference import reference
from node.exchange import judge
from node.ledger import audit
from node.schema.accepting import accepts

__all__ = ["audit", "judge"]

reference()
for kind in KINDS.values():
    accepts(f"{kind.name}.v{kind.version}", None)  # makes the validator
