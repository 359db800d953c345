"""The head of a stream: a hash chain over doc digests (protocol section 3)."""

import hashlib
from typing import NamedTuple


class Place(NamedTuple):
    """A position in a stream and the head there; position 0 is before the first."""

    position: int
    head: bytes

    def then(self, digest: bytes) -> "Place":
        """The place of a further document.

        Args:
            digest: Its doc digest, 32 bytes.
        """
        return Place(self.position + 1, hashlib.sha256(self.head + digest).digest())


START = Place(0, bytes(32))
