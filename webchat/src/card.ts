/** A card on the screen: what is to be confirmed, in full, the field for the code, and how it ended. */
import { button, el, freshId, icon } from "./dom";
import { Countdown } from "./countdown";
import { CodeField } from "./field";
import { post, type Answer } from "./http";
import type { Card, CardState } from "./protocol";
import { enrolment } from "./qr";
import { strings } from "./strings";

export interface CardHost {
  announce(text: string): void;
  /** The focused part of a card is about to disappear: the focus goes to the composer rather than to nowhere. */
  takeFocus(): void;
}

type Ending = CardState | "expired";

const OUTCOMES: Readonly<Record<string, CardState>> = { accepted: "accepted", cancelled: "cancelled", closed: "closed" };

export class CardView {
  readonly element: HTMLElement;
  readonly #card: Card;
  readonly #host: CardHost;
  /** Everything that ends with the card: the QR code, the key, the field, the buttons. */
  readonly #open: HTMLFormElement;
  readonly #field: CodeField | null;
  readonly #countdown: Countdown | null;
  readonly #submit: HTMLButtonElement;
  #busy = false;
  #ended = false;

  constructor(card: Card, host: CardHost) {
    this.#card = card;
    this.#host = host;
    this.#field = card.input && new CodeField(card.input);
    this.#countdown = this.#makeCountdown();
    this.#submit = el("button", { type: "submit", class: "cc-button cc-primary" }, this.#submitLabel);
    this.#open = this.#form();
    this.element = this.#frame();
    if (this.#countdown?.left === 0) this.end("expired", strings.expired);
    else this.#countdown?.start();
  }

  get ref(): string {
    return this.#card.ref;
  }

  /** Close the card for good; the first ending stays, except that the server's word replaces our own "expired". */
  end(ending: Ending, text = ""): void {
    if (this.#ended && this.element.dataset["state"] !== "expired") return;
    this.#ended = true;
    this.#countdown?.stop();
    if (this.#open.contains(document.activeElement)) this.#host.takeFocus();
    this.#open.remove();
    this.element.querySelector(".cc-ending")?.remove();
    this.element.dataset["state"] = ending;
    const badge = el("span", { class: "cc-badge" }, strings.state[ending]);
    this.element.append(el("p", { class: "cc-ending" }, badge, text === "" ? "" : ` ${text}`));
  }

  /** The widget forgets the card without a word. */
  dispose(): void {
    this.#ended = true;
    this.#countdown?.stop();
  }

  get #submitLabel(): string {
    return this.#card.type === "confirm" ? strings.confirm : strings.submit;
  }

  #makeCountdown(): Countdown | null {
    if (this.#card.expiresAt === null) return null;
    return new Countdown(this.#card.expiresAt, {
      announce: (text) => this.#host.announce(text),
      expired: () => this.end("expired", strings.expired),
    });
  }

  #frame(): HTMLElement {
    const titleId = freshId("card");
    const title = el("h3", { id: titleId, class: "cc-card-title" }, icon("lock"), el("span", {}, this.#card.title));
    const frame = el("div", { class: "cc-card", role: "group", "aria-labelledby": titleId }, title);
    frame.dataset["type"] = this.#card.type;
    frame.dataset["state"] = "open";
    if (this.#card.lines.length > 0) frame.append(this.#lines());
    frame.append(this.#open);
    return frame;
  }

  #lines(): HTMLElement {
    const rows = this.#card.lines.map(({ label, value }) => el("div", {}, el("dt", {}, label), el("dd", {}, value)));
    return el("dl", { class: "cc-lines" }, ...rows);
  }

  #form(): HTMLFormElement {
    const form = el("form", { class: "cc-card-open", novalidate: true, autocomplete: "off" });
    if (this.#card.type === "qr") form.append(enrolment(this.#card.qr, this.#card.key, (text) => this.#host.announce(text)));
    if (this.#field) form.append(this.#field.element);
    form.append(this.#actions());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    return form;
  }

  #actions(): HTMLElement {
    const row = el("div", { class: "cc-actions" });
    if (this.#field || this.#card.type === "confirm") row.append(this.#submit);
    if (this.#card.cancel) row.append(button(strings.cancel, "cc-button cc-quiet", () => void this.#act("cancel")));
    if (this.#countdown) row.append(this.#countdown.element);
    return row;
  }

  async #send(): Promise<void> {
    if (this.#busy || this.#ended) return;
    if (this.#field === null) return this.#act("submit");
    const value = this.#field.take();
    if (value !== null) await this.#act("submit", value);
  }

  async #act(act: "submit" | "cancel", value?: string): Promise<void> {
    if (this.#busy || this.#ended) return;
    this.#setBusy(true);
    const { ref } = this.#card;
    const answer = await post("/chat/card", value === undefined ? { ref, act } : { ref, act, value });
    this.#setBusy(false);
    this.#answered(answer);
  }

  #answered({ status, body }: Answer): void {
    const said = typeof body["text"] === "string" ? body["text"] : "";
    const ending = status === 200 ? OUTCOMES[String(body["outcome"])] : status === 404 ? "closed" : undefined;
    if (ending !== undefined) this.end(ending, ending === "closed" ? said : "");
    else this.#refuse(said || strings.cardUnknown);
  }

  #refuse(text: string): void {
    if (this.#ended) return;
    if (this.#field === null) return this.#host.announce(text);
    this.#field.refuse(text);
    this.#field.focus();
  }

  #setBusy(on: boolean): void {
    this.#busy = on;
    this.#submit.textContent = on ? strings.checking : this.#submitLabel;
    this.#submit.setAttribute("aria-disabled", String(on));
    this.#open.toggleAttribute("data-busy", on);
  }
}
