"""The demo bank's tables, in the same database as the core's. Amounts are integers of minor units."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Float, ForeignKey, MetaData, String, Table

metadata = MetaData()

customers = Table(
    "bank_customers", metadata,
    Column("number", String(16), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("email", String(120), nullable=False),
    Column("password_hash", String(120), nullable=False),
)

accounts = Table(
    "bank_accounts", metadata,
    Column("id", String(16), primary_key=True),
    Column("customer", ForeignKey("bank_customers.number"), nullable=False, index=True),
    Column("name", String(40), nullable=False),
    Column("iban", String(34), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("balance_minor", BigInteger, nullable=False),
    CheckConstraint("balance_minor >= 0", name="no_overdraft"),
)

payees = Table(
    "bank_payees", metadata,
    Column("id", String(16), primary_key=True),
    Column("customer", ForeignKey("bank_customers.number"), nullable=False, index=True),
    Column("name", String(80), nullable=False),
    Column("iban", String(34), nullable=False),
)

transactions = Table(
    "bank_transactions", metadata,
    Column("id", String(32), primary_key=True),
    Column("account", ForeignKey("bank_accounts.id"), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),  # negative: money out
    Column("counterparty", String(80), nullable=False),
    Column("iban", String(34), nullable=False),
    Column("reference", String(140), nullable=False),
)

cards = Table(
    "bank_cards", metadata,
    Column("id", String(16), primary_key=True),
    Column("customer", ForeignKey("bank_customers.number"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),  # debit, credit
    Column("last4", String(4), nullable=False),
    Column("frozen_at", Float),
)

mails = Table(
    "bank_demo_mails", metadata,
    Column("key", String(96), primary_key=True),
    Column("recipient", String(120), nullable=False, index=True),
    Column("subject", String(200), nullable=False),
    Column("body", String(4000), nullable=False),
    Column("at", Float, nullable=False),
)
