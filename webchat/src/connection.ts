/**
 * The socket: one conversation that survives a lost connection.
 *
 * Messages wait here until the gateway has acknowledged them and are sent again after a reconnect under the same id, so
 * none is lost and none counts twice. What the gateway sends carries a number; one that was seen is dropped.
 */
import { io, type Socket } from "socket.io-client";
import { isAccepted, parseBotMessage, parseCardUpdate, parseLevel, parseRefusal, parseTyping } from "./protocol";
import type { BotMessage, CardState } from "./protocol";

const ACK_TIMEOUT = 15_000;
const MAX_TRIES = 3;
const RETRY_AFTER = 2_000;

export interface Outgoing {
  /** Names the message to the gateway; a resend under it is harmless. */
  id: string;
  readonly payload: string;
  tries: number;
}

export interface Handlers {
  message(message: BotMessage): void;
  typing(on: boolean): void;
  card(ref: string, state: CardState): void;
  online(on: boolean): void;
  /** Another conversation begins: nothing of the last one may stay on the screen. */
  reset(): void;
  sent(message: Outgoing): void;
  /** `text` is the gateway's reason; empty when it never answered. */
  failed(message: Outgoing, text: string): void;
  refused(text: string): void;
  level(level: string): void;
}

export function outgoing(payload: string): Outgoing {
  return { id: crypto.randomUUID(), payload, tries: 0 };
}

export class Connection {
  readonly #socket: Socket;
  readonly #handlers: Handlers;
  readonly #waiting = new Set<Outgoing>();
  #session: string | null = null;
  #lastSeq = 0;
  #ready = false;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(handlers: Handlers) {
    this.#handlers = handlers;
    this.#socket = io({
      autoConnect: false,
      // Long polling needs a sticky balancer, so it is only what is left when a proxy lets no WebSocket through.
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: 8_000,
    });
    this.#listen();
  }

  open(): void {
    this.#socket.connect();
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#socket.disconnect();
  }

  send(message: Outgoing): void {
    message.tries = 0;
    this.#waiting.add(message);
    if (this.#ready) this.#deliver(message);
  }

  /** Forget the conversation: the next connection starts without a past. */
  forget(): void {
    this.#session = null;
    this.#lastSeq = 0;
    this.#waiting.clear();
    this.#handlers.reset();
  }

  #listen(): void {
    const { message, typing, card, level } = this.#handlers;
    this.#socket.on("connect", () => this.#request());
    this.#socket.on("session_confirm", (id: unknown) => this.#confirmed(id));
    this.#socket.on("bot_uttered", (data: unknown) => {
      const parsed = parseBotMessage(data);
      if (this.#isNew(parsed.seq)) message(parsed);
    });
    this.#socket.on("bot_typing", (data: unknown) => typing(parseTyping(data)));
    this.#socket.on("card_update", (data: unknown) => {
      const update = parseCardUpdate(data);
      if (update) card(update.ref, update.state);
    });
    this.#socket.on("session_changed", (data: unknown) => level(parseLevel(data)));
    this.#socket.on("chat_error", (data: unknown) => this.#error(data));
    this.#socket.on("disconnect", (reason) => {
      this.#ready = false;
      if (reason !== "io client disconnect") this.#lost(reason === "io server disconnect");
    });
    this.#socket.on("connect_error", () => this.#lost(!this.#socket.active));
  }

  #request(): void {
    // A page that was just loaded asks from 0: it has seen nothing of what is still kept for it.
    const named = this.#session === null ? {} : { session_id: this.#session };
    this.#socket.emit("session_request", { ...named, last_seq: this.#lastSeq });
  }

  #confirmed(id: unknown): void {
    if (typeof id !== "string") return;
    if (this.#session !== null && this.#session !== id) this.forget();
    this.#session = id;
    this.#ready = true;
    this.#handlers.online(true);
    for (const message of this.#waiting) this.#deliver(message);
  }

  #isNew(seq: number | null): boolean {
    if (seq === null) return true;
    if (seq <= this.#lastSeq) return false;
    this.#lastSeq = seq;
    return true;
  }

  #deliver(message: Outgoing): void {
    message.tries += 1;
    const body = { message: message.payload, session_id: this.#session, id: message.id };
    this.#socket.timeout(ACK_TIMEOUT).emit("user_uttered", body, (lost: Error | null, answer: unknown) => {
      // Gone when the conversation was forgotten; still waiting, for the next connection, when this one broke.
      if (!this.#waiting.has(message)) return;
      if (lost === null) this.#answered(message, answer);
      else if (this.#ready && message.tries < MAX_TRIES) this.#deliver(message);
      else if (this.#ready) this.#giveUp(message, "");
    });
  }

  #answered(message: Outgoing, answer: unknown): void {
    if (isAccepted(answer)) {
      this.#waiting.delete(message);
      this.#handlers.sent(message);
      return;
    }
    message.id = crypto.randomUUID(); // a refused message was never taken: another try is another message
    this.#giveUp(message, parseRefusal(answer).text);
  }

  #giveUp(message: Outgoing, reason: string): void {
    this.#waiting.delete(message);
    this.#handlers.failed(message, reason);
  }

  #error(data: unknown): void {
    const { code, text } = parseRefusal(data);
    if (code === "foreign_session" && this.#session !== null) {
      // The cookie now stands for another conversation: ours is over, whoever sits here.
      this.forget();
      this.#request();
    } else if (text !== "") this.#handlers.refused(text);
  }

  #lost(byServer: boolean): void {
    this.#ready = false;
    this.#handlers.typing(false);
    this.#handlers.online(false);
    clearTimeout(this.#retry);
    // After a disconnect or a refusal by the server socket.io does not try again by itself.
    if (byServer) this.#retry = setTimeout(() => this.open(), RETRY_AFTER);
  }
}
