// Who asks: a persona, claims, a token, or nobody.

import { fill, fold, h, sentence } from "./dom.js";

/** The part of the form. `value()` has what the server takes of it. */
export function caller(bench) {
  const chips = h("div", { class: "chips who" });
  const find = h("input", { type: "search", id: "find-persona", placeholder: "find a persona", autocomplete: "off", spellcheck: "false" });
  const finder = h("div", { class: "field find" }, h("label", { for: "find-persona", class: "visually-hidden" }, "Find a persona"), find);
  const line = h("p", { class: "who-line" });
  const claims = h("textarea", { id: "claims", rows: "7", spellcheck: "false", autocomplete: "off" });
  const problem = h("p", { class: "small tone-deny", id: "claims-problem", role: "alert", hidden: true });
  const groups = h("div", { class: "chips" });
  const otherGroup = h("input", { id: "other-group", placeholder: "another group", autocomplete: "off", spellcheck: "false" });
  const expiry = h(
    "select",
    { id: "expiry" },
    [["3600", "in an hour"], ["60", "in a minute"], ["-60", "a minute ago: it is expired"]].map(([value, text]) => h("option", { value }, text)),
  );
  const token = h("textarea", { id: "token", class: "secret", rows: "4", spellcheck: "false", autocomplete: "off", placeholder: "eyJraWQi…" });
  const editor = fold(
    "Groups, claims and expiry",
    false,
    h(
      "div",
      { class: "stack" },
      h(
        "fieldset",
        { class: "groups" },
        h("legend", {}, "Groups"),
        groups,
        h("div", { class: "field" }, h("label", { for: "other-group", class: "visually-hidden" }, "Another group, added with Enter"), otherGroup),
      ),
      h("div", { class: "field" }, h("label", { for: "claims" }, "Claims, as JSON"), claims, problem),
      h("div", { class: "field" }, h("label", { for: "expiry" }, "The token expires"), expiry),
    ),
  );
  const tokenField = h(
    "div",
    { class: "field", hidden: true },
    h("label", { for: "token" }, "Token"),
    token,
    h("p", { class: "muted small" }, "It is verified as in production, and is neither kept nor logged."),
  );
  const element = h("fieldset", {}, h("legend", {}, "Who asks"), finder, chips, line, editor, tokenField);

  let chosen = null;

  function personas() {
    return bench.state.personas;
  }

  function draw() {
    const options = [
      ...personas().map(({ name }) => ({ value: `persona:${name}`, text: name })),
      { value: "claims", text: "claims", other: true },
      { value: "token", text: "a token", other: true },
      { value: "nobody", text: "no token", other: true },
    ];
    if (!options.some(({ value }) => value === chosen)) {
      chosen = options[0].value;
    }
    finder.hidden = personas().length <= MOST_AT_ONCE;
    const wanted = finder.hidden ? "" : find.value.trim().toLowerCase();
    const isShown = ({ value, text, other }) => other || value === chosen || text.toLowerCase().includes(wanted);
    fill(
      chips,
      options.filter(isShown).map(({ value, text, other }) =>
        h(
          "label",
          { class: other ? "chip other" : "chip" },
          h("input", { type: "radio", name: "who", value, checked: value === chosen, onchange: () => choose(value) }),
          text,
        ),
      ),
    );
  }

  function choose(value) {
    chosen = value;
    const input = [...chips.querySelectorAll("input")].find((input) => input.value === value);
    if (input) {
      input.checked = true;
    } else {
      draw();
    }
    const persona = ofChosen();
    if (persona) {
      claims.value = JSON.stringify(persona.claims, null, 2);
    } else if (value === "claims" && !claims.value.trim()) {
      claims.value = "{}";
    }
    editor.open = value === "claims";
    changed();
  }

  function ofChosen() {
    return personas().find(({ name }) => chosen === `persona:${name}`);
  }

  /** The claims of the editor. Throws what is wrong with them. */
  function edited() {
    let value;
    try {
      value = JSON.parse(claims.value.trim() || "{}");
    } catch (error) {
      throw new Error(`The claims are not JSON yet: ${error.message}.`);
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new Error("Claims are a JSON object, such as `{\"sub\": \"u1\"}`.");
    }
    return value;
  }

  function changed() {
    const hasClaims = chosen !== "token" && chosen !== "nobody";
    editor.hidden = !hasClaims;
    tokenField.hidden = chosen !== "token";
    let value = null;
    try {
      value = hasClaims ? edited() : null;
      problem.hidden = true;
      claims.removeAttribute("aria-invalid");
    } catch (error) {
      fill(problem, sentence(error.message));
      problem.hidden = false;
      claims.setAttribute("aria-invalid", "true");
    }
    const source = sourceOf(value);
    if (value && source) {
      drawGroups(value, source);
    }
    fill(line, describe(value, source));
  }

  function describe(value, source) {
    if (chosen === "nobody") {
      return "The request carries no token.";
    }
    if (!value || !source) {
      return "";
    }
    const inGroups = groupsOf(value, source);
    const persona = ofChosen();
    const isEdited = persona && JSON.stringify(persona.claims) !== JSON.stringify(value);
    const scope = typeof value.scope === "string" ? value.scope : null;
    return [
      inGroups.length ? ["in ", inGroups.map((group, index) => [index ? ", " : "", h("b", {}, group)])] : "in no group",
      scope ? [" · scope ", h("code", {}, scope)] : null,
      isEdited ? " · edited" : null,
    ].flat(Infinity);
  }

  /** The identity source of these claims: as the server finds it. */
  function sourceOf(value) {
    const { sources } = bench.state;
    return sources.find(({ issuers }) => issuers.includes(value?.iss)) ?? sources[0];
  }

  function groupsOf(value, { groupClaim }) {
    const held = value[groupClaim];
    return Array.isArray(held) ? held.map(String) : typeof held === "string" ? held.split(" ").filter(Boolean) : [];
  }

  function drawGroups(value, source) {
    const held = groupsOf(value, source);
    const known = [...new Set([...source.groups, ...held])].slice(0, 24);
    fill(
      groups,
      known.map((group) =>
        h(
          "label",
          { class: "chip" },
          h("input", { type: "checkbox", value: group, checked: held.includes(group), onchange: (event) => setGroup(group, event.target.checked) }),
          group,
        ),
      ),
    );
  }

  function setGroup(group, isMember) {
    const value = edited();
    const source = sourceOf(value);
    const others = groupsOf(value, source).filter((known) => known !== group);
    const held = isMember ? [...others, group] : others;
    if (held.length) {
      value[source.groupClaim] = held;
    } else {
      delete value[source.groupClaim];
    }
    claims.value = JSON.stringify(value, null, 2);
    changed();
    const box = [...groups.querySelectorAll("input")].find((input) => input.value === group);
    box?.focus();
  }

  find.addEventListener("input", draw);
  claims.addEventListener("input", changed);
  otherGroup.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.ctrlKey && otherGroup.value.trim()) {
      event.preventDefault();
      setGroup(otherGroup.value.trim(), true);
      otherGroup.value = "";
      otherGroup.focus();
    }
  });
  draw();
  choose(chosen);

  return {
    element,
    value() {
      if (chosen === "nobody") {
        return {};
      }
      if (chosen === "token") {
        return { token: token.value.trim().replace(/^Bearer /i, "") };
      }
      const value = edited();
      const persona = ofChosen();
      const expires = expiry.value === "3600" ? {} : { expiresIn: Number(expiry.value) };
      if (!persona) {
        return { claims: value, ...expires };
      }
      const overrides = Object.fromEntries([
        ...Object.keys(persona.claims).filter((name) => !(name in value)).map((name) => [name, null]),
        ...Object.entries(value).filter(([name, claim]) => JSON.stringify(persona.claims[name]) !== JSON.stringify(claim)),
      ]);
      return { as: persona.name, ...(Object.keys(overrides).length ? { claims: overrides } : {}), ...expires };
    },
    /** Takes what stands in the address of the page. */
    set({ as, claims: text, caller, expiresIn }) {
      const persona = personas().find(({ name }) => name === as);
      choose(caller === "token" || caller === "nobody" ? caller : persona ? `persona:${persona.name}` : "claims");
      if (text) {
        try {
          const merged = { ...(persona?.claims ?? {}), ...JSON.parse(text) };
          claims.value = JSON.stringify(Object.fromEntries(Object.entries(merged).filter(([, claim]) => claim !== null)), null, 2);
        } catch {
          claims.value = text;
        }
        editor.open = true;
      }
      expiry.value = ["3600", "60", "-60"].includes(expiresIn) ? expiresIn : "3600";
      changed();
    },
    /** Takes all claims of a token, of which those that every token has are left to the server. */
    setClaims(all) {
      const given = { ...all };
      for (const [name, value] of Object.entries(sourceOf(all).claims)) {
        if (["iat", "exp"].includes(name) || JSON.stringify(given[name]) === JSON.stringify(value)) {
          delete given[name];
        }
      }
      if (chosen === "token" || chosen === "nobody") {
        choose("claims");
      }
      claims.value = JSON.stringify(given, null, 2);
      editor.open = true;
      changed();
    },
    refresh() {
      draw();
      changed();
    },
  };
}

/** More personas than this are looked for by name. */
const MOST_AT_ONCE = 20;
