/**
 * What the gateway sends (docs/protocol.md, sections 5 and 6), checked field by field.
 *
 * The gateway is ours, but the texts in it are a designer's and partly a customer's: whatever does not have the agreed
 * shape is shown as plain text or not at all.
 */

export interface QuickReply {
  readonly title: string;
  readonly payload: string;
}

export interface CardInput {
  readonly kind: string;
  readonly label: string;
  /** Characters of a whole answer; 0 when any length goes. */
  readonly length: number;
}

export interface QrCode {
  readonly size: number;
  readonly path: string;
}

export type CardType = "confirm" | "secure_input" | "qr";
export type CardState = "accepted" | "cancelled" | "closed";

export interface Card {
  readonly type: CardType;
  readonly ref: string;
  readonly title: string;
  readonly lines: readonly { readonly label: string; readonly value: string }[];
  readonly input: CardInput | null;
  readonly qr: QrCode | null;
  readonly key: string;
  /** Seconds since 1970 by the server's clock; null for a card that does not end. */
  readonly expiresAt: number | null;
  readonly cancel: boolean;
}

export interface BotMessage {
  readonly seq: number | null;
  readonly text: string;
  readonly replies: readonly QuickReply[];
  /** An address of an attachment; it is shown as a link when its scheme is allowed. */
  readonly attachment: string;
  readonly card: Card | null;
}

type Fields = Readonly<Record<string, unknown>>;

const REF = /^[A-Za-z0-9_-]{1,64}$/;
const QR_PATH = /^[MLHVZmlhvz0-9 ,.-]{1,60000}$/;
const CARD_TYPES: readonly string[] = ["confirm", "secure_input", "qr"] satisfies CardType[];
const CARD_STATES: readonly string[] = ["accepted", "cancelled", "closed"] satisfies CardState[];

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function list(value: unknown): Fields[] {
  return Array.isArray(value) ? value.map(fields) : [];
}

function quickReplies(value: unknown): QuickReply[] {
  const replies = list(value).map(({ title, payload }) => ({ title: text(title), payload: text(payload) }));
  return replies.filter(({ title, payload }) => title !== "" && payload !== "");
}

function cardInput(value: unknown): CardInput | null {
  const { kind, label, length } = fields(value);
  if (text(kind) === "" || text(label) === "") return null;
  return { kind: text(kind), label: text(label), length: Number.isSafeInteger(length) ? Math.max(0, length as number) : 0 };
}

function qrCode(value: unknown): QrCode | null {
  const { size, path } = fields(value);
  const fits = Number.isSafeInteger(size) && (size as number) >= 21 && (size as number) <= 200;
  return fits && QR_PATH.test(text(path)) ? { size: size as number, path: text(path) } : null;
}

function card(message: Fields): Card | null {
  const { type, ref, title, lines, input, qr, key, expires_at, cancel } = message;
  if (!CARD_TYPES.includes(text(type)) || !REF.test(text(ref)) || text(title) === "") return null;
  return {
    type: type as CardType,
    ref: text(ref),
    title: text(title),
    lines: list(lines).map((line) => ({ label: text(line["label"]), value: text(line["value"]) })),
    input: cardInput(input),
    qr: qrCode(qr),
    key: text(key),
    expiresAt: Number.isFinite(expires_at) ? (expires_at as number) : null,
    cancel: cancel === true,
  };
}

export function parseBotMessage(data: unknown): BotMessage {
  const message = fields(data);
  const { seq, attachment } = message;
  return {
    seq: Number.isSafeInteger(seq) ? (seq as number) : null,
    text: text(message["text"]),
    replies: quickReplies(message["quick_replies"]),
    attachment: text(attachment) || text(fields(fields(attachment)["payload"])["src"]),
    card: card(message),
  };
}

/** `card_update`, or null when it is not one. */
export function parseCardUpdate(data: unknown): { ref: string; state: CardState } | null {
  const { ref, state } = fields(data);
  return CARD_STATES.includes(text(state)) ? { ref: text(ref), state: state as CardState } : null;
}

export function parseTyping(data: unknown): boolean {
  return fields(data)["on"] === true;
}

export function parseLevel(data: unknown): string {
  return text(fields(data)["level"]);
}

/** A refusal: of `chat_error`, of an acknowledgement, of an HTTP answer. */
export function parseRefusal(data: unknown): { code: string; text: string } {
  const { code, error, text: sentence } = fields(data);
  return { code: text(code) || text(error), text: text(sentence) };
}

export function isAccepted(acknowledgement: unknown): boolean {
  return fields(acknowledgement)["ok"] === true;
}
