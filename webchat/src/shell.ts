/** The launcher, the panel and its status line: opening, closing, where the focus goes. */
import { button, el, freshId, hiddenText, icon } from "./dom";
import { strings } from "./strings";

/** Below this the panel covers the page (also in confide-chat.css). */
const NARROW = "(max-width: 30rem)";
const FOCUSABLE = "button, input, textarea, a[href], [tabindex='0']";

export class Shell {
  readonly #host: HTMLElement;
  readonly #launcher: HTMLButtonElement;
  readonly #panel: HTMLElement;
  readonly #status = el("p", { class: "cc-status", role: "status" });
  readonly #narrow = matchMedia(NARROW);
  #connection = "";
  #typing = false;

  constructor(host: HTMLElement, log: HTMLElement, composer: HTMLElement, toggle: () => void) {
    this.#host = host;
    const panelId = freshId("panel");
    this.#launcher = button("", "cc-launcher", toggle);
    this.#launcher.setAttribute("aria-controls", panelId);
    this.#panel = this.#makePanel(panelId, log, composer, toggle);
    this.#showLauncher();
    this.#panel.addEventListener("keydown", (event) => this.#key(event, toggle));
    this.#narrow.addEventListener("change", () => this.#cover());
    host.replaceChildren(this.#launcher, this.#panel);
  }

  get isOpen(): boolean {
    return !this.#panel.hidden;
  }

  open(): void {
    this.#panel.hidden = false;
    this.#showLauncher();
    this.#cover();
  }

  close(): void {
    if (!this.isOpen) return;
    this.#panel.hidden = true;
    this.#showLauncher();
    this.#cover();
    this.#launcher.focus();
  }

  unread(count: number): void {
    this.#showLauncher(count);
  }

  /** How the connection is; empty when there is nothing to say. */
  status(text: string): void {
    this.#connection = text;
    this.#showStatus();
  }

  typing(on: boolean): void {
    this.#typing = on;
    this.#showStatus();
  }

  /** Said once; it stays until there is something newer. */
  announce(text: string): void {
    this.#status.replaceChildren(text);
  }

  #showStatus(): void {
    const dots = el("span", { class: "cc-dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
    if (this.#connection !== "") this.#status.replaceChildren(this.#connection);
    else if (this.#typing) this.#status.replaceChildren(dots, strings.typing);
    else this.#status.replaceChildren();
  }

  #makePanel(id: string, log: HTMLElement, composer: HTMLElement, close: () => void): HTMLElement {
    const titleId = freshId("title");
    const title = el("h2", { id: titleId }, this.#host.getAttribute("chat-title") ?? strings.title);
    const subtitle = el("p", {}, this.#host.getAttribute("chat-subtitle") ?? strings.subtitle);
    const closer = button("", "cc-close", close);
    closer.append(icon("close"), hiddenText(strings.closeChat));
    const mark = el("span", { class: "cc-mark", "aria-hidden": "true" }, icon("chat"));
    const header = el("div", { class: "cc-header" }, mark, el("div", { class: "cc-titles" }, title, subtitle), closer);
    const attributes = { id, class: "cc-panel", role: "dialog", "aria-labelledby": titleId, hidden: true };
    return el("section", attributes, header, log, this.#status, composer);
  }

  #showLauncher(unread = 0): void {
    // The name stays; aria-expanded says the rest.
    this.#launcher.setAttribute("aria-expanded", String(this.isOpen));
    const label = el("span", { class: this.isOpen ? "cc-hidden" : "cc-launcher-label" }, strings.launcher);
    this.#launcher.replaceChildren(icon(this.isOpen ? "close" : "chat"), label);
    if (unread === 0) return;
    const badge = el("span", { class: "cc-unread", "aria-hidden": "true" }, String(unread));
    this.#launcher.append(badge, hiddenText(strings.unread(unread)));
  }

  /** On a small screen the panel hides the page, so the page must not be reachable behind it. */
  #cover(): void {
    const covers = this.isOpen && this.#narrow.matches;
    if (covers) this.#panel.setAttribute("aria-modal", "true");
    else this.#panel.removeAttribute("aria-modal");
    this.#host.toggleAttribute("data-open", this.isOpen);
  }

  #key(event: KeyboardEvent, close: () => void): void {
    if (event.key === "Escape" && !event.isComposing) {
      event.stopPropagation();
      close();
    }
    if (event.key === "Tab" && this.#narrow.matches) this.#wrap(event);
  }

  #wrap(event: KeyboardEvent): void {
    const reachable = [...this.#panel.querySelectorAll<HTMLElement>(FOCUSABLE)].filter((element) => element.checkVisibility());
    const [first, last] = [reachable[0], reachable.at(-1)];
    const leaving = event.shiftKey ? document.activeElement === first : document.activeElement === last;
    if (!leaving) return;
    event.preventDefault();
    (event.shiftKey ? last : first)?.focus();
  }
}
