/** The demo bank's page: its own sign-in, handed on to the chat as a signed login token. A real host site has its own. */
import type { ConfideChat } from "./confide-chat";
import { get, post, type Answer } from "./http";

const strings = {
  away: "We can't reach the bank right now. Please try again.",
  incomplete: "Type your customer number and your password.",
  signIn: "Sign in",
  signedIn: "Signed in",
  signedInAs: (name: string): string => `Signed in as ${name}`,
  signOutFailed: "Signing out didn't work. Please try again.",
} as const;

function byId<E extends HTMLElement>(id: string): E {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`no #${id} in this page`);
  return element as E;
}

function text({ body }: Answer, name: string): string {
  const value = body[name];
  return typeof value === "string" ? value : "";
}

class Page {
  readonly #chat = document.querySelector<ConfideChat>("confide-chat")!;
  readonly #form = byId<HTMLFormElement>("sign-in-form");
  readonly #number = byId<HTMLInputElement>("customer-number");
  readonly #password = byId<HTMLInputElement>("password");
  readonly #error = byId("sign-in-error");
  readonly #panel = byId("signed-in");
  readonly #title = byId("signed-in-title");
  readonly #top = byId("top-sign-in");
  #fromChat = false;
  #busy = false;

  start(): void {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#once(() => this.#signIn());
    });
    byId("sign-out").addEventListener("click", () => void this.#once(() => this.#signOut()));
    this.#listenToChat();
    void get("/chat/session").then((answer) => this.#showLevel(text(answer, "level")));
  }

  #listenToChat(): void {
    document.addEventListener("confide:sign-in", () => this.#askToSignIn());
    document.addEventListener("confide:session", (event) => {
      this.#showLevel((event as CustomEvent<{ level: string }>).detail.level);
    });
    for (const opener of document.querySelectorAll("[data-open-chat]")) opener.addEventListener("click", () => this.#chat.open());
    for (const asker of document.querySelectorAll<HTMLElement>("[data-ask]")) {
      asker.addEventListener("click", () => this.#chat.say(asker.dataset["ask"] ?? ""));
    }
  }

  #askToSignIn(): void {
    this.#fromChat = true;
    this.#chat.close();
    byId("sign-in").scrollIntoView({ block: "center" });
    if (this.#form.hidden) this.#title.focus();
    else this.#number.focus({ preventScroll: true });
  }

  async #once(act: () => Promise<void>): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    await act().finally(() => (this.#busy = false));
  }

  async #signIn(): Promise<void> {
    const [customer_number, password] = [this.#number.value.trim(), this.#password.value];
    if (customer_number === "" || password === "") return this.#refuse(strings.incomplete, customer_number === "");
    this.#password.value = "";
    const login = await post("/bank/sign-in", { customer_number, password });
    if (login.status !== 200) return this.#refuse(text(login, "text") || strings.away);
    // The chat's cookie is about to change: its socket must not meet the old one half-way.
    this.#chat.suspend();
    const session = await post("/chat/sign-in", { login_token: text(login, "login_token") });
    const done = session.status === 200;
    this.#chat.resume({ forget: done && session.body["kept"] !== true, level: text(session, "level") });
    if (!done) return this.#refuse(text(session, "text") || strings.away);
    this.#show(text(login, "name"));
    this.#title.focus();
    if (this.#fromChat) this.#chat.open();
    this.#fromChat = false;
  }

  #refuse(reason: string, inNumber = false): void {
    this.#error.textContent = reason;
    (inNumber ? this.#number : this.#password).focus();
  }

  async #signOut(): Promise<void> {
    this.#chat.suspend();
    const answer = await post("/chat/sign-out", {});
    const done = answer.status === 200;
    this.#chat.resume({ forget: done, level: done ? "anonymous" : "" });
    byId("sign-out-error").textContent = done ? "" : strings.signOutFailed;
    if (!done) return;
    this.#showLevel("anonymous");
    this.#number.focus();
  }

  #showLevel(level: string): void {
    if (level !== "" && level !== "anonymous") return this.#show("");
    this.#form.hidden = false;
    this.#panel.hidden = true;
    this.#title.textContent = strings.signedIn; // no name stays behind in the page
    this.#top.textContent = strings.signIn;
  }

  /** `name` is empty when somebody signed in in another tab or before a reload: only the bank's sign-in tells it. */
  #show(name: string): void {
    this.#form.reset();
    this.#error.textContent = "";
    this.#form.hidden = true;
    this.#panel.hidden = false;
    this.#title.textContent = name === "" ? strings.signedIn : strings.signedInAs(name);
    this.#top.textContent = name === "" ? strings.signedIn : name;
  }
}

new Page().start();
