/** How long a card still counts. Everyone can see it tick; a screen reader hears it twice, not every second. */
import { el } from "./dom";
import { serverNow } from "./http";
import { strings } from "./strings";

const WARNING = 60;

export interface CountdownHandlers {
  announce(text: string): void;
  expired(): void;
}

function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

export class Countdown {
  /** role=timer is a live region that is off, so the ticking inside the log stays silent. */
  readonly element = el("span", { class: "cc-timer", role: "timer" });
  readonly #expiresAt: number;
  readonly #handlers: CountdownHandlers;
  #warned: boolean;
  #tick: ReturnType<typeof setInterval> | undefined;

  constructor(expiresAt: number, handlers: CountdownHandlers) {
    this.#expiresAt = expiresAt;
    this.#handlers = handlers;
    this.#warned = this.left <= WARNING;
  }

  /** Whole seconds left, never below 0. */
  get left(): number {
    return Math.max(0, Math.ceil(this.#expiresAt - serverNow()));
  }

  start(): void {
    this.#show();
    this.#tick = setInterval(() => this.#show(), 1000);
  }

  stop(): void {
    clearInterval(this.#tick);
  }

  #show(): void {
    const { left } = this;
    this.element.textContent = strings.valid(clock(left));
    if (left === 0) {
      this.stop();
      this.#handlers.expired();
    } else if (left <= WARNING && !this.#warned) {
      this.#warned = true;
      this.element.classList.add("cc-timer-short");
      this.#handlers.announce(strings.oneMinute);
    }
  }
}
