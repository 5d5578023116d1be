"""The bank's page in Chromium in front of the real processes: sign in, pay with a code, set up two-factor. Screenshots go to the README.

The widget's own tests (test_widget_*) run against a stand-in; this is the whole.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyotp
import pytest
from axe_core_python.sync_playwright import Axe  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.browser.widget_page import CHROMIUM, FLAGS, WATCH_POLICY
from tests.integration.stack import Stack, running

pytestmark = pytest.mark.browser

#: Set to a folder to keep the screenshots (scripts/screenshots does).
SCREENSHOTS = os.environ.get("CONFIDE_SCREENSHOTS")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, trained_model: Path) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("page"), trained_model) as made:
        yield made


@pytest.fixture(scope="module")
def context(stack: Stack) -> Iterator[BrowserContext]:
    """A browser that trusts this installation's certificate by its key, and nothing else that is unknown."""
    certificate = load_pem_x509_certificate(stack.plan.gateway.certificate.read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, f"--ignore-certificate-errors-spki-list={pin}"])
        made = browser.new_context(viewport={"width": 1280, "height": 1000 if SCREENSHOTS else 800})
        made.add_init_script(WATCH_POLICY)
        yield made
        browser.close()


@pytest.fixture
def page(stack: Stack, context: BrowserContext) -> Iterator[Page]:
    """The page, and at its end: no violation of the policy, no error, nothing asked of anybody else."""
    context.clear_cookies()
    page = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(stack.address)
    yield page
    assert page.evaluate("window.policyViolations") == []
    assert errors == []
    assert [url for url in asked if not url.startswith(stack.address)] == []
    page.close()


def sign_in(page: Page, stack: Stack, number: str) -> None:
    page.get_by_label("Customer number").fill(number)
    page.get_by_label("Password").fill(stack.people()[number].password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#signed-in")).to_be_visible()


def say(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Your message").fill(text)
    page.keyboard.press("Enter")


def shoot(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.wait_for_timeout(400)
        page.screenshot(path=f"{SCREENSHOTS}/{name}.png")


def balance(stack: Stack) -> int:
    with closing(sqlite3.connect(f"file:{stack.var}/core/confide.sqlite?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT balance_minor FROM bank_accounts WHERE id = '1001-1'").fetchone()[0])


def axe(page: Page) -> list[str]:
    """Return what axe-core finds, once nothing moves any more: a half-faded text has no contrast yet."""
    while page.evaluate("document.getAnimations().some((each) => each.playState === 'running' && each.effect.getTiming().iterations !== Infinity)"):
        page.wait_for_timeout(50)
    violations = Axe().run(page)["violations"]
    return [f"{each['id']}: {node['html'][:120]} {node['failureSummary'][:200]}" for each in violations for node in each["nodes"]]


def test_a_customer_pays(page: Page, stack: Stack) -> None:
    sign_in(page, stack, "1001")
    page.locator("[data-open-chat]").last.click()
    log = page.get_by_role("log")
    say(page, "what's my balance")
    expect(log).to_contain_text("€1,204.33")
    say(page, "send 250 to Maria Huber")
    expect(log).to_contain_text("reference")
    say(page, "rent november")
    card = log.locator(".cc-card").last
    expect(card).to_contain_text("Pay €250.00 to Maria Huber")
    expect(card).to_contain_text("DE97 9900 0000 0000 4410 01")
    assert axe(page) == []
    shoot(page, "confirm")
    field = card.get_by_role("textbox")
    field.fill("000000")
    field.press("Enter")
    expect(card.get_by_role("alert")).to_contain_text("That code didn't work")
    expect(field).to_have_value("")
    assert balance(stack) == 1_204_33
    field.fill(stack.phone().now())
    field.press("Enter")
    expect(log).to_contain_text("Done. €250.00 is on its way to Maria Huber.")
    assert balance(stack) == 954_33
    page.reload()
    page.locator("[data-open-chat]").last.click()
    expect(page.get_by_role("log")).to_contain_text("Done. €250.00 is on its way to Maria Huber.")
    assert axe(page) == []


def test_a_customer_sets_up_two_factor_by_keyboard_on_a_small_screen(page: Page, stack: Stack) -> None:
    sign_in(page, stack, "1002")
    page.set_viewport_size({"width": 320, "height": 640})
    page.locator(".cc-launcher").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Your message")).to_be_focused()
    page.keyboard.type("set up two factor authentication")
    page.keyboard.press("Enter")
    card = page.get_by_role("log").locator(".cc-card").last
    expect(card.get_by_role("img", name="QR code")).to_be_visible()
    key = next(text for text in card.inner_text().split("\n") if len(text.replace(" ", "")) == 32 and text.replace(" ", "").isalnum())
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert axe(page) == []
    shoot(page, "enrol")
    field = card.get_by_role("textbox")
    field.focus()
    page.keyboard.type(pyotp.TOTP(key.replace(" ", "")).now())
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("From now on", timeout=10_000)


def test_a_part_that_goes_away_is_told_and_comes_back(page: Page, stack: Stack) -> None:
    sign_in(page, stack, "1001")
    page.locator("[data-open-chat]").last.click()
    log = page.get_by_role("log")
    say(page, "hi")
    expect(log).to_contain_text("computer program")
    stack.stop("actions")
    say(page, "what's my balance")
    expect(log).to_contain_text("I don't know yet", timeout=6_500)
    stack.start("actions")
    expect(log).to_contain_text("I can reach our system again", timeout=30_000)
    stack.stop("gateway")
    expect(page.get_by_role("status").last).to_contain_text(re.compile("connect", re.IGNORECASE), timeout=10_000)
    stack.start("gateway")
    say(page, "what's my balance")
    expect(log).to_contain_text("Current account", timeout=20_000)


def test_the_outbox_page_shows_the_mail(page: Page, stack: Stack) -> None:
    sign_in(page, stack, "1001")
    page.goto(stack.address + "/demo/outbox")
    end = time.monotonic() + 15
    while not page.get_by_text("You sent €250.00 to Maria Huber").count():
        assert time.monotonic() < end, page.inner_text("body")
        page.get_by_role("button", name="Look again").click()
        page.wait_for_timeout(300)
    assert axe(page) == []


def test_chromium_refuses_the_page_without_trust_in_its_certificate(stack: Stack, tmp_path: Path) -> None:
    command = [CHROMIUM, "--headless", *FLAGS, f"--user-data-dir={tmp_path}", "--dump-dom", stack.address]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    assert "Harbour Bank" not in shown
