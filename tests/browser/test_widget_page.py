"""The demo bank's page: signing in and out around the chat, the mailbox, and a strict policy that nothing breaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.stand_in import CSP, CUSTOMER, GOOD_CODE
from tests.browser.widget_page import SMALL, Bench, Visit, open_bench


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


def sign_in(visit: Visit, password: str = CUSTOMER[1]) -> None:
    visit.page.get_by_label("Customer number").fill(CUSTOMER[0])
    visit.page.get_by_label("Password").fill(password)
    visit.page.get_by_label("Password").press("Enter")


def test_the_policy_is_enforced_and_nothing_runs_into_it(bench: Bench) -> None:
    with bench.visit() as visit:
        assert visit.page.request.get(visit.stand_in.origin).headers["content-security-policy"] == CSP
        visit.open().ask_card("qr")
        visit.enter(GOOD_CODE)
        expect(visit.card).to_have_attribute("data-state", "accepted")
        sign_in(visit)
        expect(visit.page.locator("#signed-in")).to_be_visible()
        assert visit.page.evaluate("() => document.querySelectorAll('[style], style, [onclick]').length") == 0
        visit.check()
        # The watch itself works: a style in an attribute is stopped and noticed.
        visit.page.evaluate("() => document.body.setAttribute('style', 'color: red')")
        visit.page.wait_for_function("() => window.policyViolations.length === 1")
        visit.page.evaluate("() => { window.policyViolations = [] }")
        visit.errors.clear()


def test_signing_in_keeps_the_talk_and_shows_the_name(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("before")
        expect(visit.bubbles.last).to_have_text("You said: before")
        sign_in(visit)
        expect(visit.page.get_by_role("heading", name="Signed in as Ada Winter")).to_be_focused()
        visit.say("after")
        expect(visit.bubbles.last).to_have_text("You said: after")
        assert visit.bubbles.all_inner_texts()[1:] == ["before", "You said: before", "after", "You said: after"]
        assert visit.stand_in.requests[-1] == {"session_id": visit.stand_in.talk.conversation, "last_seq": 1}
        assert visit.stand_in.talk.level == "identified"


def test_a_wrong_password_is_said_once_and_gone_from_the_field(bench: Bench) -> None:
    with bench.visit() as visit:
        sign_in(visit, "wrong")
        expect(visit.page.locator("#sign-in-error")).to_have_text("That did not match.")
        expect(visit.page.get_by_label("Password")).to_have_value("")
        expect(visit.page.get_by_label("Password")).to_be_focused()
        assert "wrong" not in visit.page.content()


def test_an_empty_form_asks_for_what_is_missing(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.page.locator("#sign-in-form").get_by_role("button", name="Sign in").click()
        expect(visit.page.locator("#sign-in-error")).to_contain_text("Type your customer number")
        expect(visit.page.get_by_label("Customer number")).to_be_focused()
        assert not any("sign-in" in request.url for request in visit.requests)


def test_signing_out_leaves_nothing_of_the_talk(bench: Bench) -> None:
    with bench.visit() as visit:
        sign_in(visit)
        expect(visit.page.locator("#signed-in")).to_be_visible()
        visit.open().say("my secret wish")
        expect(visit.bubbles.last).to_have_text("You said: my secret wish")
        visit.page.keyboard.press("Escape")
        visit.stand_in.away = True  # nothing may wait for the next connection
        visit.page.get_by_role("button", name="Sign out").click()
        expect(visit.page.get_by_label("Customer number")).to_be_focused()
        assert "my secret wish" not in visit.page.content()
        assert "Ada Winter" not in visit.page.content()
        visit.stand_in.heal()
        visit.open().say("who am I")
        expect(visit.bubbles.last).to_have_text("You said: who am I")
        assert visit.stand_in.requests[-1] == {"last_seq": 0}
        assert len({talk.conversation for talk in visit.stand_in.talks.values()}) == 1


def test_a_sign_in_asked_for_in_the_chat_leads_back_to_it(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.open().say("hello")
        visit.log.get_by_role("button", name="Sign in").click()
        sign_in(visit)
        expect(visit.page.locator(".cc-panel")).to_be_visible()
        expect(visit.composer).to_be_focused()


def test_a_reload_remembers_that_one_is_signed_in(bench: Bench) -> None:
    with bench.visit() as visit:
        sign_in(visit)
        expect(visit.page.get_by_role("heading", name="Signed in as Ada Winter")).to_be_visible()
        visit.page.reload()
        expect(visit.page.get_by_role("heading", name="Signed in")).to_be_visible()


def test_the_page_s_own_buttons_start_a_talk(bench: Bench) -> None:
    with bench.visit() as visit:
        visit.page.get_by_role("button", name="Ask for your balance").click()
        expect(visit.bubbles.last).to_have_text("You said: What is my balance?")
        expect(visit.composer).to_be_focused()


def test_the_mailbox_asks_to_sign_in_and_then_lists_mail(bench: Bench) -> None:
    with bench.visit(viewport=SMALL) as visit:
        visit.page.goto(visit.stand_in.origin + "/demo/outbox")
        expect(visit.page.get_by_role("status")).to_contain_text("Sign in on the bank's page first")
        visit.page.goto(visit.stand_in.origin)
        sign_in(visit)
        visit.page.get_by_role("link", name="Mail we sent you").click()
        expect(visit.page.get_by_role("heading", name="Two-factor is on")).to_be_visible()
        expect(visit.page.locator("time")).to_have_attribute("datetime", "2026-09-21T14:13:20.000Z")
        expect(visit.page.get_by_role("status")).to_have_text("1 mail")
        assert visit.axe() == []
        assert visit.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
