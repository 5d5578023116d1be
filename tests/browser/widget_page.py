"""A real browser in front of the stand-in: one visit to the page, watched from the network up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from axe_core_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, WebSocket, expect, sync_playwright

from tests.browser.stand_in import StandIn

CHROMIUM = os.environ.get("CONFIDE_CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WIDE, PHONE, SMALL = {"width": 1280, "height": 800}, {"width": 390, "height": 780}, {"width": 320, "height": 640}

WATCH_POLICY = """
window.policyViolations = [];
document.addEventListener("securitypolicyviolation", (e) => window.policyViolations.push(`${e.violatedDirective} ${e.blockedURI}`));
"""
STORED = "async () => [localStorage.length, sessionStorage.length, document.cookie, (await indexedDB.databases()).length]"


@dataclass
class Visit:
    """One browser context with one page, and everything that left it."""

    page: Page
    stand_in: StandIn
    frames: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def log(self) -> Locator:
        return self.page.get_by_role("log")

    @property
    def bubbles(self) -> Locator:
        return self.log.locator(".cc-bubble")

    @property
    def composer(self) -> Locator:
        return self.page.get_by_role("textbox", name="Your message")

    @property
    def launcher(self) -> Locator:
        return self.page.locator(".cc-launcher")

    @property
    def card(self) -> Locator:
        """The newest card."""
        return self.log.locator(".cc-card").last

    @property
    def code(self) -> Locator:
        """The newest card's field."""
        return self.card.locator("input")

    def open(self) -> Visit:
        self.launcher.click()
        expect(self.composer).to_be_focused()
        return self

    def say(self, text: str) -> None:
        self.composer.fill(text)
        self.composer.press("Enter")

    def ask_card(self, kind: str) -> Locator:
        """Have the stand-in show a card."""
        shown = self.log.locator(".cc-card").count()
        self.say(kind)
        expect(self.log.locator(".cc-card")).to_have_count(shown + 1)
        return self.card

    def enter(self, code: str) -> None:
        self.code.fill(code)
        self.code.press("Enter")

    def axe(self) -> list[str]:
        """Run axe-core, best practices included, on the page as it is; return what it finds wrong."""
        found = Axe().run(self.page)
        wrong = [f"{rule['id']}: {node['html'][:120]}" for rule in found["violations"] for node in rule["nodes"]]
        assert len(found["passes"]) > 20, "axe did not look at the page"
        return wrong

    def sent_text(self) -> str:
        """Everything that left the browser except the bodies that went to the card's own address."""
        bodies = [request.post_data or "" for request in self.requests if urlsplit(request.url).path != "/chat/card"]
        return "\n".join([*self.frames, *bodies, *(request.url for request in self.requests)])

    def check(self) -> None:
        """What must hold at the end of every visit, whatever was done in it."""
        assert self.page.evaluate("() => window.policyViolations") == []
        assert self.errors == []
        hosts = {urlsplit(request.url).netloc for request in self.requests}
        assert hosts == {urlsplit(self.stand_in.origin).netloc}, "a request left our origin"
        assert self.page.evaluate(STORED) == [0, 0, "", 0]

    def _watch(self, context: BrowserContext) -> None:
        context.on("request", lambda request: self.requests.append(request))
        self.page.on("websocket", self._watch_socket)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self._watch_console(message.text))

    def _watch_socket(self, socket: WebSocket) -> None:
        assert urlsplit(socket.url).netloc == urlsplit(self.stand_in.origin).netloc
        socket.on("framesent", lambda frame: self.frames.append(str(frame)))

    def _watch_console(self, text: str) -> None:
        if "Content Security Policy" in text or "Trusted" in text:
            self.errors.append(text)


@dataclass
class Bench:
    """A browser, a stand-in, and a way to visit the page as somebody new."""

    browser: Browser
    stand_in: StandIn

    @contextlib.contextmanager
    def visit(self, path: str = "/", *, fake_clock: bool = False, **options: Any) -> Iterator[Visit]:
        """Open the page in a fresh context; check the visit's invariants when the block ends well."""
        self.stand_in.reset()
        context = self.browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
        try:
            context.add_init_script(WATCH_POLICY)
            context.set_default_timeout(10_000)
            visit = Visit(context.new_page(), self.stand_in)
            visit._watch(context)
            if fake_clock:
                visit.page.clock.install()
            visit.page.goto(self.stand_in.origin + path)
            yield visit
            visit.check()
        finally:
            context.close()


@contextlib.contextmanager
def open_bench() -> Iterator[Bench]:
    """Start Chromium and a stand-in for the tests of one module."""
    expect.set_options(timeout=10_000)
    with StandIn().running() as stand_in, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield Bench(browser, stand_in)
        finally:
            browser.close()
