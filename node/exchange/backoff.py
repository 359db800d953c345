"""When to try again: full jitter, for ever (protocol section 3 rules 5 and 8)."""

from random import Random

FIRST_S = 1.0
CAP_S = 15 * 60.0
HEARTBEAT_S = 15 * 60.0
SPREAD = 0.2
FIRST_HEARTBEAT_S = 2.0
"""The first heartbeat after start comes within this; the protocol allows a minute."""


def delay_s(attempts: int, random: Random, retry_after_s: float | None = None) -> float:
    """Seconds until the next attempt after so many failures in a row.

    Args:
        attempts: Failures in a row, 1 or more.
        random: Source of the jitter.
        retry_after_s: What the peer asked for; kept as the least, up to the cap.
    """
    # 2^20 s is far beyond the cap; it keeps the power small after a year of failures.
    ceiling = min(CAP_S, FIRST_S * 2 ** min(attempts - 1, 20))
    least = min(CAP_S, retry_after_s or 0.0)
    return max(least, random.uniform(0.0, ceiling))


def heartbeat_s(random: Random) -> float:
    """Seconds until the next heartbeat: 15 minutes ± 20 %."""
    return spread(HEARTBEAT_S, random)


def spread(seconds: float, random: Random) -> float:
    """A period ± 20 %, so that many nodes do not act at once."""
    return seconds * random.uniform(1 - SPREAD, 1 + SPREAD)
