// Traffic: each request as it comes, and what API Gateway keeps.

import { fill, h, jsonBlock, many, sentence } from "./dom.js";
import { keptAnswers } from "./kept.js";

/** More rows than this are not kept: the server has no more either. */
const MOST = 500;

export function trafficView(panel, bench) {
  const search = h("input", { type: "search", id: "traffic-filter", placeholder: "path, person, policy", autocomplete: "off" });
  const status = h(
    "select",
    { id: "traffic-status" },
    [["", "any status"], ["2", "2xx"], ["3", "3xx"], ["401", "401"], ["403", "403"], ["4", "4xx"], ["5", "5xx"]].map(([value, text]) => h("option", { value }, text)),
  );
  const denied = chip("only denied");
  const hits = chip("only cache hits");
  const count = h("span", { class: "muted small", role: "status" });
  const body = h("tbody");
  const table = h(
    "table",
    {},
    h("thead", {}, h("tr", {}, ["Time", "Status", "Who", "Request", "Decision", "Cache", "Took", "Details"].map((name) => h("th", { scope: "col" }, name === "Details" ? h("span", { class: "visually-hidden" }, name) : name)))),
    body,
  );
  const empty = h("p", { class: "empty" });
  const cache = keptAnswers(panel, who);
  fill(
    panel,
    h(
      "div",
      { class: "traffic" },
      h(
        "div",
        { class: "stack" },
        h(
          "div",
          { class: "row spread" },
          h("h2", {}, "Traffic"),
          count,
        ),
        h(
          "div",
          { class: "filters", role: "search", "aria-label": "Filter the traffic" },
          h("label", { for: "traffic-filter" }, "With"),
          h("div", { class: "grow" }, search),
          h("label", { for: "traffic-status", class: "visually-hidden" }, "Status"),
          h("div", {}, status),
          denied.element,
          hits.element,
        ),
        h("div", { class: "exchanges", tabindex: "0", role: "region", "aria-label": "Requests" }, table, empty),
      ),
      cache.element,
    ),
  );

  /** What happened, the newest first: exchanges and changes of the store. */
  let rows = [];
  let pending = null;

  function add(row) {
    if (row.exchange && rows.some(({ exchange }) => exchange?.id === row.exchange.id)) {
      return;
    }
    rows = [row, ...rows].slice(0, MOST);
    schedule();
  }

  /** Draws at most once a frame, however fast requests come. */
  function schedule() {
    pending ??= requestAnimationFrame(() => {
      pending = null;
      draw();
      if (!panel.hidden) {
        cache.loadSoon();
      }
    });
  }

  function draw() {
    const isShown = rows.filter(isWanted);
    const known = new Map([...body.children].map((element) => [element.dataset.key, element]));
    const opened = new Map([...body.querySelectorAll("tr.details")].map((element) => [element.dataset.of, element]));
    fill(
      body,
      isShown.map((row) => {
        const element = known.get(row.key) ?? (row.exchange ? exchangeRow(row) : eventRow(row));
        return [element, opened.get(row.key) ?? null];
      }),
    );
    count.textContent = rows.length === isShown.length ? many(rows.length, "entry", "entries") : `${isShown.length} of ${many(rows.length, "entry", "entries")}`;
    empty.hidden = isShown.length > 0;
    fill(
      empty,
      rows.length
        ? "Nothing passes the filters."
        : ["No request yet. Send one in Try, or from a terminal: ", h("code", {}, `curl ${location.origin}/`)],
    );
  }

  function isWanted({ exchange, event }) {
    const isFiltered = search.value.trim() || status.value || denied.input.checked || hits.input.checked;
    if (event) {
      return !isFiltered;
    }
    const { effect, cache, decision } = exchange;
    const words = [exchange.method, exchange.target, exchange.route, who(exchange), decision?.reason, ...(decision?.policies ?? [])].join(" ").toLowerCase();
    return (
      words.includes(search.value.trim().toLowerCase()) &&
      String(exchange.status).startsWith(status.value) &&
      (!denied.input.checked || ["deny", "unauthorized"].includes(effect)) &&
      (!hits.input.checked || cache.outcome === "hit")
    );
  }

  /** The persona of a principal, or its id. */
  function who({ decision }) {
    const principal = decision?.principal;
    if (!principal) {
      return "–";
    }
    return bench.state.personas.find((persona) => persona.principal === principal)?.name ?? principal;
  }

  function exchangeRow({ key, exchange }) {
    const { status, method, target, route, decision, cache, microseconds, time } = exchange;
    const tone = exchange.effect === "allow" || exchange.effect === "open" ? "allow" : exchange.effect === "fault" || exchange.effect === "invalid" ? "warn" : "deny";
    const row = h("tr", { class: "exchange", "data-key": key });
    const button = h("button", { type: "button", class: "open", "aria-expanded": "false", "aria-label": `Details of request ${exchange.id}` }, "▸");
    row.append(
      ...[
        h("td", { class: "mono small" }, new Date(time).toLocaleTimeString([], { hour12: false })),
        h("td", {}, h("span", { class: `status tone-${tone}` }, `${SIGNS[tone]} ${status}`)),
        h("td", { class: "wide" }, who(exchange)),
        h("td", { class: "wide" }, h("code", {}, `${method} ${target}`.trim()), route && !target.split("?")[0].endsWith(route.split(" ")[1]) ? h("div", { class: "muted small" }, route) : null),
        h("td", { class: "wide" }, decision ? [decision.reason, h("div", { class: "muted small" }, decision.policies.join(", "))] : EFFECTS[exchange.effect]),
        h("td", { class: "wide" }, cacheCell(cache)),
        h("td", { class: "number small" }, `${(microseconds / 1000).toFixed(1)} ms`),
        h("td", {}, button),
      ],
    );
    const toggle = () => {
      const isOpen = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!isOpen));
      button.textContent = isOpen ? "▸" : "▾";
      if (isOpen) {
        row.nextElementSibling?.remove();
      } else {
        row.after(details(key, exchange));
      }
    };
    row.addEventListener("click", (event) => {
      if (!event.target.closest("a") && !getSelection().toString()) {
        toggle();
      }
    });
    return row;
  }

  function cacheCell(cache) {
    const word = { hit: ["hit", "tone-allow"], miss: ["miss", ""], "not-kept": ["not kept", ""], off: ["off", "muted"] }[cache.outcome];
    return [
      h("b", { class: word[1] }, word[0]),
      cache.key?.length ? h("div", { class: "muted small key" }, cache.key.map(({ value }) => value).join(" · ")) : null,
    ];
  }

  function details(key, exchange) {
    const { cache } = exchange;
    const path = exchange.target.split("?")[0];
    const persona = bench.state.personas.find(({ name }) => name === who(exchange));
    const query = [...new URLSearchParams(exchange.target.split("?")[1] ?? "")];
    const again = new URLSearchParams({ ...(persona ? { as: persona.name } : exchange.decision ? { caller: "token" } : { caller: "nobody" }), method: exchange.method, path });
    query.forEach(([name, value]) => again.append("query", `${name}=${value}`));
    const madeFor = cache.outcome === "hit" ? ` The answer was made for request ${cache.madeFor}, ${many(cache.ageSeconds, "second")} before.` : "";
    return h(
      "tr",
      { class: "details", "data-of": key },
      h(
        "td",
        { colspan: "8" },
        h(
          "div",
          { class: "stack" },
          h("p", {}, `Request ${exchange.id}${exchange.isOfPage ? ", sent by this page" : ""}. `, exchange.decision ? sentence(exchange.decision.meaning) : "", ` ${CACHE_WORDS[cache.outcome]}${madeFor}`),
          cache.key?.length
            ? h("dl", { class: "keys mono" }, cache.key.map(({ source, value }) => h("div", {}, h("dt", {}, source), h("dd", {}, value))))
            : null,
          exchange.problem ? h("p", { class: "notice warn" }, sentence(exchange.problem)) : null,
          exchange.body ? h("p", {}, "The client gets ", h("code", {}, exchange.body)) : null,
          exchange.method ? h("p", {}, h("a", { class: "button", href: `#try?${again}` }, "Try this again")) : null,
          h(
            "div",
            { class: "details-grid" },
            exchange.event ? jsonBlock("Event, without the token", exchange.event) : null,
            exchange.answer ? jsonBlock("Answer of the authorizer", exchange.answer) : null,
            exchange.log ? jsonBlock("Line of the decision log", exchange.log) : null,
          ),
        ),
      ),
    );
  }

  function eventRow({ key, event }) {
    return h("tr", { class: `event ${event.tone}`, "data-key": key }, h("td", { colspan: "8" }, h("span", { class: "small muted mono" }, event.time), "  ", sentence(event.text)));
  }

  let number = 0;
  function happened(text, tone = "") {
    number += 1;
    add({ key: `event-${number}`, event: { text, tone, time: new Date().toLocaleTimeString([], { hour12: false }) } });
  }

  for (const control of [search, status, denied.input, hits.input]) {
    control.addEventListener("input", () => {
      const parameters = new URLSearchParams();
      const set = (name, value) => value && parameters.set(name, value);
      set("text", search.value);
      set("status", status.value);
      set("denied", denied.input.checked && "1");
      set("hits", hits.input.checked && "1");
      history.replaceState(null, "", `#traffic${parameters.size ? `?${parameters}` : ""}`);
      draw();
    });
  }
  draw();

  return {
    open(parameters) {
      if (parameters.size) {
        search.value = parameters.get("text") ?? "";
        status.value = parameters.get("status") ?? "";
        denied.input.checked = parameters.has("denied");
        hits.input.checked = parameters.has("hits");
      }
      draw();
      cache.load();
    },
    exchange(exchange) {
      add({ key: `exchange-${exchange.id}`, exchange });
    },
    missed({ missed }) {
      happened(`${many(missed, "entry", "entries")} came faster than this page reads, and ${missed === 1 ? "is" : "are"} not shown.`);
    },
    flush({ dropped }) {
      happened(`The cache was flushed; ${many(dropped, "kept answer")} dropped.`);
    },
    store({ revision, findings, problem, dropped, changed, isNew }) {
      if (!isNew) {
        return;
      }
      const errors = findings.filter(({ severity }) => severity === "error");
      if (errors.length) {
        const [{ message, position }] = errors;
        const where = position.line ? `${position.file}:${position.line}` : position.file;
        happened(`The files have ${many(errors.length, "error")}, so revision ${revision} stays in force. \`${where}\`: ${message}`, "deny");
      } else if (problem) {
        happened(`${problem.message}. Revision ${revision} stays in force.`, "deny");
      } else {
        happened(`${named(changed)} changed: revision ${revision} is in force${dropped ? `; ${many(dropped, "kept answer")} dropped` : ""}.`);
      }
    },
    refresh() {
      if (!panel.hidden) {
        cache.loadSoon();
      }
    },
  };
}

function chip(text) {
  const input = h("input", { type: "checkbox" });
  return { input, element: h("label", { class: "chip" }, input, text) };
}

/** A few files as the subject of a sentence. */
function named({ names, more }) {
  const all = [...names.map((name) => `\`${name}\``), ...(more ? [`${more} more`] : [])];
  return all.length ? all.join(", ").replace(/, ([^,]*)$/, " and $1") : "The files";
}

const SIGNS = { allow: "✓", deny: "✕", warn: "!" };

const EFFECTS = {
  allow: "allowed",
  deny: "denied",
  unauthorized: "no token, or a refused one",
  fault: "the authorizer failed",
  "no-route": "no route",
  open: "no authorizer",
  invalid: "not a valid request",
};

const CACHE_WORDS = {
  off: "No answer is kept for it.",
  miss: "No answer was kept, so the authorizer was asked, and its answer is kept from now on.",
  "not-kept": "The authorizer was asked. Errors are not kept.",
  hit: "An answer was kept, so the authorizer was not asked.",
};
