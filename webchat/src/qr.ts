/** The enrolment QR code, drawn from the card's path, and the key beside it for those who cannot scan. */
import { button, el, hiddenText, svg } from "./dom";
import type { QrCode } from "./protocol";
import { strings } from "./strings";

function picture({ size, path }: QrCode): Element {
  // Dark on light in every colour scheme, or scanners fail; the quiet zone is part of the path's grid.
  const box = `0 0 ${size} ${size}`;
  return svg(
    "svg",
    { class: "cc-qr", viewBox: box, role: "img", "aria-label": strings.qrLabel, "shape-rendering": "crispEdges" },
    svg("path", { class: "cc-qr-light", d: `M0 0h${size}v${size}H0z` }),
    svg("path", { class: "cc-qr-dark", d: path }),
  );
}

function keyRow(key: string, announce: (text: string) => void): HTMLElement {
  const copy = button(strings.copyKey, "cc-button cc-quiet", () => {
    const done = (): void => announce(strings.copied);
    const blocked = (): void => announce(strings.notCopied);
    // Without a secure context there is no clipboard at all.
    navigator.clipboard?.writeText(key.replace(/\s/g, "")).then(done, blocked) ?? blocked();
  });
  return el("div", { class: "cc-key" }, el("code", {}, hiddenText(`${strings.key}: `), key), copy);
}

export function enrolment(qr: QrCode | null, key: string, announce: (text: string) => void): HTMLElement {
  const box = el("div", { class: "cc-enrol" });
  if (qr) box.append(picture(qr), el("p", { class: "cc-note" }, strings.scan));
  if (key !== "") box.append(keyRow(key, announce));
  return box;
}
