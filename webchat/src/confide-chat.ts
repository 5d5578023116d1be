/**
 * `<confide-chat>`: the launcher and the chat panel.
 *
 * Attributes: `chat-title`, `chat-subtitle`, `greeting` (said before the first message), `suggestions` (`|` between them).
 * Events (they bubble): `confide:sign-in` when the customer chose to sign in, `confide:session` with `detail.level` when
 * the session was changed elsewhere. It lives in the page's own tree and takes its look from confide-chat.css, so a
 * policy of `style-src 'self'` is enough. It keeps nothing in the browser's storage.
 */
import { Composer } from "./composer";
import { Connection, outgoing, type Handlers, type Outgoing } from "./connection";
import { get } from "./http";
import { MessageLog, type OwnMessage } from "./log";
import type { BotMessage, QuickReply } from "./protocol";
import { Shell } from "./shell";
import { strings } from "./strings";

/** A button with this payload asks the page for its sign-in form; it is never sent. */
const SIGN_IN = "#sign-in";

export class ConfideChat extends HTMLElement {
  #shell: Shell | undefined;
  #log!: MessageLog;
  #composer!: Composer;
  #connection!: Connection;
  readonly #own = new Map<Outgoing, OwnMessage>();
  #level = "";
  #started = false;
  #unread = 0;

  connectedCallback(): void {
    if (this.#shell) return;
    this.#composer = new Composer((text) => this.#say(text, text));
    this.#log = new MessageLog({
      announce: (text) => this.#shell?.announce(text),
      takeFocus: () => this.#takeFocus(),
      reply: (reply) => this.#reply(reply),
    });
    this.#connection = new Connection(this.#handlers());
    this.#shell = new Shell(this, this.#log.element, this.#composer.element, () => this.toggle());
  }

  disconnectedCallback(): void {
    this.#connection.close();
    this.#started = false;
  }

  get isOpen(): boolean {
    return this.#shell?.isOpen ?? false;
  }

  open(): void {
    if (this.isOpen || !this.#shell) return;
    this.#start();
    this.#unread = 0;
    this.#shell.open();
    this.#log.scrollToEnd();
    this.#composer.focus();
  }

  close(): void {
    this.#shell?.close();
  }

  toggle(): void {
    if (this.isOpen) this.close();
    else this.open();
  }

  /** Say something in the customer's name, as if they had typed it. */
  say(text: string): void {
    this.open();
    this.#say(text, text);
  }

  /** Leave the session alone while the page changes its cookie; `resume` goes on with whatever session there is then. */
  suspend(): void {
    this.#connection.close();
  }

  /** Connect again. `forget`: nothing of the last session may stay on the screen, whoever comes next. */
  resume({ forget = false, level = "" }: { forget?: boolean; level?: string } = {}): void {
    this.#level = level;
    if (forget) this.#connection.forget();
    if (this.#started) this.#connection.open();
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#greet();
    this.#shell?.status(strings.connecting);
    // Also tells the server's time, which the countdown of a card goes by.
    void get("/chat/session").then(({ body }) => {
      if (typeof body["level"] === "string") this.#level = body["level"];
    });
    this.#connection.open();
  }

  #greet(): void {
    const greeting = this.getAttribute("greeting") ?? "";
    const suggestions = (this.getAttribute("suggestions") ?? "").split("|").map((text) => text.trim());
    const replies = suggestions.filter(Boolean).map((text) => ({ title: text, payload: text }));
    if (greeting !== "" && this.#log.empty) this.#log.addGreeting(greeting, replies);
  }

  #handlers(): Handlers {
    return {
      message: (message) => this.#receive(message),
      typing: (on) => this.#shell?.typing(on),
      card: (ref, state) => this.#log.updateCard(ref, state),
      online: (on) => {
        this.#shell?.status(on ? "" : strings.reconnecting);
        if (on) this.#composer.alert("");
      },
      reset: () => this.#reset(),
      sent: (message) => this.#settle(message)?.sent(),
      failed: (message, text) => this.#failed(message, text),
      refused: (text) => this.#composer.alert(text),
      level: (level) => this.#levelChanged(level),
    };
  }

  #receive(message: BotMessage): void {
    this.#shell?.typing(false);
    this.#log.addBot(message);
    if (!this.isOpen) this.#shell?.unread((this.#unread += 1));
  }

  #reply(reply: QuickReply): void {
    if (reply.payload !== SIGN_IN) return this.#say(reply.title, reply.payload);
    this.dispatchEvent(new CustomEvent("confide:sign-in", { bubbles: true }));
  }

  #say(shown: string, payload: string): void {
    const message = outgoing(payload);
    this.#own.set(message, this.#log.addOwn(shown));
    this.#send(message);
  }

  #send(message: Outgoing): void {
    this.#composer.alert("");
    this.#own.get(message)?.sending();
    this.#connection.send(message);
  }

  /** Something focused is about to go. On a touch screen the composer would bring up the keyboard, so the log takes it. */
  #takeFocus(): void {
    if (matchMedia("(pointer: coarse)").matches) this.#log.element.focus();
    else this.#composer.focus();
  }

  #settle(message: Outgoing): OwnMessage | undefined {
    const own = this.#own.get(message);
    this.#own.delete(message);
    return own;
  }

  #failed(message: Outgoing, text: string): void {
    const reason = text || strings.noAnswer;
    this.#own.get(message)?.failed(reason, () => this.#send(message));
    this.#composer.alert(reason);
  }

  #reset(): void {
    this.#own.clear();
    this.#log.clear();
    this.#composer.alert("");
    this.#shell?.typing(false);
    this.#greet();
  }

  #levelChanged(level: string): void {
    // Somebody who signs in may go on with their own talk (the gateway says so by confirming the same conversation);
    // after anything else the next person must not see it, not even for as long as a reconnect takes.
    const goesOn = this.#level === "anonymous" && level !== "anonymous" && level !== "";
    this.#connection.close();
    this.#level = level;
    if (!goesOn) this.#connection.forget();
    this.#connection.open();
    this.dispatchEvent(new CustomEvent("confide:session", { bubbles: true, detail: { level } }));
  }
}

customElements.define("confide-chat", ConfideChat);
