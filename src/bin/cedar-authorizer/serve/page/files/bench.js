// The test bench: views by the address of the page, and the stream of what happens.

import { fill, h, many, say } from "./dom.js";
import { matrixView } from "./matrix.js";
import { policiesView } from "./policies.js";
import { schemaView } from "./schema.js";
import { get } from "./server.js";
import { trafficView } from "./traffic.js";
import { tryView } from "./try.js";

const NAMES = ["try", "matrix", "policies", "schema", "traffic"];
const bench = { state: null };
const views = {};
/** The last address of each view, so that coming back to one finds it as it was. */
const addresses = {};

async function start() {
  try {
    bench.state = await get("state");
  } catch (error) {
    fill(document.getElementById("try"), h("p", { class: "notice deny", role: "alert" }, `${error.message} ${error.hint ?? ""}`));
    return;
  }
  const make = { try: tryView, matrix: matrixView, policies: policiesView, schema: schemaView, traffic: trafficView };
  for (const name of NAMES) {
    views[name] = make[name](document.getElementById(name), bench);
  }
  inForce();
  addEventListener("hashchange", route);
  route();
  listen();
}

/** Shows the view that the address names. */
function route() {
  const [name, query] = location.hash.slice(1).split("?");
  const chosen = NAMES.includes(name) ? name : "try";
  for (const known of NAMES) {
    const tab = document.getElementById(`tab-${known}`);
    const isChosen = known === chosen;
    document.getElementById(known).hidden = !isChosen;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
    if (isChosen) {
      tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }
  const title = document.getElementById(`tab-${chosen}`).textContent;
  document.title = `${title} – ${bench.state.store} – test bench`;
  views[chosen].open?.(new URLSearchParams(query ?? ""));
}

/** What is in force, at the top of the page. */
function inForce() {
  const { store, revision, findings, problem } = bench.state;
  fill(document.getElementById("store-name"), store);
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const link = document.getElementById("in-force");
  link.className = errors || problem ? "in-force broken" : "in-force";
  fill(
    link,
    h("span", { class: "symbol", "aria-hidden": "true" }, errors || problem ? "✕" : "✓"),
    problem
      ? `${problem.message}; revision ${revision} stays in force`
      : errors ? `${many(errors, "error")} in the files; revision ${revision} stays in force` : `revision ${revision} is in force`,
  );
}

/** Listens to what happens. The browser connects again by itself, and the server sends what was missed. */
function listen() {
  const stream = new EventSource("api/traffic");
  let isLost = false;
  stream.addEventListener("exchange", ({ data }) => views.traffic.exchange(JSON.parse(data)));
  stream.addEventListener("missed", ({ data }) => views.traffic.missed(JSON.parse(data)));
  stream.addEventListener("flush", ({ data }) => views.traffic.flush(JSON.parse(data)));
  stream.addEventListener("store", async ({ data }) => {
    const { revision, findings, problem, dropped, changed } = JSON.parse(data);
    const isNew = revision !== bench.state.revision || JSON.stringify([findings, problem]) !== JSON.stringify([bench.state.findings, bench.state.problem]);
    views.traffic.store({ revision, findings, problem, dropped, changed, isNew });
    if (isNew) {
      bench.state = await get("state").catch(() => ({ ...bench.state, revision, findings, problem }));
      inForce();
      for (const view of Object.values(views)) {
        view.refresh?.();
      }
    }
  });
  stream.addEventListener("error", () => {
    if (!isLost) {
      say("`cedar-authorizer serve` does not answer. This page goes on when it does again.", "deny");
      isLost = true;
    }
  });
  stream.addEventListener("open", () => {
    isLost = false;
  });
}

document.getElementById("tabs").addEventListener("keydown", (event) => {
  const at = NAMES.findIndex((name) => event.target.id === `tab-${name}`);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: NAMES.length - 1 }[event.key];
  if (at >= 0 && to !== undefined) {
    event.preventDefault();
    const tab = document.getElementById(`tab-${NAMES[(to + NAMES.length) % NAMES.length]}`);
    tab.focus();
    tab.click();
  }
});

for (const name of NAMES) {
  document.getElementById(`tab-${name}`).addEventListener("click", (event) => {
    event.preventDefault();
    const current = location.hash.slice(1).split("?")[0];
    addresses[current] = location.hash;
    if (name !== current) {
      history.pushState(null, "", `#${name}`);
      route();
      if (addresses[name]) {
        history.replaceState(null, "", addresses[name]);
      }
    }
  });
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});

addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && bench.state) {
    event.preventDefault();
    document.getElementById("tab-try").click();
    views.try.focusPath();
  }
});

start();
