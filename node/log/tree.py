"""RFC 9162 Merkle tree over SHA-256, with stored complete subtrees.

Nodes are addressed by (level, index): level 0 holds the leaves, node (l, i) covers the leaves
i·2^l to (i+1)·2^l - 1 and is stored once all of them are there. Whoever stores them passes `get`.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

GetNode = Callable[[int, int], bytes]
"""The hash of a complete subtree by (level, index); LookupError where it is missing."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def entry_leaf(origin: str, digest: bytes) -> bytes:
    """The leaf of a document in the log of `origin` (protocol section 5).

    Args:
        origin: ``kpx/<authority>`` or ``kpx-sandbox/<authority>``.
        digest: The doc digest, 32 bytes.
    """
    return leaf_hash(hashlib.sha256(origin.encode() + b"\x0a" + digest).digest())


class Edge:
    """The right edge of a tree that grows: the roots of its complete subtrees, largest first."""

    def __init__(self, size: int = 0, get: GetNode | None = None) -> None:
        """The edge of a stored tree of `size` leaves; of an empty one by default."""
        self.size = size
        self._roots: list[bytes] = []
        start = 0
        while start < size:
            assert get is not None
            level = (size - start).bit_length() - 1
            self._roots.append(get(level, start >> level))
            start += 1 << level

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf; returns the nodes (level, index, hash) that became complete."""
        level, index, value = 0, self.size, leaf
        complete = [(level, index, value)]
        while index % 2:
            value = node_hash(self._roots.pop(), value)
            level, index = level + 1, index // 2
            complete.append((level, index, value))
        self._roots.append(value)
        self.size += 1
        return complete

    def root(self) -> bytes:
        """Root of the tree as it stands."""
        if not self._roots:
            return EMPTY_ROOT
        value = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            value = node_hash(left, value)
        return value


def root(size: int, get: GetNode) -> bytes:
    """Root of the first `size` leaves."""
    return Edge(size, get).root()


def inclusion(index: int, size: int, get: GetNode) -> list[bytes]:
    """Proof that leaf `index` is in the tree of `size` (RFC 9162 section 2.1.3.1).

    Raises:
        ValueError: `index` is not in the tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(middle, end, get))
            end = middle
        else:
            path.append(_range_root(start, middle, get))
            start = middle
    return path[::-1]


def consistency(old: int, new: int, get: GetNode) -> list[bytes]:
    """Proof that the tree of `new` extends the tree of `old` (RFC 9162 section 2.1.4.1).

    Empty for ``old == 0`` and ``old == new``.

    Raises:
        ValueError: Not ``0 <= old <= new``.
    """
    if not 0 <= old <= new:
        raise ValueError(f"no consistency from {old} to {new}")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end = 0, new
    whole = True  # whether the old tree is the whole of [0, start + something) seen so far
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range_root(middle, end, get))
            end = middle
        else:
            path.append(_range_root(start, middle, get))
            start, whole = middle, False
    if not whole:
        path.append(_range_root(start, end, get))
    return path[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes
) -> bool:
    """Whether a leaf's hash is at `index` under a root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size or not _hashes([leaf, *proof]):
        return False
    at, last, value = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if at % 2 or at == last:
            value = node_hash(step, value)
            while at and at % 2 == 0:
                at, last = at // 2, last // 2
        else:
            value = node_hash(value, step)
        at, last = at // 2, last // 2
    return last == 0 and value == expected_root


def verify_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Whether the tree of `new` extends that of `old` (RFC 9162 section 2.1.4.2).

    From 0 every tree follows, with an empty proof (C2SP tlog-witness).
    """
    if not 0 <= old <= new or not _hashes(proof):
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT and (new > 0 or new_root == EMPTY_ROOT)
    if old == new:
        return not proof and old_root == new_root
    steps = list(proof)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    at, last = old - 1, new - 1
    while at % 2:
        at, last = at // 2, last // 2
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at % 2 or at == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while at and at % 2 == 0:
                at, last = at // 2, last // 2
        else:
            second = node_hash(second, step)
        at, last = at // 2, last // 2
    return last == 0 and first == old_root and second == new_root


def _split(length: int) -> int:
    return int(1 << ((length - 1).bit_length() - 1))


def _range_root(start: int, end: int, get: GetNode) -> bytes:
    """Root of leaves [start, end), where start is a multiple of the next power of two."""
    parts: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append(get(level, start >> level))
        start += 1 << level
    value = parts.pop()
    while parts:
        value = node_hash(parts.pop(), value)
    return value


def _hashes(proof: Iterable[bytes]) -> bool:
    return all(len(step) == HASH_BYTES for step in proof)
