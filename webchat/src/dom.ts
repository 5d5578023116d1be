/** Building elements without markup strings: nothing that arrives from outside is ever parsed as HTML. */

type Attributes = Readonly<Record<string, string | boolean>>;
type Child = Node | string;

const SVG = "http://www.w3.org/2000/svg";

function fill<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag: "svg" | "path", attributes: Attributes, ...children: Child[]): SVGElement {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function hiddenText(text: string): HTMLElement {
  return el("span", { class: "cc-hidden" }, text);
}

/** A button that does nothing but what its handler does: never a form's default. */
export function button(label: string, className: string, onClick: () => void): HTMLButtonElement {
  const element = el("button", { type: "button", class: className }, label);
  element.addEventListener("click", onClick);
  return element;
}

let lastId = 0;

/** An id for aria references; unique in the page because the widget's prefix is. */
export function freshId(kind: string): string {
  lastId += 1;
  return `confide-${kind}-${lastId}`;
}

const ICONS = {
  chat: "M4 5.5A2.5 2.5 0 0 1 6.5 3h11A2.5 2.5 0 0 1 20 5.5v8a2.5 2.5 0 0 1-2.5 2.5H11l-4.6 4.1c-.5.4-1.4.1-1.4-.6V16a2.5 2.5 0 0 1-1-2z",
  close: "M6.7 5.3 12 10.6l5.3-5.3 1.4 1.4-5.3 5.3 5.3 5.3-1.4 1.4-5.3-5.3-5.3 5.3-1.4-1.4 5.3-5.3-5.3-5.3z",
  send: "M3.4 20.6 21.5 12 3.4 3.4 3.3 10l11 2-11 2z",
  lock: "M12 2a5 5 0 0 1 5 5v2h.5A2.5 2.5 0 0 1 20 11.5v7a2.5 2.5 0 0 1-2.5 2.5h-11A2.5 2.5 0 0 1 4 18.5v-7A2.5 2.5 0 0 1 6.5 9H7V7a5 5 0 0 1 5-5zm0 2a3 3 0 0 0-3 3v2h6V7a3 3 0 0 0-3-3zm0 8.5a1.5 1.5 0 0 0-.8 2.8v2.2h1.6v-2.2a1.5 1.5 0 0 0-.8-2.8z",
} as const;

export function icon(name: keyof typeof ICONS): SVGElement {
  const attributes = { viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false", class: "cc-icon" };
  return svg("svg", attributes, svg("path", { d: ICONS[name] }));
}
