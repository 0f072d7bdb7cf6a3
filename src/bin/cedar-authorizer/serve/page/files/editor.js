// An editor of one text: a field whose own text is transparent, and behind it the same text with colours.

import { highlighted } from "./cedar.js";
import { fill, h } from "./dom.js";

/** Makes an editor. `describedBy` is the id of what says more of the text. */
export function textEditor(id, describedBy) {
  const numbers = h("div", { class: "numbers", "aria-hidden": "true" });
  const overlay = h("pre", { "aria-hidden": "true" });
  const text = h("textarea", { id, spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off", "aria-describedby": describedBy });
  const element = h("div", { class: "editor" }, numbers, h("div", { class: "area" }, overlay, text));
  text.addEventListener("scroll", sync);

  /** Draws the text behind the transparent one of the field, with what is wrong underlined. */
  function draw(path, findings) {
    const source = text.value;
    const found = findings.filter(({ position }) => position.file === path && position.line);
    const language = languageOf(path);
    // The letters lie exactly behind those of the field, so none is written in another way.
    const node = (part) => document.createTextNode(part);
    const code = (part) => (language && part.length < MOST_CHARACTERS ? highlighted(part, language, node) : node(part));
    const lines = source.split("\n");
    const byLine = new Map();
    for (const { severity, position } of found) {
      if (byLine.get(position.line) !== "error") {
        byLine.set(position.line, severity);
      }
    }
    fill(
      numbers,
      lines.map((_, index) => {
        const severity = byLine.get(index + 1);
        return [severity ? h("span", { class: severity }, String(index + 1)) : String(index + 1), "\n"];
      }),
    );
    const starts = [];
    lines.reduce((start, line) => (starts.push(start), start + line.length + 1), 0);
    const offset = (line, column) => Math.min((starts[line - 1] ?? source.length) + inUnits(lines[line - 1] ?? "", column), source.length);
    const ranges = found
      .map(({ severity, position }) => {
        const { line, column = 1, endLine = line, endColumn } = position;
        const start = offset(line, column);
        const end = endColumn ? offset(endLine, endColumn) : (starts[line] ?? source.length + 1) - 1;
        // An underline over many lines helps nobody.
        const stop = Math.min(end, (starts[line] ?? source.length + 1) - 1);
        return { severity, start, end: Math.max(stop, start + 1) };
      })
      .sort((a, b) => a.start - b.start);
    const parts = [];
    let at = 0;
    for (const { severity, start, end } of ranges) {
      if (start < at) {
        continue;
      }
      parts.push(code(source.slice(at, start)), h("span", { class: `wrong ${severity}` }, code(source.slice(start, end))));
      at = end;
    }
    parts.push(code(source.slice(at)), "\n");
    fill(overlay, parts);
    sync();
  }

  function sync() {
    overlay.scrollTop = text.scrollTop;
    overlay.scrollLeft = text.scrollLeft;
    numbers.scrollTop = text.scrollTop;
  }

  /** Puts the caret at a place, and shows it. */
  function goTo(line, column) {
    const lines = text.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, line) => sum + line.length + 1, 0) + inUnits(lines[line - 1] ?? "", column);
    text.focus();
    text.setSelectionRange(start, start);
    const height = parseFloat(getComputedStyle(text).lineHeight);
    text.scrollTop = Math.max(0, (line - 4) * height);
    sync();
  }

  return { element, text, draw, goTo };
}

/** Longer texts have no colours: to make them takes longer than a writer waits. */
const MOST_CHARACTERS = 200000;

const languageOf = (path) => (path.endsWith(".cedar") ? "policy" : path.endsWith(".cedarschema") ? "schema" : null);

/** Columns count characters, and JavaScript counts UTF-16 units. */
function inUnits(line, column) {
  return [...line].slice(0, column - 1).join("").length;
}
