// The answer to a request, and why it is so.

import { copyButton, fold, h, jsonBlock, mark, say, sentence, textBlock } from "./dom.js";
import * as explanation from "./explanation.js";
import { post } from "./server.js";

/** All parts of an answer, the most important first. `tryIt` sends the request with other claims. */
export function answerParts(result, request, tryIt, bench) {
  return [
    verdict(result),
    explanation.notes(result.explanation),
    explanation.change(result.explanation, tryIt),
    explanation.policies(result.explanation),
    explanation.cedarRequest(result.explanation),
    kept(result),
    raw(result, request, bench),
  ];
}

const SYMBOLS = { allow: "✓", deny: "✕", warn: "!" };

function verdict({ exchange, verdict }) {
  const facts = [
    ["Status", h("b", { class: `tone-${verdict.tone}` }, String(exchange.status))],
    ["Reason", verdict.code ? [h("code", {}, verdict.code), " ", h("span", { class: "muted" }, verdict.meaning)] : null],
    ["Route", exchange.route ? h("code", {}, exchange.route) : null],
  ];
  return h(
    "section",
    { class: `verdict ${verdict.tone}`, "aria-label": "Verdict" },
    h(
      "h2",
      {},
      h("span", { class: "symbol", "aria-hidden": "true" }, SYMBOLS[verdict.tone]),
      h("strong", {}, `${verdict.word}: `),
      sentence(verdict.sentence),
    ),
    h(
      "dl",
      { class: "facts" },
      facts.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    ),
    exchange.body ? h("p", { class: "body" }, "The client gets ", h("code", {}, exchange.body)) : null,
  );
}

/** What API Gateway's cache did, and what the answer means for other requests. */
function kept({ cacheSentence, grant }) {
  const rows = (grant?.routes ?? []).map(({ route, decision, kept, isAsked, note }) =>
    h(
      "tr",
      { class: isAsked ? "this" : null },
      h("th", { scope: "row" }, h("code", {}, route), isAsked ? h("span", { class: "muted small" }, "  this request") : null),
      h("td", {}, mark(decision)),
      h("td", {}, kept === "none" ? h("span", { class: "muted" }, "asks again") : mark(kept), note ? h("div", { class: "muted small" }, sentence(note)) : null),
    ),
  );
  return h(
    "section",
    { class: "card", "aria-labelledby": "kept-title" },
    h("h3", { id: "kept-title" }, "What API Gateway keeps"),
    h("p", {}, sentence(cacheSentence)),
    grant
      ? [
          h("p", { class: "muted small" }, sentence(grant.breadth)),
          fold(
            "The answer on all routes",
            rows.length <= 12,
            h(
              "div",
              { class: "scroll", tabindex: "0", role: "region", "aria-label": "The answer on all routes" },
              h(
                "table",
                { class: "grant" },
                h("thead", {}, h("tr", {}, ["Route", "The policies decide", "The kept answer says"].map((name) => h("th", { scope: "col" }, name)))),
                h("tbody", {}, rows),
              ),
            ),
          ),
          grant.statements.length
            ? fold("Its statements", false, h("ul", { class: "small" }, grant.statements.map((text) => h("li", { class: "mono" }, text))))
            : null,
        ]
      : null,
  );
}

function raw({ exchange, curl, token, backend }, request, bench) {
  const save = h("button", { type: "button" }, "Save as test");
  save.addEventListener("click", async () => {
    save.disabled = true;
    try {
      const { file, name } = await post("save-test", request);
      say(`Added “${name}” to \`${file}\`.`, "allow");
    } catch (error) {
      say(`${error.message} ${error.hint ?? ""}`, "deny");
    } finally {
      save.disabled = false;
    }
  });
  const canSave = request.token === undefined && !bench.state.isBundle;
  return h(
    "section",
    { class: "card" },
    h(
      "div",
      { class: "row" },
      copyButton("Copy as curl", () => curl),
      token ? copyButton("Copy the token", () => token) : null,
      canSave ? save : null,
    ),
    fold(
      "Event, answers and log line",
      false,
      h(
        "div",
        { class: "stack" },
        exchange.event ? jsonBlock("The event that the authorizer gets, without the token", exchange.event) : null,
        exchange.answer ? jsonBlock("Its answer", exchange.answer) : null,
        backend ? textBlock("What the backend answers", backend) : null,
        exchange.log ? jsonBlock("The line of the decision log", exchange.log) : null,
      ),
    ),
  );
}
