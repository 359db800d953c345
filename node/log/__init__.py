"""The Merkle tree (RFC 9162), its proofs and its signed notes (C2SP). Pure: no I/O, no keys."""
