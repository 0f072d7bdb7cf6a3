// An explanation: what would allow the request, what each policy says, and the request as the policies see it.

import { highlighted } from "./cedar.js";
import { fold, h, many, sentence } from "./dom.js";

/** The smallest change that would allow the request. `tryIt` sends the request with these claims. */
export function change(report, tryIt) {
  if (!report?.change) {
    return null;
  }
  return h(
    "section",
    { class: "card change", "aria-labelledby": "change-title" },
    h("h3", { id: "change-title" }, "What would allow it"),
    h("ol", {}, report.change.edits.map((edit) => h("li", {}, sentence(edit)))),
    h("button", { type: "button", onclick: () => tryIt(report.change.claims) }, "Try it with this change"),
  );
}

/** What the policies say. */
export function policies(report) {
  if (!report?.candidates?.length) {
    return null;
  }
  const [near, others] = partition(report.candidates, (candidate) => isNear(candidate, report));
  const more = report.leftOut
    ? h("p", { class: "muted small" }, `${report.leftOut} more are about this action and resource, and further from it.`)
    : null;
  return h(
    "section",
    { class: "card", "aria-labelledby": "policies-title" },
    h(
      "div",
      { class: "row spread heading" },
      h("h3", { id: "policies-title" }, "What the policies say"),
      h("span", { class: "muted small" }, "✓ met   ✕ not met   – not evaluated"),
    ),
    near.map((candidate) => policy(candidate, report.policies)),
    others.length
      ? fold(`${many(others.length, "other policy", "other policies")} for this route, of no effect here`, near.length === 0, others.map((candidate) => policy(candidate, report.policies)))
      : null,
    more,
  );
}

/** Whether a policy decided, failed, or would have to apply. The others only show that they were looked at. */
function isNear({ id, effect, verdict }, { policies, reason }) {
  return policies.includes(id) || verdict === "error" || (reason === "no-matching-permit" && effect === "permit");
}

function partition(all, is) {
  return [all.filter(is), all.filter((one) => !is(one))];
}

function policy({ id, effect, template, position, verdict, clauses }, determining) {
  const decides = determining.includes(id);
  const words = {
    applies: effect === "permit" ? "applies: it permits" : "applies: it forbids",
    "does-not-apply": "does not apply",
    error: "cannot be evaluated",
  };
  const tone = verdict === "applies" ? (effect === "permit" ? "tone-allow" : "tone-deny") : verdict === "error" ? "tone-warn" : "muted";
  return h(
    "article",
    { class: `policy ${effect} ${verdict}`, "aria-label": `Policy ${id}` },
    h(
      "header",
      {},
      h("span", { class: `tag ${effect}` }, effect),
      h("span", { class: "id mono" }, id),
      h("span", { class: `small ${tone}` }, words[verdict], decides ? h("b", {}, ", and decides") : null),
      template ? h("span", { class: "small muted" }, "from the template ", h("code", {}, template)) : null,
      position ? place(position) : null,
    ),
    h("div", { class: "clauses", role: "list" }, clauses.map(clause)),
  );
}

/** A link to a place in the files of the store. */
export function place({ file, line }) {
  const query = new URLSearchParams({ file, ...(line ? { line } : {}) });
  return h("a", { class: "place mono", href: `#policies?${query}` }, line ? `${file}:${line}` : file);
}

const SIGNS = {
  met: ["✓", "met"],
  "not-met": ["✕", "not met"],
  error: ["!", "error"],
  "not-evaluated": ["–", "not evaluated"],
};

function clause({ kind, text, result, error, values }) {
  const [sign, word] = SIGNS[result];
  const isScope = ["principal", "action", "resource"].includes(kind);
  const saw = (values ?? []).map(({ path, value }) =>
    h(
      "div",
      { class: "saw" },
      `${path} `,
      value === null || value === undefined
        ? h("span", { class: "none" }, "is missing")
        : ["is ", h("b", {}, value)],
    ),
  );
  return h(
    "div",
    { class: `clause ${result}${isScope ? " scope" : ""}`, role: "listitem" },
    h("span", { class: "sign" }, h("span", { "aria-hidden": "true" }, sign), h("span", { class: "visually-hidden" }, word)),
    isScope ? null : h("span", { class: "kind" }, kind),
    h("code", {}, highlighted(text)),
    error ? h("div", { class: "saw tone-deny" }, error) : null,
    saw,
  );
}

/** The request as the policies see it. */
export function cedarRequest(report) {
  if (!report?.request) {
    return null;
  }
  const { principal, action, resource, context } = report.request;
  return h(
    "section",
    { class: "card" },
    fold(
      "The request as Cedar sees it",
      false,
      h(
        "dl",
        { class: "entity" },
        h("dt", {}, "principal"),
        entity(principal),
        h("dt", {}, "action"),
        h("dd", {}, highlighted(action)),
        h("dt", {}, "resource"),
        entity(resource),
        h("dt", {}, "context"),
        h("dd", {}, json(context, "context")),
      ),
    ),
  );
}

function entity({ uid, ancestors, attributes }) {
  const hasAttributes = attributes && Object.keys(attributes).length > 0;
  return h(
    "dd",
    {},
    highlighted(uid),
    ancestors.map((ancestor) => h("span", { class: "in" }, "in ", highlighted(ancestor))),
    hasAttributes ? json(attributes, "attributes") : null,
  );
}

function json(value, label) {
  return h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": label }, JSON.stringify(value, null, 2));
}

/** What else helps. */
export function notes(report) {
  return report?.notes?.length
    ? h("ul", { class: "notice" }, report.notes.map((note) => h("li", {}, sentence(note))))
    : null;
}
