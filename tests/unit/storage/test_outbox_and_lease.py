"""The outbox: nothing lost, nothing twice, whoever dies when. On SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import select, update

from bank.mailbox import DemoMailbox
from bank.schema import mails
from confide.storage.database import DatabaseFault
from confide.storage.lease import Lease
from confide.storage.outbox import Parcel
from confide.storage.schema import outbox
from confide.worker.delivery import Delivery
from tests.unit.kit import Kit


@dataclass
class Receiver:
    """Fails as often as told, then takes."""

    failures: int = 0
    taken: list[str] = field(default_factory=list)

    def deliver(self, parcel: Parcel) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the receiver's own words, with a customer's address in them")
        self.taken.append(parcel.key)


def queue(kit: Kit, key: str, kind: str = "mail") -> None:
    with kit.core.transaction() as transaction:
        kit.core.outbox.queue(transaction, key=key, kind=kind, owner="subject:1001", payload={"to": "a@example.com", "subject": "s", "body": "b"})


def delivery(kit: Kit, receiver: object, holder: str = "one") -> Delivery:
    return Delivery(kit.core, {"mail": receiver}, Lease("outbox", holder, 10, kit.clock))  # type: ignore[dict-item]


def test_what_is_queued_is_delivered_once(kit: Kit) -> None:
    queue(kit, "a")
    queue(kit, "b")
    receiver = Receiver()
    assert delivery(kit, receiver).round() == 2 and sorted(receiver.taken) == ["a", "b"]
    assert delivery(kit, receiver).round() == 0 and len(receiver.taken) == 2


def test_what_rolls_back_is_never_delivered(kit: Kit) -> None:
    def fail() -> None:
        with kit.core.transaction() as transaction:
            kit.core.outbox.queue(transaction, key="a", kind="mail", owner="subject:1001", payload={})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert delivery(kit, Receiver()).round() == 0


def test_a_receiver_that_is_away_is_tried_again_later_and_later(kit: Kit, logged: list[str]) -> None:
    queue(kit, "a")
    receiver = Receiver(failures=2)
    work = delivery(kit, receiver)
    assert work.round() == 0 and work.round() == 0 and receiver.failures == 1, "not before its time"
    kit.clock.forward(5)
    assert work.round() == 0
    kit.clock.forward(9)
    assert work.round() == 0 and receiver.taken == []
    kit.clock.forward(1)
    assert work.round() == 1 and receiver.taken == ["a"]
    assert logged and "ConnectionError" in logged[0] and "customer's address" not in "".join(logged)


def test_a_kind_nobody_takes_is_kept(kit: Kit) -> None:
    queue(kit, "a", kind="pigeon")
    assert delivery(kit, Receiver()).round() == 0
    assert [row.delivered_at for row in kit.rows(outbox)] == [None]


def test_a_death_between_delivering_and_recording_does_not_double(kit: Kit) -> None:
    queue(kit, "a")
    with kit.core.transaction() as transaction:
        parcels, _broken = kit.core.outbox.due(transaction, 10)
    DemoMailbox(kit.core).deliver(parcels[0])  # and here the worker dies
    assert delivery(kit, DemoMailbox(kit.core), "two").round() == 1
    assert [row.key for row in kit.rows(mails)] == ["a"]


def test_one_worker_works_at_a_time_and_another_takes_over(kit: Kit) -> None:
    queue(kit, "a")
    first, second = Receiver(), Receiver()
    one, two = delivery(kit, first, "one"), delivery(kit, second, "two")
    one.round()
    queue(kit, "b")
    assert two.round() == 0 and second.taken == []
    kit.clock.forward(10.1)
    assert two.round() == 1 and second.taken == ["b"]
    queue(kit, "c")
    assert one.round() == 0
    with kit.core.transaction() as transaction:
        two.lease.release(transaction)
    assert one.round() == 1


def test_a_key_is_queued_once(kit: Kit) -> None:
    queue(kit, "a")
    with pytest.raises(DatabaseFault, match="IntegrityError"):
        queue(kit, "a")


def test_payloads_lie_sealed(kit: Kit) -> None:
    queue(kit, "a")
    with kit.core.transaction() as transaction:
        sealed = transaction.execute(select(outbox.c.sealed_payload)).scalar_one()
    assert b"example.com" not in sealed


def test_a_damaged_parcel_is_set_aside_and_the_others_go_on(kit: Kit) -> None:
    queue(kit, "a")
    queue(kit, "b")
    with kit.core.transaction() as transaction:
        transaction.execute(update(outbox).where(outbox.c.key == "a").values(sealed_payload=b"damaged"))
    receiver = Receiver()
    work = delivery(kit, receiver)
    assert work.round() == 1 and work.round() == 0 and receiver.taken == ["b"]
    assert kit.events().count("core:outbox:broken") == 1
    assert {row.key: row.broken_at is None for row in kit.rows(outbox)} == {"a": False, "b": True}


def test_a_batch_is_bounded(kit: Kit) -> None:
    for number in range(25):
        queue(kit, f"k{number:02d}")
    receiver = Receiver()
    work = replace(delivery(kit, receiver))
    assert (work.round(), work.round(), work.round()) == (20, 5, 0)
