"""For everyone: keyboard, screen reader, small screens, large text, high contrast (WCAG 2.2 AA, axe-core)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.stand_in import GOOD_CODE
from tests.browser.widget_page import PHONE, SMALL, WIDE, Bench, Visit, open_bench

#: WCAG 1.4.12: nothing may be lost when a reader spaces the text like this.
SPACING = """* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important }
p { margin-bottom: 2em !important }"""
TOO_WIDE = """() => [...document.querySelectorAll("confide-chat *, body")]
  .filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 1 && !["textarea", "input"].includes(e.localName))
  .filter((e) => getComputedStyle(e).display !== "inline").map((e) => `${e.localName}.${e.className} ${e.scrollWidth}>${e.clientWidth}`)"""
TOO_SMALL = """() => [...document.querySelectorAll("confide-chat :is(button, input, textarea)")].filter((e) => e.checkVisibility())
  .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()]).filter(([, box]) => box.width < 44 || box.height < 44)"""


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


def show_everything(visit: Visit) -> None:
    """Bring every kind of message and every card onto the screen, one card refused and one ended."""
    visit.open()
    for kind in ("secure_input", "qr", "confirm"):
        visit.ask_card(kind)
    visit.enter("000000")
    expect(visit.card.get_by_role("alert")).to_contain_text("didn't work")
    visit.ask_card("confirm")
    visit.enter(GOOD_CODE)
    expect(visit.card).to_have_attribute("data-state", "accepted")
    for name in ("links", "receipt", "consent", "too fast"):
        visit.say(name)
    expect(visit.log.get_by_role("button", name="Try again")).to_be_visible()
    visit.say("hello")
    expect(visit.log.get_by_role("button", name="My balance")).to_be_visible()


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", SMALL)], ids=["light-wide", "dark-small"])
def test_axe_finds_nothing_with_everything_on_the_screen(bench: Bench, scheme: str, size: dict[str, int]) -> None:
    with bench.visit(viewport=size, color_scheme=scheme) as visit:
        assert visit.axe() == []
        show_everything(visit)
        assert visit.axe() == []


def test_axe_finds_nothing_on_any_card(bench: Bench) -> None:
    with bench.visit(viewport=PHONE) as visit:
        visit.open()
        for number, kind in enumerate(["confirm", "secure_input", "qr", "receipt", "consent"], start=1):
            visit.say(kind)
            expect(visit.log.get_by_role("listitem")).to_have_count(1 + 2 * number)
            assert visit.axe() == [], kind


def test_a_whole_talk_by_keyboard(bench: Bench) -> None:
    with bench.visit() as visit:
        keyboard = visit.page.keyboard
        visit.page.locator("footer a").focus()
        keyboard.press("Tab")
        expect(visit.launcher).to_be_focused()
        keyboard.press("Enter")
        expect(visit.composer).to_be_focused()
        keyboard.type("hello")
        keyboard.press("Enter")
        expect(visit.log.get_by_role("button", name="My balance")).to_be_visible()
        keyboard.press("Shift+Tab")
        keyboard.press("Shift+Tab")
        expect(visit.log.get_by_role("button", name="My balance")).to_be_focused()
        keyboard.press("Enter")
        expect(visit.composer).to_be_focused()
        keyboard.type("confirm")
        keyboard.press("Enter")
        expect(visit.code).to_be_visible()
        for name in ("Cancel", "Confirm", "Show"):
            keyboard.press("Shift+Tab")
            expect(visit.card.get_by_role("button", name=name)).to_be_focused()
        keyboard.press("Shift+Tab")
        expect(visit.code).to_be_focused()
        keyboard.type("000000")
        keyboard.press("Enter")
        expect(visit.card.get_by_role("alert")).to_contain_text("didn't work")
        for _ in range(3):
            keyboard.press("Tab")
        keyboard.press("Enter")
        expect(visit.card).to_have_attribute("data-state", "cancelled")
        expect(visit.composer).to_be_focused()
        keyboard.press("Escape")
        expect(visit.launcher).to_be_focused()
        expect(visit.page.locator(".cc-panel")).to_be_hidden()
        assert visit.stand_in.deliveries[1]["message"] == "/check_balance"


def test_nothing_in_a_closed_panel_can_be_reached(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().page.keyboard.press("Escape")
        reached = "() => { const e = document.activeElement; return e.closest('.cc-panel') !== null }"
        for _ in range(4):
            visit.page.keyboard.press("Tab")
            assert visit.page.evaluate(reached) is False


def test_a_panel_that_covers_the_page_keeps_the_focus_inside(bench: Bench) -> None:
    with bench.visit(viewport=PHONE) as visit:
        visit.open()
        panel = visit.page.get_by_role("dialog", name="Harbour Assistant")
        expect(panel).to_have_attribute("aria-modal", "true")
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("Tab")
        expect(panel.get_by_role("button", name="Close the chat")).to_be_focused()
        visit.page.keyboard.press("Shift+Tab")
        expect(panel.get_by_role("button", name="Send")).to_be_focused()
        visit.page.set_viewport_size({"width": 1280, "height": 800})
        expect(panel).not_to_have_attribute("aria-modal", "true")


def test_the_launcher_says_what_it_controls(bench: Bench) -> None:
    with bench.visit() as visit:
        expect(visit.launcher).to_have_attribute("aria-expanded", "false")
        visit.open()
        expect(visit.launcher).to_have_attribute("aria-expanded", "true")
        controlled = visit.page.locator(f"#{visit.launcher.get_attribute('aria-controls')}")
        expect(controlled).to_be_visible()
        visit.launcher.click()
        expect(controlled).to_be_hidden()
        expect(visit.launcher).to_be_focused()


def test_one_region_reads_messages_and_nothing_in_it_chatters(bench: Bench) -> None:
    with bench.visit() as visit:
        show_everything(visit)
        chat = visit.page.locator("confide-chat")
        expect(chat.locator("[role=log]")).to_have_count(1)
        expect(chat.locator("[role=log]")).to_have_attribute("aria-relevant", "additions")
        expect(chat.locator("[role=log] > ol > li").first).to_be_attached()
        expect(chat.locator("[role=status]")).to_have_count(1)
        expect(chat.locator("[aria-live]:not([aria-live=off])")).to_have_count(0)
        expect(chat.locator(".cc-timer:not([role=timer])")).to_have_count(0)


def test_what_a_screen_reader_is_told_of_a_confirmation(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().ask_card("confirm")
        expect(visit.card).to_match_aria_snapshot("""
            - group "Pay €520.00 to Maria Huber":
              - heading "Pay €520.00 to Maria Huber" [level=3]
              - term: To
              - definition: Maria Huber
              - term: Account
              - definition: DE89 3704 0044 0532 0130 00
              - term: Reference
              - definition: rent november
              - text: Code from your authenticator app
              - textbox "Code from your authenticator app"
              - button "Show what you typed"
              - alert
              - paragraph: What you type here is checked by the bank and never becomes part of the chat.
              - button "Confirm"
              - button "Cancel"
              - timer: /valid \\d:\\d\\d/
            """)


@pytest.mark.parametrize("size", [SMALL, PHONE, WIDE], ids=["small", "phone", "wide"])
def test_nothing_scrolls_sideways_and_every_target_is_large(bench: Bench, size: dict[str, int]) -> None:
    with bench.visit(viewport=size) as visit:
        assert visit.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        show_everything(visit)
        visit.stand_in.utter({"text": "W" * 300 + " https://bank.example/" + "w" * 200})
        expect(visit.bubbles.last).to_contain_text("WWW")
        assert visit.page.evaluate(TOO_WIDE) == []
        assert visit.page.evaluate(TOO_SMALL) == []


def test_spaced_text_is_not_cut_off(bench: Bench) -> None:
    with bench.visit(viewport=SMALL, bypass_csp=True) as visit:
        visit.page.add_style_tag(content=SPACING)
        show_everything(visit)
        assert visit.page.evaluate(TOO_WIDE) == []


def test_less_motion_is_respected(bench: Bench) -> None:
    animation = "(e) => getComputedStyle(e).animationName"
    with bench.visit() as visit:
        assert visit.open().page.locator(".cc-panel").evaluate(animation) == "none"
    with bench.visit(reduced_motion="no-preference") as visit:
        assert visit.open().page.locator(".cc-panel").evaluate(animation) == "cc-rise"


def test_forced_colours_leave_the_qr_code_scannable(bench: Bench) -> None:
    with bench.visit(forced_colors="active") as visit:
        shown = visit.open().ask_card("qr")
        fill = "(e) => getComputedStyle(e).fill"
        assert shown.locator(".cc-qr-dark").evaluate(fill) == "rgb(0, 0, 0)"
        assert shown.locator(".cc-qr-light").evaluate(fill) == "rgb(255, 255, 255)"


def test_right_to_left_pages_get_it_on_the_other_side(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.page.evaluate("() => { document.documentElement.dir = 'rtl' }")
        visit.open().say("hello")
        panel, mine = visit.page.locator(".cc-panel").bounding_box(), visit.log.locator(".cc-from-you .cc-bubble").bounding_box()
        assert panel is not None
        assert mine is not None
        assert panel["x"] < 100
        assert mine["x"] - panel["x"] < 40
