"""How long a factor waits after wrong codes. Pure. NIST SP 800-63B-4 3.2.2; PSD2 RTS Art. 4(3)(b); requirements.md S6."""

from __future__ import annotations

#: Wrong codes a challenge takes.
ATTEMPTS_PER_CHALLENGE = 5
#: Consecutive wrong codes that disable a factor, whatever challenge, session or restart lay between.
DISABLE_AT = 100
_FIRST_WAIT, _LONGEST_WAIT = 30.0, 3600.0


def wait_after(failures: int) -> float:
    """Return the seconds to wait after that many consecutive failures: none below five, then 30 s doubling up to an hour."""
    over = failures - ATTEMPTS_PER_CHALLENGE
    if over < 0:
        return 0.0
    return float(min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(over, 20)))
