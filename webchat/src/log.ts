/** The messages, in one `role=log` region: what is appended is read out once, nothing else in it speaks. */
import { CardView, type CardHost } from "./card";
import { button, el, hiddenText } from "./dom";
import { link, linkify } from "./links";
import type { BotMessage, Card, CardState, QuickReply } from "./protocol";
import { strings } from "./strings";

const MAX_ITEMS = 400;
/** Pixels from the end within which someone is reading the newest message and wants to follow. */
const NEAR_END = 120;

export interface LogHost extends CardHost {
  reply(reply: QuickReply): void;
}

/** One message of the customer and its state. */
export interface OwnMessage {
  sending(): void;
  sent(): void;
  failed(reason: string, retry: () => void): void;
}

export class MessageLog {
  readonly element: HTMLElement;
  readonly #list = el("ol", { class: "cc-list" });
  readonly #host: LogHost;
  readonly #cards = new Map<string, CardView>();
  #lastSent: HTMLElement | undefined;

  constructor(host: LogHost) {
    this.#host = host;
    // Focusable, so that a keyboard can scroll it. Only additions speak: not a state, not a countdown.
    const attributes = { class: "cc-log", role: "log", "aria-label": strings.log, "aria-relevant": "additions", tabindex: "0" };
    this.element = el("div", attributes, this.#list);
  }

  get empty(): boolean {
    return this.#list.childElementCount === 0;
  }

  clear(): void {
    for (const card of this.#cards.values()) card.dispose();
    this.#cards.clear();
    this.#list.replaceChildren();
  }

  addBot(message: BotMessage): void {
    const item = el("li", { class: "cc-item cc-from-bot" }, hiddenText(`${strings.bot}: `));
    if (message.card) item.append(this.#card(message.card));
    else item.append(...this.#bubbles(message));
    if (message.replies.length > 0) item.append(this.#replies(message.replies, strings.replies));
    this.#append(item);
  }

  /** What the widget itself says before the bank has said anything. */
  addGreeting(text: string, suggestions: readonly QuickReply[]): void {
    const item = el("li", { class: "cc-item cc-from-bot" }, hiddenText(`${strings.bot}: `), el("p", { class: "cc-bubble" }, text));
    if (suggestions.length > 0) item.append(this.#replies(suggestions, strings.suggestions));
    this.#append(item);
  }

  addOwn(text: string): OwnMessage {
    this.clearReplies();
    const state = el("div", { class: "cc-state", "aria-live": "off" });
    const bubble = el("p", { class: "cc-bubble" }, text);
    this.#append(el("li", { class: "cc-item cc-from-you" }, hiddenText(`${strings.you}: `), bubble, state), true);
    return {
      sending: () => state.replaceChildren(strings.sending),
      sent: () => this.#showSent(state),
      failed: (reason, retry) => {
        const again = button(strings.retry, "cc-button cc-quiet", () => {
          this.#host.takeFocus();
          retry();
        });
        state.replaceChildren(el("span", { class: "cc-failed" }, `${strings.notSent} ${reason}`.trim()), again);
      },
    };
  }

  updateCard(ref: string, state: CardState): void {
    this.#cards.get(ref)?.end(state);
  }

  clearReplies(): void {
    for (const replies of this.#list.querySelectorAll(".cc-replies")) {
      if (replies.contains(document.activeElement)) this.#host.takeFocus();
      replies.remove();
    }
  }

  scrollToEnd(): void {
    this.element.scrollTop = this.element.scrollHeight;
  }

  /** Only the newest message says "Sent": under each it would be noise. */
  #showSent(state: HTMLElement): void {
    this.#lastSent?.replaceChildren();
    this.#lastSent = state;
    state.replaceChildren(strings.sent);
  }

  #bubbles({ text, attachment, replies }: BotMessage): HTMLElement[] {
    const attached = attachment === "" ? null : link(attachment, attachment);
    const shown = text === "" && attached === null && replies.length === 0 ? strings.unknownMessage : text;
    const bubbles = shown === "" ? [] : [el("p", { class: "cc-bubble" }, ...linkify(shown))];
    return attached ? [...bubbles, el("p", { class: "cc-bubble" }, attached)] : bubbles;
  }

  #card(card: Card): HTMLElement {
    this.#cards.get(card.ref)?.dispose();
    const view = new CardView(card, this.#host);
    this.#cards.set(card.ref, view);
    return view.element;
  }

  #replies(replies: readonly QuickReply[], label: string): HTMLElement {
    const buttons = replies.map((reply) => button(reply.title, "cc-reply", () => this.#host.reply(reply)));
    return el("div", { class: "cc-replies", role: "group", "aria-label": label }, ...buttons);
  }

  #append(item: HTMLElement, follow = false): void {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.#list.append(item);
    while (this.#list.childElementCount > MAX_ITEMS) this.#list.firstElementChild?.remove();
    if (follow || atEnd) this.#follow(item);
  }

  /** Show what is new from its beginning: of a payment that does not fit on the screen the field alone must not be all one sees. */
  #follow(item: HTMLElement): void {
    if (item.offsetHeight > this.element.clientHeight) this.element.scrollTop = item.offsetTop;
    else this.scrollToEnd();
  }
}
