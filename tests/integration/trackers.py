"""Reads what Rasa's tracker store holds, decrypted with Rasa's own keys, without loading Rasa."""

from __future__ import annotations

import json
import time
from typing import Any

from confide.rasa.tracker_records import ConversationKeys, Records
from confide.storage.database import open_database
from confide.storage.keyring import open_key_provider, read_private
from tests.integration.stack import Stack


def read_events(stack: Stack) -> list[dict[str, Any]]:
    """Return every event of every conversation, the snapshots included."""
    settings = stack.plan.rasa
    keys = ConversationKeys(open_database(settings.tracker_keystore_url, "TRUNCATE"), open_key_provider(settings.key_provider), time.time)
    records = Records(open_database(settings.tracker_url), keys, read_private(settings.keys / "pseudonym.key"))
    turns = [json.loads(payload) for name in records.pseudonyms() for payload in records.read(name).payloads]
    return [event for turn in turns for event in [*turn["events"], {"before": turn["before"]}]]
