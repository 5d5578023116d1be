"""The connection breaks, comes back, changes hands: nothing is lost, nothing counts twice, nobody reads another's talk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Route, expect

from tests.browser.stand_in import Talk
from tests.browser.widget_page import Bench, Visit, open_bench

#: As behind a proxy that lets none through.
NO_WEBSOCKET = "window.WebSocket = class { constructor() { setTimeout(() => this.onerror?.(new Event('error'))) } close() {} }"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


def talk_first(visit: Visit) -> None:
    visit.open().say("before")
    expect(visit.bubbles.last).to_have_text("You said: before")


def test_messages_of_both_sides_survive_a_lost_connection(bench: Bench) -> None:
    with bench.visit() as visit:
        talk_first(visit)
        visit.stand_in.cut(away=True)
        expect(visit.page.get_by_role("status")).to_contain_text("No connection.")
        visit.say("one")
        visit.say("another")
        visit.stand_in.utter({"text": "While you were away."})
        expect(visit.log.locator(".cc-state").last).to_have_text("Sending…")
        visit.stand_in.heal()
        expect(visit.bubbles.last).to_have_text("You said: another")
        expect(visit.page.get_by_role("status")).to_be_empty()
        shown = visit.bubbles.all_inner_texts()[1:]
        mine, theirs = ["before", "one", "another"], ["You said: before", "While you were away.", "You said: one", "You said: another"]
        assert [text for text in shown if text in mine] == mine
        assert [text for text in shown if text not in mine] == theirs
        assert visit.stand_in.requests[-1] == {"session_id": visit.stand_in.talk.conversation, "last_seq": 1}
        assert [sent["message"] for sent in visit.stand_in.deliveries] == ["before", "one", "another"]


def test_a_lost_acknowledgement_means_a_resend_under_the_same_id(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.stand_in.lose_acks = 2
        visit.open().say("only once")
        expect(visit.log.locator(".cc-state").last).to_have_text("Sent")
        expect(visit.bubbles).to_have_count(3)
        assert len(visit.stand_in.deliveries) == 3
        assert len({sent["id"] for sent in visit.stand_in.deliveries}) == 1
        assert len(visit.stand_in.talk.seen) == 1


def test_a_number_that_was_seen_is_dropped(bench: Bench) -> None:
    with bench.visit() as visit:
        talk_first(visit)
        visit.stand_in.emit("bot_uttered", {"seq": 1, "text": "again"})
        visit.stand_in.utter({"text": "next"})
        expect(visit.bubbles.last).to_have_text("next")
        expect(visit.log.get_by_text("again")).to_have_count(0)


def test_a_reload_gets_back_what_is_kept(bench: Bench) -> None:
    with bench.visit() as visit:
        talk_first(visit)
        visit.page.reload()
        visit.open()
        expect(visit.bubbles.last).to_have_text("You said: before")
        assert visit.stand_in.requests[-1] == {"last_seq": 0}


def test_a_goodbye_of_the_server_is_not_the_end(bench: Bench) -> None:
    with bench.visit() as visit:
        talk_first(visit)
        visit.stand_in.dismiss()
        visit.say("after")
        expect(visit.bubbles.last).to_have_text("You said: after")


def test_it_falls_back_to_polling_when_no_websocket_gets_through(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.page.add_init_script(NO_WEBSOCKET)
        visit.page.reload()
        talk_first(visit)
        assert any("transport=polling" in request.url for request in visit.requests)


def test_another_talk_behind_the_cookie_clears_the_screen_and_what_waited(bench: Bench) -> None:
    with bench.visit() as visit:
        talk_first(visit)
        visit.stand_in.cut(away=True)
        visit.say("for the old talk")
        secret = list(visit.stand_in.talks)[-1]
        visit.stand_in.talks[secret] = Talk()
        visit.stand_in.heal()
        expect(visit.bubbles).to_have_count(1)
        visit.say("new")
        expect(visit.bubbles.last).to_have_text("You said: new")
        expect(visit.log.get_by_text("before")).to_have_count(0)
        assert [sent["message"] for sent in visit.stand_in.deliveries] == ["before", "new"]


def test_a_sign_out_elsewhere_clears_at_once_even_without_a_connection(bench: Bench) -> None:
    with bench.visit() as visit:
        talk_first(visit)
        visit.stand_in.away = True
        visit.stand_in.emit("session_changed", {"level": "anonymous"})
        expect(visit.log.get_by_text("before")).to_have_count(0)
        visit.stand_in.heal()
        visit.say("fresh")
        expect(visit.bubbles.last).to_have_text("You said: fresh")
        assert visit.stand_in.requests[-1] == {"last_seq": 0}


def test_a_sign_in_elsewhere_goes_on_with_the_same_talk(bench: Bench) -> None:
    with bench.visit() as visit:
        talk_first(visit)
        visit.stand_in.emit("session_changed", {"level": "identified"})
        expect(visit.page.locator("#signed-in")).to_be_visible()
        visit.say("still me")
        expect(visit.bubbles.last).to_have_text("You said: still me")
        assert visit.bubbles.all_inner_texts()[1:] == ["before", "You said: before", "still me", "You said: still me"]


def test_a_second_sign_in_elsewhere_clears(bench: Bench) -> None:
    with bench.visit() as visit:
        talk_first(visit)
        visit.stand_in.emit("session_changed", {"level": "identified"})
        visit.say("first person")
        expect(visit.bubbles.last).to_have_text("You said: first person")
        visit.stand_in.away = True
        visit.stand_in.emit("session_changed", {"level": "identified"})
        expect(visit.log.get_by_text("first person")).to_have_count(0)
        expect(visit.log.get_by_text("before")).to_have_count(0)


def test_nothing_is_connected_before_the_chat_is_opened(bench: Bench) -> None:
    with bench.visit() as visit:
        expect(visit.page.get_by_role("heading", level=1)).to_be_visible()
        assert visit.stand_in.requests == []
        assert not any("socket.io" in request.url for request in visit.requests)


def test_a_slow_card_post_is_sent_once(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().ask_card("confirm")
        held: list[Route] = []
        visit.page.route("**/chat/card", lambda route: held.append(route))
        visit.enter("123456")
        expect(visit.card.get_by_role("button", name="Checking…")).to_be_visible()
        visit.enter("654321")
        expect(visit.code).to_have_value("654321")
        visit.card.get_by_role("button", name="Cancel").click()
        assert len(held) == 1
        held[0].continue_()
        expect(visit.card.get_by_role("alert")).to_contain_text("That code didn't work.")
        assert [sent["value"] for sent in visit.stand_in.cards] == ["123456"]
