// Who may what: every route for every caller.

import { failure, fill, h, many, mark } from "./dom.js";
import { get } from "./server.js";

export function matrixView(panel, bench) {
  const title = h("h2", {}, "Who may call what");
  const table = h("div", { class: "matrix", tabindex: "0", role: "region", "aria-label": "Who may call what" });
  const note = h("p", { class: "muted small" });
  const search = h("input", { type: "search", id: "matrix-filter", placeholder: "/pets", autocomplete: "off" });
  const options = [["persona", "Personas"], ["group", "Groups"]].map(([value, text]) =>
    h("label", {}, h("input", { type: "radio", name: "by", value, onchange: () => choose(value) }), text),
  );
  fill(
    panel,
    h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row spread" },
        h("div", {}, title, h("p", { class: "muted" }, "Choose a cell to see why.")),
        h(
          "div",
          { class: "row" },
          h("div", { class: "row" }, h("label", { for: "matrix-filter" }, "Routes with"), h("div", {}, search)),
          h("div", { class: "switch", role: "radiogroup", "aria-label": "Callers" }, options),
        ),
      ),
      note,
      table,
    ),
  );
  let by = null;
  let known = null;
  let isStale = true;
  let latest = 0;
  let timer = null;
  /** How many routes the server left out, and the text that it looked for in the names of the others. */
  let leftOut = 0;
  let asked = "";

  function choose(value) {
    history.replaceState(null, "", `#matrix?by=${value}`);
    by = value;
    known = null;
    load();
  }

  async function load() {
    isStale = false;
    clearTimeout(timer);
    const mine = ++latest;
    if (!known) {
      fill(table, h("p", { class: "empty" }, "Deciding …"));
    }
    const text = leftOut || asked ? search.value.trim() : "";
    try {
      const report = await get(`matrix?${new URLSearchParams({ by, with: text })}`);
      if (mine === latest) {
        [asked, leftOut] = [text, report.leftOut];
        draw(report.matrix, known);
        known = report.matrix;
      }
    } catch (error) {
      if (mine === latest) {
        fill(table, failure(error));
      }
    }
  }

  function draw(matrix, before) {
    const wanted = search.value.trim().toLowerCase();
    const rows = matrix.rows.filter(({ route }) => route.toLowerCase().includes(wanted));
    const old = new Map((before?.rows ?? []).map((row) => [row.route, row]));
    fill(
      table,
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "route"), matrix.callers.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, rows.map((row) => h("tr", {}, head(row), matrix.callers.map((name) => cell(row, name, matrix, old.get(row.route)))))),
      ),
    );
    if (rows.length === 0) {
      fill(table, h("p", { class: "empty" }, matrix.rows.length ? "No route has this in its name." : "The store has no routes."));
    }
    if (matrix.callers.length === 0) {
      fill(table, h("p", { class: "empty" }, by === "persona" ? ["The store has no personas. ", h("code", {}, "personas.toml"), " names them; the groups are there without it."] : "The policies name no groups."));
    }
    fill(
      note,
      leftOut ? `${many(leftOut, "more route")} ${leftOut === 1 ? "is" : "are"} not shown: there are too many cells. Name some in “Routes with”${by === "persona" ? ", or choose Groups" : ""}. ` : null,
      rows.some(({ reads }) => reads.length)
        ? "* The policies read more than the token here, so other requests may be decided otherwise. Try such a request to see."
        : null,
    );
  }

  function head({ route, reads }) {
    const [verb, ...path] = route.split(" ");
    return h(
      "th",
      { scope: "row" },
      h("code", {}, h("span", { class: "verb" }, verb), " ", path.join(" ")),
      reads.length ? h("span", { class: "reads" }, `* depends on ${reads.join(", ")}`) : null,
    );
  }

  function cell(row, name, matrix, before) {
    const { decision, reason, policies } = row.cells[name];
    const isChanged = before?.cells[name] && before.cells[name].decision !== decision;
    const why = policies.length ? policies.join(", ") : reason;
    const query = row.request && address(name, matrix.claims[name], row.request);
    const content = [mark(decision), row.reads.length ? "*" : null];
    const label = `${name}, ${row.route}: ${decision}, ${why}`;
    return h(
      "td",
      { class: `${decision}${isChanged ? " changed" : ""}` },
      query ? h("a", { href: `#try?${query}`, title: why, "aria-label": label }, content) : h("span", { title: why }, content),
    );
  }

  function address(name, claims, request) {
    const isPersona = bench.state.personas.some((persona) => persona.name === name) && by === "persona";
    return new URLSearchParams(isPersona ? { as: name, ...request } : { claims: JSON.stringify(claims), ...request });
  }

  search.addEventListener("input", () => {
    if (leftOut || asked) {
      clearTimeout(timer);
      timer = setTimeout(load, 250);
    } else if (known) {
      draw(known, known);
    }
  });
  return {
    open(parameters) {
      const wanted = parameters.get("by") ?? by ?? (bench.state.personas.length ? "persona" : "group");
      const input = options.map((label) => label.querySelector("input")).find((input) => input.value === wanted);
      if (input) {
        input.checked = true;
        if (by !== wanted || isStale) {
          if (by !== wanted) {
            known = null;
          }
          by = wanted;
          load();
        }
      }
    },
    refresh() {
      isStale = true;
      if (!panel.hidden) {
        load();
      }
    },
  };
}
