/** The demo mailbox: the mails the bank would have sent to the signed-in customer. */
import { el } from "./dom";
import { post } from "./http";

const strings = {
  looking: "Looking…",
  none: "No mail yet.",
  signIn: "Sign in on the bank's page first; then your mail shows here.",
  away: "The mailbox can't be reached right now.",
  count: (count: number): string => (count === 1 ? "1 mail" : `${count} mails`),
} as const;

interface Mail {
  readonly at: number;
  readonly subject: string;
  readonly body: string;
}

/** `at` is seconds since 1970, or a date as text. */
function parseMail(value: unknown): Mail {
  const { at, subject, body } = Object(value) as Record<string, unknown>;
  const time = typeof at === "number" ? at * 1000 : Date.parse(String(at));
  return { at: time, subject: String(subject ?? ""), body: String(body ?? "") };
}

function mailItem({ at, subject, body }: Mail): HTMLElement {
  const date = new Date(at);
  const known = !Number.isNaN(date.getTime());
  const when = known ? [el("time", { datetime: date.toISOString() }, date.toLocaleString())] : [];
  return el("li", { class: "mail" }, el("h2", {}, subject), ...when, el("p", {}, body));
}

async function show(list: HTMLElement, state: HTMLElement): Promise<void> {
  state.textContent = strings.looking;
  const { status, body } = await post("/demo/outbox", {});
  const mails = Array.isArray(body["mails"]) ? body["mails"].map(parseMail) : [];
  list.replaceChildren(...mails.sort((a, b) => b.at - a.at).map(mailItem));
  const refused = status === 401 || status === 403;
  if (status !== 200) state.textContent = refused ? strings.signIn : strings.away;
  else state.textContent = mails.length === 0 ? strings.none : strings.count(mails.length);
}

const list = document.getElementById("mails");
const state = document.getElementById("mailbox-state");
if (list && state) {
  document.getElementById("refresh")?.addEventListener("click", () => void show(list, state));
  void show(list, state);
}
