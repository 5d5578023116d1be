"""Packing of records: exact, padded, bounded."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confide.rasa import record_codec
from confide.rasa.record_codec import BLOCK, RecordTooLarge, pack, unpack


@given(st.binary(max_size=5_000))
def test_a_payload_comes_back_and_its_size_is_a_multiple_of_the_block(payload: bytes) -> None:
    packed = pack(payload)
    assert unpack(packed) == payload
    assert len(packed) % BLOCK == 0


def test_too_large_a_record_is_neither_written_nor_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_codec, "MAX_SIZE", 1_000)
    assert unpack(pack(b"x" * 1_000)) == b"x" * 1_000
    with pytest.raises(RecordTooLarge):
        pack(b"x" * 1_001)
    with pytest.raises(RecordTooLarge):
        unpack(zlib.compress(b"x" * 1_001))
