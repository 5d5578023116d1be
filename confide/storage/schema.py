"""The core's tables. Columns named `sealed_*` hold envelope.py values; everything else is pseudonymous or a fact of the machine.

Times are Unix seconds. Ids are random text unless said otherwise. The business (bank/) keeps its tables in the same database, so that
an effect, its audit entry and its outbox rows commit or fail together.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData()

sessions = Table(
    "sessions", metadata,
    Column("id", String(64), primary_key=True),
    # The id before the last rotation; good until the new one is first seen, so that a lost answer does not sign anyone out.
    Column("previous_id", String(64), unique=True),
    # Stays the same when a proof rotates the id; acts and grants belong to it. A sign-in makes a new one.
    Column("root", String(64), nullable=False, unique=True),
    Column("conversation", String(64), nullable=False, index=True),
    Column("subject", String(64)),
    Column("method", String(16)),
    Column("signed_in_at", Float),
    Column("verified_at", Float),
    Column("seen_at", Float, nullable=False),
    Column("ended_at", Float),
)

conversations = Table(
    "conversations", metadata,
    Column("id", String(64), primary_key=True),
    # An anonymous conversation attaches to one subject, once.
    Column("subject", String(64)),
    # The newest turn the core has seen; a capability of an older one is refused.
    Column("turn", BigInteger, nullable=False),
)

login_tokens = Table(
    "login_tokens", metadata,
    Column("jti", String(64), primary_key=True),
    Column("expires_at", Float, nullable=False),
)

totp_factors = Table(
    "totp_factors", metadata,
    Column("id", String(64), primary_key=True),
    Column("subject", String(64), nullable=False, index=True),
    Column("state", String(16), nullable=False),  # pending, active, disabled
    Column("sealed_secret", LargeBinary, nullable=False),
    # The last time step accepted; only a later one ever counts again (RFC 6238 5.2).
    Column("last_step", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("blocked_until", Float, nullable=False),
    Column("created_at", Float, nullable=False),
)
# One authenticator that counts per person, whatever races two tabs run.
Index("one_active_totp", totp_factors.c.subject, unique=True,
      sqlite_where=totp_factors.c.state == "active", postgresql_where=totp_factors.c.state == "active")

acts = Table(
    "acts", metadata,
    Column("id", String(32), primary_key=True),
    Column("root", String(64), nullable=False, index=True),
    Column("conversation", String(64), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("proof", String(16), nullable=False),  # totp, enrolment
    Column("factor", String(64), nullable=False),
    Column("sealed_content", LargeBinary, nullable=False),
    Column("nonce", String(32), nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # acts.State
)

effects = Table(
    "effects", metadata,
    # conversation:turn. The primary key is the idempotency key: a turn commits one effect, or is closed without one.
    Column("turn", String(96), primary_key=True),
    Column("act", String(32), unique=True),
    Column("done", Boolean, nullable=False),
    Column("owner", String(96), nullable=False),
    Column("sealed_summary", LargeBinary),
    Column("at", Float, nullable=False),
)

grants = Table(
    "grants", metadata,
    Column("token", String(32), primary_key=True),
    Column("root", String(64), nullable=False, index=True),
    Column("owner", String(96), nullable=False),
    Column("sealed_value", LargeBinary, nullable=False),
    Column("expires_at", Float, nullable=False),
)

audit_events = Table(
    "audit_events", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("event", String(64), nullable=False),
    Column("subject", String(64)),
    Column("session", String(64)),
    Column("data", String(1024), nullable=False),  # canonical JSON
)

outbox = Table(
    "outbox", metadata,
    Column("key", String(96), primary_key=True),  # the idempotency key given to the receiver
    Column("kind", String(16), nullable=False),
    Column("owner", String(96), nullable=False),
    Column("sealed_payload", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("available_at", Float, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("delivered_at", Float),
    # Its payload does not open: kept for a person to look at, out of the way of the others.
    Column("broken_at", Float),
)

leases = Table(
    "leases", metadata,
    Column("name", String(32), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("expires_at", Float, nullable=False),
)

handoffs = Table(
    "handoffs", metadata,
    Column("reference", String(16), primary_key=True),
    Column("conversation", String(64), nullable=False),
    Column("subject", String(64)),
    Column("topic", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
)
