// Try: a request of somebody, its answer, and why it is so.

import { answerParts } from "./answer.js";
import { caller } from "./caller.js";
import { combobox } from "./routes.js";
import { failure, fill, fold, h, mark, speak } from "./dom.js";
import { get, post } from "./server.js";

/** Builds the view. `bench` has the state of the server. Returns what other views need of it. */
export function tryView(panel, bench) {
  const who = caller(bench);
  const where = combobox(bench);
  const headers = textarea("headers", "X-Tenant: acme");
  const query = textarea("query", "limit=10");
  const sourceIp = h("input", { id: "source-ip", class: "mono", placeholder: "203.0.113.1", autocomplete: "off", spellcheck: "false" });
  const more = fold(
    "Headers, query and address",
    false,
    h(
      "div",
      { class: "stack" },
      h("div", { class: "field" }, h("label", { for: "headers" }, "Headers, one on each line"), headers),
      h("div", { class: "field" }, h("label", { for: "query" }, "Query, a name=value on each line"), query),
      h("div", { class: "field" }, h("label", { for: "source-ip" }, "Address of the client"), sourceIp),
    ),
  );
  const send = h("button", { type: "submit", class: "primary" }, "Send");
  const form = h(
    "form",
    { class: "card", "aria-label": "Request" },
    who.element,
    where.element,
    more,
    h("div", { class: "send" }, send, h("span", { class: "muted small hint-keys" }, h("kbd", {}, "Ctrl"), " ", h("kbd", {}, "Enter"))),
  );
  const answer = h("div", { class: "stack", id: "answer", "aria-label": "Answer", role: "region" });
  fill(panel, h("div", { class: "try" }, form, answer));

  let latest = 0;
  async function run() {
    const mine = ++latest;
    let request;
    try {
      request = { ...who.value(), ...where.value(), ...extras() };
    } catch (error) {
      fill(answer, failure(error));
      return;
    }
    history.replaceState(null, "", `#try?${address(request)}`);
    isOwn(location.hash);
    answer.classList.add("stale");
    send.disabled = true;
    try {
      const result = await post("try", request);
      if (mine === latest) {
        show(answer, result, request);
      }
    } catch (error) {
      if (mine === latest) {
        fill(answer, failure(error));
      }
    } finally {
      if (mine === latest) {
        answer.classList.remove("stale");
        send.disabled = false;
      }
    }
  }

  function extras() {
    const more = { headers: pairs(headers, ":", "Name: value"), query: pairs(query, "=", "name=value") };
    return sourceIp.value.trim() ? { ...more, sourceIp: sourceIp.value.trim() } : more;
  }

  function show(answer, result, request) {
    const tryIt = (claims) => {
      who.setClaims(claims);
      run();
      document.getElementById("main").scrollIntoView({ block: "start" });
    };
    speak(`${result.verdict.word}: ${result.verdict.sentence}`);
    const isBelow = answer.getBoundingClientRect().top > innerHeight / 2;
    fill(answer, answerParts(result, request, tryIt, bench));
    answer.dataset.revision = bench.state.revision;
    if (isBelow) {
      answer.scrollIntoView({ block: "start" });
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      run();
    }
  });

  /** Takes a request from the address of the page, and sends it. */
  function open(parameters) {
    if (!parameters.has("path")) {
      if (!answer.hasChildNodes()) {
        introduce(answer, bench);
      }
      return;
    }
    who.set({
      as: parameters.get("as"),
      claims: parameters.get("claims"),
      caller: parameters.get("caller"),
      expiresIn: parameters.get("expiresIn"),
    });
    where.set(parameters.get("method") ?? "GET", parameters.get("path"));
    headers.value = parameters.getAll("header").join("\n");
    query.value = parameters.getAll("query").join("\n");
    sourceIp.value = parameters.get("sourceIp") ?? "";
    more.open = Boolean(headers.value || query.value || sourceIp.value);
    const isSafe = ["GET", "HEAD", "OPTIONS"].includes(where.value().method) || !bench.state.hasBackend;
    if (isSafe || isKnown(location.hash)) {
      run();
    } else {
      fill(answer, h("p", { class: "notice" }, "This request came with the address of the page, and the backend may act on it. Press Send to send it."));
    }
  }

  return {
    open,
    focusPath: () => where.focus(),
    refresh: () => {
      who.refresh();
      where.refresh();
      const isOutdated = answer.dataset.revision !== String(bench.state.revision);
      if (isOutdated && answer.querySelector(".verdict") && !answer.querySelector(".outdated")) {
        const again = h("button", { type: "button", class: "small", onclick: run }, "Send again");
        answer.prepend(h("p", { class: "notice outdated row" }, "Other policies are in force since this answer. ", again));
      }
    },
  };
}

/** Any page can open this one with a request in its address. What this page has made itself is known by its session. */
function isOwn(hash) {
  sessionStorage.setItem("own", hash);
}

const isKnown = (hash) => sessionStorage.getItem("own") === hash;

addEventListener("click", ({ target }) => {
  const link = target.closest?.("a[href^='#try?']");
  if (link) {
    isOwn(link.hash);
  }
});

/** What stands in the address of the page, so that a reload keeps it. Tokens stay out of it. */
function address(request) {
  const parameters = new URLSearchParams();
  const add = (name, value) => value !== undefined && value !== null && parameters.append(name, value);
  add("as", request.as);
  if (request.token !== undefined) {
    add("caller", "token");
  } else if (request.as === undefined && request.claims === undefined) {
    add("caller", "nobody");
  }
  add("claims", request.claims && JSON.stringify(request.claims));
  add("expiresIn", request.expiresIn);
  add("method", request.method);
  add("path", request.path);
  request.headers.forEach(([name, value]) => add("header", `${name}: ${value}`));
  request.query.forEach(([name, value]) => add("query", `${name}=${value}`));
  add("sourceIp", request.sourceIp);
  return parameters;
}

function textarea(id, placeholder) {
  return h("textarea", { id, rows: "2", placeholder, spellcheck: "false", autocomplete: "off" });
}

function pairs(field, separator, form) {
  const lines = field.value.split("\n").filter((line) => line.trim());
  return lines.map((line) => {
    const at = line.indexOf(separator);
    if (at < 1) {
      throw new Error(`\`${line}\` is not of the form \`${form}\`.`);
    }
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  });
}

/** The first thing that a visitor sees: what this is, and requests to begin with. */
async function introduce(answer, bench) {
  const suggestions = h("ul", { class: "suggestions" });
  fill(
    answer,
    h(
      "section",
      { class: "card hero stack" },
      h("h2", {}, "Who may call what, and why?"),
      h(
        "p",
        {},
        "Choose who asks and what for, then send. The request goes through the same gateway, authorizer and policies as one from outside, and the answer says why it is so.",
      ),
      suggestions,
    ),
  );
  const by = bench.state.personas.length ? "persona" : "group";
  const { matrix } = await get(`matrix?by=${by}`).catch(() => ({}));
  const found = [];
  for (const decision of ["deny", "allow"]) {
    const rows = [...(matrix?.rows ?? [])].reverse();
    for (const row of rows) {
      const is = (name, reason) => row.cells[name].decision === decision && row.cells[name].reason !== reason;
      // What is simply not permitted is easier to see through than what is forbidden.
      const name = matrix.callers.find((name) => is(name, "forbidden-by-policy")) ?? matrix.callers.find((name) => is(name));
      const isNew = !found.some((known) => known.route === row.route);
      if (name && row.request && isNew) {
        found.push({ decision, name, route: row.route, request: row.request });
        break;
      }
    }
  }
  fill(
    suggestions,
    found.map(({ decision, name, request }) =>
      h(
        "li",
        {},
        h(
          "a",
          { href: `#try?${new URLSearchParams({ ...(by === "persona" ? { as: name } : { claims: JSON.stringify(matrix.claims[name]) }), ...request })}` },
          mark(decision),
          h("div", {}, `${by === "persona" ? name : name.startsWith("(") ? "somebody in no group" : `somebody in ${name}`} asks for `, h("code", {}, `${request.method} ${request.path}`)),
        ),
      ),
    ),
  );
}
