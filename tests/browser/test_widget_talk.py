"""Talking: what is typed is sent once, what comes is text, and a button says what its title says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.widget_page import PHONE, Bench, open_bench

BROKEN: list[object] = [
    None,
    7,
    "text",
    [1, 2],
    {"text": 5, "quick_replies": "no"},
    {"quick_replies": [None, {"title": 3}]},
    {"type": ["qr"]},
]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


def test_a_message_is_shown_once_sent_once_and_answered(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("good morning")
        expect(visit.bubbles.last).to_have_text("You said: good morning")
        expect(visit.log.get_by_text("good morning", exact=True)).to_have_count(1)
        expect(visit.log.locator(".cc-state").last).to_have_text("Sent")
        assert [sent["message"] for sent in visit.stand_in.deliveries] == ["good morning"]
        assert len(visit.stand_in.deliveries[0]["id"]) == 36


def test_enter_sends_and_shift_enter_breaks_the_line(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().composer.press_sequentially("first")
        visit.composer.press("Shift+Enter")
        visit.composer.press_sequentially("second")
        visit.composer.press("Enter")
        expect(visit.composer).to_have_value("")
        expect(visit.bubbles.last).to_contain_text("You said: first")
        assert [sent["message"] for sent in visit.stand_in.deliveries] == ["first\nsecond"]


def test_blank_messages_are_not_sent(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("   ")
        visit.say("now")
        expect(visit.bubbles.last).to_have_text("You said: now")
        assert len(visit.stand_in.deliveries) == 1


def test_the_counter_shows_near_the_limit_and_too_long_is_kept_in_the_field(bench: Bench) -> None:
    with bench.visit() as visit:
        counter, alert = visit.page.locator(".cc-counter"), visit.page.locator(".cc-composer").get_by_role("alert")
        visit.open().composer.fill("a" * 1799)
        expect(counter).to_be_empty()
        visit.composer.fill("🙂" * 1990)  # counted as Python counts, not as two each
        expect(counter).to_have_text("10 left")
        visit.say("a" * 2001)
        expect(counter).to_have_text("1 too many")
        expect(alert).to_have_text("That is 1 character too long.")
        assert visit.stand_in.deliveries == []
        visit.composer.fill("a" * 2000)
        visit.composer.press("Enter")
        expect(visit.bubbles.last).to_contain_text("You said: aaa")
        expect(alert).to_be_empty()


def test_a_quick_reply_sends_its_payload_shows_its_title_and_goes(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("hello")
        visit.log.get_by_role("button", name="My balance").click()
        expect(visit.bubbles.nth(-2)).to_have_text("My balance")
        expect(visit.log.locator(".cc-replies")).to_have_count(0)
        expect(visit.bubbles.last).to_have_text("You said: /check_balance")
        assert visit.stand_in.deliveries[-1]["message"] == "/check_balance"


def test_the_answers_to_the_first_half_of_a_turn_stay_for_the_second(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("two")
        expect(visit.bubbles.last).to_have_text("Second part.")
        expect(visit.log.get_by_role("button", name="Go on")).to_be_visible()


def test_sign_in_is_the_page_s_affair_and_never_sent(bench: Bench) -> None:
    with bench.visit(viewport=PHONE) as visit:
        visit.open().say("hello")
        visit.log.get_by_role("button", name="Sign in").click()
        expect(visit.page.get_by_label("Customer number")).to_be_focused()
        expect(visit.page.get_by_label("Customer number")).to_be_in_viewport()
        expect(visit.page.locator(".cc-panel")).to_be_hidden()
        visit.open().say("there")
        expect(visit.bubbles.last).to_have_text("You said: there")
        assert [sent["message"] for sent in visit.stand_in.deliveries] == ["hello", "there"]


def test_the_greeting_offers_things_to_ask(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open()
        expect(visit.bubbles.first).to_contain_text("a computer program")
        visit.log.get_by_role("button", name="Freeze my card").click()
        expect(visit.bubbles.last).to_have_text("You said: Freeze my card")


def test_only_safe_addresses_become_links(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("links")
        links = visit.bubbles.last.get_by_role("link")
        expect(links).to_have_count(2)
        expect(links.first).to_have_attribute("href", "https://bank.example/help")
        expect(links.first).to_have_attribute("rel", "noopener noreferrer")
        expect(links.last).to_have_attribute("href", "mailto:help@bank.example")
        visit.stand_in.utter({"text": "Go to https://bank.example@evil.example/ now", "attachment": "javascript:alert(1)"})
        expect(visit.bubbles.last).to_contain_text("Go to")
        expect(visit.bubbles.last.get_by_role("link")).to_have_count(0)


def test_an_attachment_is_a_link(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("hi")
        expect(visit.bubbles.last).to_have_text("You said: hi")
        visit.stand_in.utter({"attachment": {"type": "image", "payload": {"src": "https://bank.example/map.png"}}})
        expect(visit.bubbles.last.get_by_role("link")).to_have_attribute("href", "https://bank.example/map.png")


def test_markup_is_text(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("<b>me</b><img src=x onerror=alert(1)>")
        visit.say("markup")
        expect(visit.bubbles.last).to_have_text("<img src=x onerror=alert(1)><b>bold</b>")
        expect(visit.log.locator("img, b")).to_have_count(0)
        expect(visit.log.get_by_text("<b>me</b><img src=x onerror=alert(1)>", exact=True)).to_be_visible()


def test_broken_messages_break_nothing(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("hi")
        expect(visit.bubbles.last).to_have_text("You said: hi")
        for data in BROKEN:
            visit.stand_in.emit("bot_uttered", data)
            visit.stand_in.emit("card_update", data)
            visit.stand_in.emit("bot_typing", data)
            visit.stand_in.emit("chat_error", data)
        visit.say("still there")
        expect(visit.bubbles.last).to_have_text("You said: still there")


def test_typing_is_a_status_and_ends_with_the_answer(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("think")
        expect(visit.page.get_by_role("status")).to_have_text("The assistant is writing…")
        visit.stand_in.utter({"text": "Here it is."})
        expect(visit.page.get_by_role("status")).to_be_empty()


def test_what_comes_while_the_panel_is_closed_is_counted(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("hi")
        expect(visit.bubbles.last).to_have_text("You said: hi")
        visit.page.keyboard.press("Escape")
        visit.stand_in.utter({"text": "One."}, {"text": "Two."})
        expect(visit.launcher).to_have_accessible_name("Chat with us 2 new messages")
        visit.launcher.click()
        expect(visit.launcher).to_have_accessible_name("Chat with us")
        expect(visit.bubbles.last).to_be_in_viewport()


def test_a_refused_message_says_so_once_and_can_be_tried_again(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("too fast")
        state = visit.log.locator(".cc-state").last
        expect(state).to_contain_text("Not sent. That was a bit fast. Wait a moment.")
        expect(visit.page.locator(".cc-composer").get_by_role("alert")).to_have_text("That was a bit fast. Wait a moment.")
        state.get_by_role("button", name="Try again").click()
        expect(state).to_contain_text("Not sent.")
        visit.say("slower")
        expect(visit.bubbles.last).to_have_text("You said: slower")
        first, second, _ = visit.stand_in.deliveries
        assert (first["message"], second["message"]) == ("too fast", "too fast")
        assert first["id"] != second["id"]
