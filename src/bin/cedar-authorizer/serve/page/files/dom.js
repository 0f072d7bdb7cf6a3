// Elements. Data goes into the page as text only, never as HTML.

/** A text without characters that would show it as another text than it is: they turn its direction, or are not seen. */
export function visible(text) {
  return text.replace(UNSEEN, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}

const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** What goes into an element. Texts are shown as they are; a text node goes in as it is. */
const contents = (children) =>
  children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (typeof child === "string" ? visible(child) : child));

/** Makes an element. `on…` properties are listeners; true and false set or leave out an attribute. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...contents(children));
  return element;
}

/** A sentence in which `backticks` mark code. */
export function sentence(text) {
  return text.split("`").map((part, index) => (index % 2 === 1 ? h("code", {}, part) : part));
}

/** Replaces what an element contains. */
export function fill(element, ...children) {
  element.replaceChildren(...contents(children));
  return element;
}

/** A part that can be folded away. */
export function fold(title, isOpen, ...children) {
  return h("details", { class: "fold", open: isOpen }, h("summary", {}, title), ...children);
}

/** A button that copies a text. `text` is a function, so that long texts are only made when they are wanted. */
export function copyButton(label, text) {
  const button = h("button", { type: "button", class: "quiet" }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      say("Copied.");
    } catch {
      say("The browser does not let this page copy. Select the text and copy it yourself.");
    }
  });
  return button;
}

/** JSON with a button that copies it. */
export function jsonBlock(title, value) {
  return textBlock(title, JSON.stringify(value, null, 2));
}

/** A text with a button that copies it. */
export function textBlock(title, text) {
  return h(
    "div",
    { class: "raw" },
    h("div", { class: "raw-head" }, h("p", { class: "raw-title" }, title), copyButton("Copy", () => text)),
    h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": title }, text),
  );
}

/** Says something for a moment, to screen readers too. */
export function say(text, tone = "plain") {
  const toast = h("p", { class: `toast ${tone}` }, sentence(text));
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), tone === "plain" ? 4000 : 9000);
}

/** Tells those who do not see the page what has come. The page itself is too long to be read out. */
export function speak(text) {
  document.getElementById("spoken").textContent = text.replaceAll("`", "");
}

/** A count with its noun. */
export function many(count, one, several = `${one}s`) {
  return `${count} ${count === 1 ? one : several}`;
}

/** A decision as a mark and a word, so that its colour is never the only sign. */
export function mark(decision) {
  const [symbol, word] = MARKS[decision] ?? ["?", decision];
  return h("span", { class: `mark ${decision}` }, h("span", { class: "symbol", "aria-hidden": "true" }, symbol), word);
}

const MARKS = {
  allow: ["✓", "allow"],
  deny: ["✕", "deny"],
  unauthorized: ["!", "refused"],
  fault: ["!", "fault"],
};

/** The failure of a request to the server, for people. */
export function failure(error) {
  return h(
    "div",
    { class: "notice deny", role: "alert" },
    h("p", {}, sentence(error.message)),
    error.hint ? h("p", { class: "muted" }, sentence(error.hint)) : null,
  );
}
