/** Links in messages: an allow-list of schemes, so that no `javascript:` or `data:` address is ever made clickable. */
import { el, hiddenText } from "./dom";
import { strings } from "./strings";

const SAFE_SCHEMES: ReadonlySet<string> = new Set(["https:", "mailto:"]);
const ADDRESS = /(?:https:\/\/|mailto:)[^\s<>"'`]+/g;
const TRAILING = /[.,;:!?)\]}»”’]+$/;

/** The normalised address, or null when it is not one of ours to open. */
export function safeUrl(candidate: string): string | null {
  if (!URL.canParse(candidate)) return null;
  const url = new URL(candidate);
  // A user name in front of the host ("https://bank.example@evil.example") only serves to mislead.
  if (!SAFE_SCHEMES.has(url.protocol) || url.username !== "" || url.password !== "") return null;
  return url.href;
}

export function link(address: string, label: string): HTMLElement | null {
  const href = safeUrl(address);
  if (href === null) return null;
  const anchor = el("a", { href, rel: "noopener noreferrer", class: "cc-link" }, label);
  if (href.startsWith("https:")) {
    anchor.target = "_blank";
    anchor.append(hiddenText(` (${strings.opensInTab})`));
  }
  return anchor;
}

/** The text with its addresses made links; the label is always the address itself. */
export function linkify(text: string): (Node | string)[] {
  const parts: (Node | string)[] = [];
  let from = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = match[0].replace(TRAILING, "");
    const anchor = link(address, address);
    if (anchor === null) continue;
    parts.push(text.slice(from, match.index), anchor);
    from = match.index + address.length;
  }
  parts.push(text.slice(from));
  return parts;
}
