// What an edit changes: findings, answers and tests.

import { fill, fold, h, many, mark, sentence, speak } from "./dom.js";

/** Draws the effects. `openAt` shows a place of a file. */
export function drawEffects(element, { findings, cells, tests, notes }, { hasEdits, files, openAt }) {
  speak([findings.length ? many(findings.length, "finding") : "no findings", hasChanges(cells) ? `${many(cells.length, "answer")} would change` : "", tests?.failed.length ? `${many(tests.failed.length, "test")} would fail` : ""].filter(Boolean).join(", "));
  const grave = findings.filter(({ severity }) => severity === "error");
  const light = findings.filter(({ severity }) => severity !== "error");
  const errors = grave.length;
  const row = (found) => finding(found, files, openAt);
  fill(
    element,
    h(
      "section",
      { class: "card", "aria-labelledby": "findings-title" },
      h("h3", { id: "findings-title" }, errors ? ["✕ ", many(errors, "error")] : findings.length ? "✓ No errors" : "✓ No findings"),
      grave.slice(0, MOST).map(row),
      grave.length > MOST ? h("p", { class: "muted" }, `and ${grave.length - MOST} more`) : null,
      light.length
        ? fold(many(light.length, "warning"), grave.length === 0 && !hasEdits, light.slice(0, MOST).map(row))
        : null,
      errors && hasEdits ? h("p", { class: "muted small" }, "With errors, the last good policies stay in force.") : null,
    ),
    cells && hasEdits ? changedCells(cells) : null,
    tests && (hasEdits || tests.failed.length) ? changedTests(tests, hasEdits) : null,
    (notes ?? []).map((note) => h("p", { class: "notice warn" }, sentence(note))),
    hasEdits || errors
      ? null
      : h("p", { class: "muted" }, "Edit a file to see, before anything is saved, who would gain or lose access and which tests would fail."),
  );
}

function finding({ severity, code, position, message, hint }, files, openAt) {
  const file = files.find(({ path }) => path === position.file);
  const where = position.line ? `${position.file}:${position.line}:${position.column ?? 1}` : position.file;
  return h(
    "div",
    { class: "finding" },
    h("p", {}, h("span", { class: `tag ${severity === "error" ? "forbid" : "tone-warn"}` }, severity), " ", sentence(message)),
    hint ? h("p", { class: "muted small" }, sentence(hint)) : null,
    h(
      "p",
      { class: "small" },
      file
        ? h("button", { type: "button", class: "quiet mono", onclick: () => openAt(file, position) }, where)
        : h("code", {}, where),
      h("span", { class: "muted" }, ` ${code}`),
    ),
  );
}

function changedCells(cells) {
  return h(
    "section",
    { class: "card", "aria-labelledby": "cells-title" },
    h("h3", { id: "cells-title" }, cells.length ? `${many(cells.length, "answer")} would change` : "No answer would change"),
    cells.length ? null : h("p", { class: "muted small" }, "Every persona may call the same routes as before."),
    h(
      "ul",
      {},
      cells.slice(0, 100).map(({ route, caller, before, after, because }) =>
        h(
          "li",
          {},
          h("b", {}, caller),
          " ",
          h("code", {}, route),
          h("div", {}, before ? mark(before) : "new", h("span", { class: "arrow" }, "  →  "), after ? mark(after) : "gone"),
          because.length ? h("div", { class: "muted small" }, sentence(because.join(", "))) : null,
        ),
      ),
    ),
  );
}

function changedTests({ passed, failed, newlyFailed, mended }, hasEdits) {
  const title = failed.length ? `✕ ${many(failed.length, "test")} would fail` : `✓ All ${many(passed, "test")} pass`;
  const row = (test, text) =>
    h("li", {}, h("b", {}, test.name), " ", h("span", { class: "muted small" }, text), test.differences.map((line) => h("div", { class: "small" }, sentence(line))), h("div", { class: "muted small mono" }, `${test.file}:${test.line}`));
  return h(
    "section",
    { class: "card", "aria-labelledby": "tests-title" },
    h("h3", { id: "tests-title" }, hasEdits ? title : title.replace("would fail", "fail")),
    h(
      "ul",
      {},
      failed.slice(0, 50).map((test) => row(test, newlyFailed.includes(test.name) ? "because of this edit" : "already fails")),
    ),
    mended.length ? h("p", { class: "small" }, `${many(mended.length, "test")} that ${mended.length === 1 ? "fails" : "fail"} now would pass.`) : null,
  );
}

const hasChanges = (cells) => cells && cells.length > 0;

/** More findings than this are not shown at once. */
const MOST = 50;
