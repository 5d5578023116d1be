/** Calls to our own origin. A one-time code travels here and nowhere else: never in a message, an address or storage. */

export interface Answer {
  /** HTTP status; 0 when there was no answer, so that it is not known whether the call arrived. */
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

const TIMEOUT = 20_000;
const NO_ANSWER: Answer = { status: 0, body: {} };

/** Milliseconds that the server's clock is ahead of this device's: many phones are minutes off, and a countdown by such a clock lies. */
let serverAhead = 0;

/** Now by the server's clock, in seconds since 1970, as well as it is known. */
export function serverNow(): number {
  return (Date.now() + serverAhead) / 1000;
}

function learnClock(response: Response): void {
  const date = Date.parse(response.headers.get("date") ?? "");
  const ahead = date - Date.now();
  // The header has whole seconds; less than two is noise.
  if (!Number.isNaN(ahead)) serverAhead = Math.abs(ahead) < 2000 ? 0 : ahead;
}

async function call(path: string, init: RequestInit): Promise<Answer> {
  try {
    const response = await fetch(path, {
      ...init,
      credentials: "same-origin",
      mode: "same-origin",
      cache: "no-store",
      redirect: "error",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(TIMEOUT),
    });
    learnClock(response);
    const body: unknown = await response.json().catch(() => null);
    return { status: response.status, body: typeof body === "object" && body !== null ? (body as Answer["body"]) : {} };
  } catch {
    return NO_ANSWER;
  }
}

export function post(path: string, body: object): Promise<Answer> {
  return call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export function get(path: string): Promise<Answer> {
  return call(path, { method: "GET" });
}
