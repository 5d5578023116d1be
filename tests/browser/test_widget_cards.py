"""Cards: what is confirmed is shown in full, and the code goes to its own address and nowhere else."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.stand_in import DEAD_CODE, GOOD_CODE, KEY, QR, WAIT_CODE, card
from tests.browser.widget_page import Bench, Visit, open_bench

COUNT_STATUS_CHANGES = """() => {
  window.statusChanges = 0
  const count = (records) => { window.statusChanges += records.length }
  new MutationObserver(count).observe(document.querySelector("[role=status]"), { childList: true, subtree: true, characterData: true })
}"""


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


def assert_ended(visit: Visit, state: str) -> None:
    """A card that ended has no field, no button, no secret left in it."""
    expect(visit.card).to_have_attribute("data-state", state)
    expect(visit.card.locator("form, input, button, svg.cc-qr")).to_have_count(0)


def test_a_confirmation_shows_every_line_and_a_masked_field(bench: Bench) -> None:
    with bench.visit() as visit:
        shown = visit.open().ask_card("confirm")
        expect(shown.get_by_role("heading")).to_have_text("Pay €520.00 to Maria Huber")
        assert shown.locator("dt").all_inner_texts() == ["To", "Account", "Reference"]
        assert shown.locator("dd").all_inner_texts() == ["Maria Huber", "DE89 3704 0044 0532 0130 00", "rent november"]
        field = shown.get_by_label("Code from your authenticator app")
        for name, value in {"type": "password", "autocomplete": "one-time-code", "inputmode": "numeric"}.items():
            expect(field).to_have_attribute(name, value)
        assert field.get_attribute("name") is None


def test_a_payment_that_does_not_fit_is_shown_from_its_beginning(bench: Bench) -> None:
    with bench.visit(viewport={"width": 320, "height": 480}) as visit:
        shown = visit.open().ask_card("confirm")
        expect(shown.get_by_role("heading")).to_be_in_viewport()


@pytest.mark.parametrize("kind", ["confirm", "secure_input", "qr"])
def test_a_good_code_closes_the_card_and_the_answer_comes_by_the_socket(bench: Bench, kind: str) -> None:
    with bench.visit() as visit:
        visit.open().ask_card(kind)
        visit.enter(GOOD_CODE)
        expect(visit.bubbles.last).to_have_text("Done. €520.00 is on its way.")
        assert_ended(visit, "accepted")
        assert visit.stand_in.cards == [{"ref": visit.stand_in.cards[0]["ref"], "act": "submit", "value": GOOD_CODE}]
        expect(visit.composer).to_be_focused()


def test_a_code_is_in_no_frame_no_address_no_attribute_and_no_storage(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().ask_card("confirm")
        visit.code.press_sequentially("987654")
        visit.card.get_by_role("button", name="Show").click()
        expect(visit.code).to_have_attribute("type", "text")
        assert "987654" not in visit.page.evaluate("() => document.documentElement.outerHTML")
        visit.card.get_by_role("button", name="Confirm").click()
        expect(visit.card.get_by_role("alert")).to_contain_text("That code didn't work.")
        visit.say("and then")
        expect(visit.bubbles.last).to_have_text("You said: and then")
        assert [sent["value"] for sent in visit.stand_in.cards] == ["987654"]
        assert "and then" in visit.sent_text()
        assert "987654" not in visit.sent_text()
        assert "987654" not in visit.page.evaluate("() => document.documentElement.outerHTML")


def test_a_refusal_is_said_at_the_field_which_is_empty_and_masked_again(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().ask_card("confirm")
        visit.card.get_by_role("button", name="Show").click()
        visit.enter("000000")
        alert = visit.card.get_by_role("alert")
        expect(alert).to_have_text("That code didn't work. Use the next one your app shows. Four tries left.")
        assert str(alert.get_attribute("id")) in str(visit.code.get_attribute("aria-describedby")).split()
        expect(visit.code).to_have_value("")
        expect(visit.code).to_have_attribute("type", "password")
        expect(visit.code).to_have_attribute("aria-invalid", "true")
        expect(visit.code).to_be_focused()
        visit.enter(WAIT_CODE)
        expect(alert).to_have_text("Wait 30 seconds before the next try.")
        visit.enter(GOOD_CODE)
        assert_ended(visit, "accepted")


def test_a_slip_costs_no_try_and_spaces_are_taken_out(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().ask_card("confirm")
        visit.enter("")
        expect(visit.card.get_by_role("alert")).to_have_text("Type the code first.")
        visit.enter("31415")
        expect(visit.card.get_by_role("alert")).to_have_text("Type the 6 digits.")
        assert visit.stand_in.cards == []
        visit.enter(f"{GOOD_CODE[:3]} {GOOD_CODE[3:]}")
        assert_ended(visit, "accepted")


def test_pasting_a_code_is_allowed(bench: Bench) -> None:
    with bench.visit(permissions=["clipboard-read", "clipboard-write"]) as visit:
        visit.open().ask_card("secure_input")
        visit.page.evaluate("code => navigator.clipboard.writeText(code)", GOOD_CODE)
        visit.code.focus()
        visit.page.keyboard.press("Control+V")
        visit.code.press("Enter")
        assert_ended(visit, "accepted")


def test_cancel_and_a_dead_card_end_it(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().ask_card("confirm")
        visit.card.get_by_role("button", name="Cancel").click()
        assert_ended(visit, "cancelled")
        expect(visit.bubbles.last).to_have_text("All right, nothing was sent.")
        assert [sent["act"] for sent in visit.stand_in.cards] == ["cancel"]
        visit.ask_card("confirm")
        visit.enter(DEAD_CODE)
        assert_ended(visit, "closed")
        expect(visit.card).to_contain_text("No tries are left for this one.")


def test_a_card_closed_elsewhere_closes_here(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().ask_card("qr")
        visit.code.fill("12")
        visit.stand_in.emit("card_update", {"ref": visit.stand_in.talk.sent[-1]["ref"], "state": "closed"})
        assert_ended(visit, "closed")
        assert KEY not in visit.page.content()
        expect(visit.composer).to_be_focused()


def test_when_no_answer_came_it_claims_nothing(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().ask_card("confirm")
        visit.stand_in.lose_card_answers = True
        visit.enter(GOOD_CODE)
        expect(visit.card.get_by_role("alert")).to_contain_text("I can't tell whether your code arrived")
        expect(visit.card).to_have_attribute("data-state", "open")
        expect(visit.code).to_have_value("")


def test_the_countdown_is_seen_but_speaks_only_twice(bench: Bench) -> None:
    with bench.visit(fake_clock=True) as visit:
        visit.open().ask_card("confirm")
        timer, status = visit.card.get_by_role("timer"), visit.page.get_by_role("status")
        expect(timer).to_have_text(re.compile(r"valid [45]:\d\d"))
        visit.page.clock.fast_forward(200_000)
        expect(timer).to_have_text(re.compile(r"valid 1:[34]\d"))
        expect(status).to_be_empty()
        visit.page.clock.fast_forward(41_000)
        expect(timer).to_have_text(re.compile(r"valid 0:5\d"))
        expect(status).to_have_text("One minute left for the code.")
        visit.page.evaluate(COUNT_STATUS_CHANGES)
        visit.page.clock.run_for(5_000)
        expect(timer).to_have_text(re.compile(r"valid 0:[45]\d"))
        assert visit.page.evaluate("() => window.statusChanges") == 0
        visit.page.clock.fast_forward(61_000)
        assert_ended(visit, "expired")
        expect(visit.card).to_contain_text("Time ran out and nothing was confirmed.")


def test_a_wrong_clock_on_the_device_does_not_shorten_a_card(bench: Bench) -> None:
    with bench.visit(fake_clock=True) as visit:
        visit.page.clock.set_system_time("2031-01-01T00:00:00Z")
        visit.open().ask_card("confirm")
        expect(visit.card.get_by_role("timer")).to_have_text(re.compile(r"valid [45]:\d\d"))


def test_a_card_that_is_over_on_arrival_asks_for_nothing(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.stand_in.card_life = -5
        visit.open().ask_card("secure_input")
        assert_ended(visit, "expired")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_qr_code_on_the_screen_is_the_one_that_was_sent(bench: Bench, scheme: str) -> None:
    with bench.visit(color_scheme=scheme, viewport={"width": 390, "height": 900}, device_scale_factor=3) as visit:
        shown = visit.open().ask_card("qr")
        picture = Image.open(io.BytesIO(shown.locator(".cc-qr").screenshot())).convert("L").point(lambda grey: 255 * (grey > 128))
        size = len(QR.matrix) + 8
        module = picture.width / size

        def dark(x: int, y: int) -> bool:
            return picture.getpixel((int((x + 4.5) * module), int((y + 4.5) * module))) == 0

        assert [[dark(x, y) for x in range(len(row))] for y, row in enumerate(QR.matrix)] == [[bool(m) for m in row] for row in QR.matrix]
        expect(shown.locator("code")).to_contain_text(KEY)


def test_the_key_can_be_copied_without_its_spaces(bench: Bench) -> None:
    with bench.visit(permissions=["clipboard-read", "clipboard-write"]) as visit:
        visit.open().ask_card("qr").get_by_role("button", name="Copy key").click()
        expect(visit.page.get_by_role("status")).to_have_text("Copied")
        assert visit.page.evaluate("() => navigator.clipboard.readText()") == KEY.replace(" ", "")


@pytest.mark.parametrize(("name", "text"), [("receipt", "Your receipt is R-7Q2F-11."), ("empty", "This message can't be shown here.")])
def test_an_unknown_card_is_its_text(bench: Bench, name: str, text: str) -> None:
    with bench.visit() as visit:
        visit.open().say(name)
        expect(visit.bubbles.last).to_have_text(text)
        expect(visit.log.locator(".cc-card")).to_have_count(0)


def test_a_card_with_broken_parts_is_never_half_drawn(bench: Bench) -> None:
    hostile = {"size": 45, "path": 'M0 0h1"/><script>alert(1)</script>'}
    with bench.visit() as visit:
        visit.open().say("hi")
        expect(visit.bubbles.last).to_have_text("You said: hi")
        visit.stand_in.utter(card("qr") | {"qr": hostile}, card("confirm") | {"ref": "../session", "text": "No such card."})
        expect(visit.bubbles.last).to_have_text("No such card.")
        expect(visit.log.locator(".cc-card")).to_have_count(1)
        expect(visit.card.locator(".cc-qr")).to_have_count(0)
        expect(visit.card.locator("code")).to_contain_text(KEY)
