/**
 * The field for a one-time code: masked, pasteable, emptied by every read.
 *
 * The value exists in the input's property and in the one request body, nowhere else: the input has no `name` and no
 * `value` attribute, so neither a form submission nor a copy of the document carries it.
 */
import { button, el, freshId, hiddenText } from "./dom";
import type { CardInput } from "./protocol";
import { strings } from "./strings";

const NUMERIC_KINDS: ReadonlySet<string> = new Set(["totp", "code", "email_code", "sms_code"]);

export class CodeField {
  readonly element: HTMLElement;
  readonly #input: HTMLInputElement;
  readonly #alert: HTMLElement;
  readonly #toggle: HTMLButtonElement;
  readonly #spec: CardInput;

  constructor(spec: CardInput) {
    this.#spec = spec;
    const id = freshId("code");
    const alertId = freshId("refusal");
    const noteId = freshId("note");
    this.#input = el("input", {
      id,
      type: "password",
      class: "cc-code",
      autocomplete: "one-time-code",
      inputmode: this.#numeric ? "numeric" : "text",
      autocapitalize: "off",
      spellcheck: "false",
      enterkeyhint: "done",
      "aria-describedby": `${alertId} ${noteId}`,
    });
    this.#toggle = button(strings.show, "cc-toggle", () => this.#mask(this.#input.type === "text"));
    this.#toggle.append(hiddenText(strings.typed));
    this.#alert = el("p", { id: alertId, class: "cc-refusal", role: "alert" });
    this.element = el(
      "div",
      { class: "cc-field" },
      el("label", { for: id }, spec.label),
      el("div", { class: "cc-code-row" }, this.#input, this.#toggle),
      this.#alert,
      el("p", { id: noteId, class: "cc-note" }, strings.private),
    );
  }

  /** What was typed, without the spaces people and apps put in; the field is empty afterwards. Null: nothing worth a try yet. */
  take(): string | null {
    const typed = this.#input.value;
    const value = this.#numeric ? typed.replace(/[\s-]/g, "") : typed.trim();
    const complaint = this.#complaint(value);
    this.refuse(complaint);
    if (complaint !== "") {
      this.focus();
      return null;
    }
    this.#input.value = "";
    this.#mask(true);
    return value;
  }

  /** Say why it did not work (empty: nothing wrong). */
  refuse(text: string): void {
    this.#alert.textContent = text;
    if (text === "") this.#input.removeAttribute("aria-invalid");
    else this.#input.setAttribute("aria-invalid", "true");
  }

  focus(): void {
    this.#input.focus();
  }

  get #numeric(): boolean {
    return NUMERIC_KINDS.has(this.#spec.kind);
  }

  #complaint(value: string): string {
    if (value === "") return strings.emptyField;
    const { length } = this.#spec;
    // A slip of the finger must not cost one of the five tries.
    const whole = length === 0 || !this.#numeric || [...value].length === length;
    return whole ? "" : strings.digits(length);
  }

  #mask(on: boolean): void {
    this.#input.type = on ? "password" : "text";
    this.#toggle.replaceChildren(on ? strings.show : strings.hide, hiddenText(strings.typed));
  }
}
