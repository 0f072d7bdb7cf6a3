// What API Gateway keeps: the answers, how long they live, and a button that drops them.

import { failure, fill, h, many, say } from "./dom.js";
import { get, remove } from "./server.js";

/** The list of kept answers. `who` names the caller of a decision. */
export function keptAnswers(panel, who) {
  const cache = h("div", {});
  const flush = h("button", { type: "button", class: "small" }, "Flush");
  const element = h(
    "aside",
    { class: "card", "aria-labelledby": "cache-title" },
    h("div", { class: "row spread" }, h("h2", { id: "cache-title" }, "Kept answers"), flush),
    h("p", { class: "muted small" }, "API Gateway keeps an answer under the values of its identity sources, and applies it to every request that has the same."),
    cache,
  );
  let kept = [];
  let more = 0;
  let keptAt = 0;
  let soon = null;

  function loadSoon() {
    soon ??= setTimeout(() => {
      soon = null;
      load();
    }, 250);
  }

  async function load() {
    try {
      ({ kept, more } = await get("cache"));
      keptAt = Date.now();
      drawCache();
    } catch (error) {
      fill(cache, failure(error));
    }
  }

  function drawCache() {
    flush.disabled = kept.length === 0;
    fill(cache, kept.length ? kept.map(keptAnswer) : h("p", { class: "empty" }, "Nothing is kept."), more ? h("p", { class: "muted small" }, `and ${many(more, "older answer")}`) : null);
  }

  function keptAnswer({ key, madeFor, ageSeconds, remainingSeconds, allows, decision }) {
    const fillOf = h("span");
    const left = h("span", {});
    const bar = h("div", { class: "bar" }, fillOf);
    const element = h(
      "div",
      { class: "kept" },
      h("dl", {}, key.map(({ source, value }) => h("div", {}, h("dt", { class: "muted small mono" }, source), h("dd", { class: "mono small" }, value)))),
      h("p", { class: "small" }, left, h("span", { class: "muted" }, ` · made for request ${madeFor}${decision?.principal ? ` of ${who({ decision })}` : ""}`)),
      bar,
      h(
        "details",
        { class: "fold small" },
        h("summary", {}, allows.length ? `allows ${many(allows.length, "pattern")}` : "allows nothing"),
        allows.map((pattern) => h("span", { class: "pattern" }, pattern)),
        decision ? h("p", { class: "muted" }, `reason of that request: ${decision.reason}`) : null,
      ),
    );
    element.tick = () => {
      const remaining = Math.max(0, remainingSeconds - Math.floor((Date.now() - keptAt) / 1000));
      left.textContent = remaining ? `${remaining} s left` : "over";
      fillOf.style.width = `${(100 * remaining) / Math.max(1, ageSeconds + remainingSeconds)}%`;
      return remaining;
    };
    element.tick();
    return element;
  }

  setInterval(() => {
    if (!panel.hidden && kept.length) {
      const remaining = [...cache.children].map((element) => element.tick?.() ?? 1);
      if (remaining.includes(0)) {
        loadSoon();
      }
    }
  }, 1000);

  flush.addEventListener("click", async () => {
    flush.disabled = true;
    try {
      const { dropped } = await remove("cache");
      say(`${many(dropped, "kept answer")} dropped.`);
      flush.focus();
    } catch (error) {
      say(error.message, "deny");
    }
    load();
  });

  return { element, load, loadSoon };
}
