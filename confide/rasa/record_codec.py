"""The plaintext of a record: compressed, then padded, so that its sealed size says little about what was talked about."""

from __future__ import annotations

import zlib

#: Sealed sizes are multiples of this many bytes (and the envelope's constant overhead).
BLOCK = 512
#: The largest record that is read back; one turn of a talk is a few kilobytes.
MAX_SIZE = 16_000_000


class RecordTooLarge(Exception):
    """A record is larger than any turn can be."""


def pack(payload: bytes) -> bytes:
    """Return `payload` compressed and padded with zeros to a multiple of BLOCK. Raises RecordTooLarge."""
    if len(payload) > MAX_SIZE:
        raise RecordTooLarge
    packed = zlib.compress(payload, 6)
    return packed + bytes(-len(packed) % BLOCK)


def unpack(packed: bytes) -> bytes:
    """Return what `pack` was given. Never more than MAX_SIZE bytes: a small value must not fill the memory. Raises RecordTooLarge."""
    stream = zlib.decompressobj()
    payload = stream.decompress(packed, MAX_SIZE)
    if not stream.eof:
        raise RecordTooLarge
    return payload
