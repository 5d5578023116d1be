/** Where the customer writes: Enter sends, Shift+Enter breaks the line. */
import { el, freshId, hiddenText, icon } from "./dom";
import { strings } from "./strings";

/** The gateway's bound, in characters as Python counts them (code points). */
export const MAX_LENGTH = 2000;
const COUNTER_FROM = 1800;
const MAX_ROWS = 5;

export class Composer {
  readonly element: HTMLFormElement;
  readonly #input: HTMLTextAreaElement;
  readonly #counter: HTMLElement;
  readonly #alert: HTMLElement;

  constructor(send: (text: string) => void) {
    const [inputId, counterId, alertId] = [freshId("composer"), freshId("counter"), freshId("alert")];
    this.#alert = el("p", { id: alertId, class: "cc-alert", role: "alert" });
    this.#counter = el("p", { id: counterId, class: "cc-counter" });
    this.#input = el("textarea", {
      id: inputId,
      rows: "1",
      class: "cc-input",
      placeholder: strings.composerHint,
      autocomplete: "off",
      enterkeyhint: "send",
      "aria-describedby": `${alertId} ${counterId}`,
    });
    const label = el("label", { for: inputId, class: "cc-hidden" }, strings.composer);
    const sender = el("button", { type: "submit", class: "cc-send" }, icon("send"), hiddenText(strings.send));
    const row = el("div", { class: "cc-composer-row" }, label, this.#input, sender);
    this.element = el("form", { class: "cc-composer", novalidate: true, autocomplete: "off" }, this.#alert, row, this.#counter);
    this.#listen(send);
  }

  focus(): void {
    this.#input.focus();
  }

  /** Say what went wrong; empty takes it back. The same sentence is not said twice. */
  alert(text: string): void {
    if (this.#alert.textContent !== text) this.#alert.textContent = text;
  }

  #listen(send: (text: string) => void): void {
    this.#input.addEventListener("input", () => this.#measure());
    this.#input.addEventListener("keydown", (event) => {
      // While an input method composes a word, Enter belongs to it.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.element.requestSubmit();
    });
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(send);
    });
  }

  #submit(send: (text: string) => void): void {
    const text = this.#input.value.trim();
    const over = [...text].length - MAX_LENGTH;
    this.alert(over > 0 ? strings.tooLong(over) : "");
    if (over <= 0 && text !== "") {
      this.#input.value = "";
      this.#measure();
      send(text);
    }
    this.focus();
  }

  #measure(): void {
    const { value } = this.#input;
    const length = [...value].length;
    this.#counter.textContent = length < COUNTER_FROM ? "" : strings.left(MAX_LENGTH - length);
    this.#counter.classList.toggle("cc-over", length > MAX_LENGTH);
    this.#input.rows = Math.min(MAX_ROWS, value.split("\n").length);
  }
}
