// What is asked for: a method and a path, with completion over the routes of the API.

import { fill, h } from "./dom.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/** The part of the form. Follows the ARIA pattern of an editable combobox with a list. */
export function combobox(bench) {
  const method = h("select", { id: "method", class: "mono" }, METHODS.map((name) => h("option", { value: name }, name)));
  const path = h("input", {
    id: "path",
    class: "mono",
    role: "combobox",
    "aria-expanded": "false",
    "aria-controls": "routes",
    "aria-autocomplete": "list",
    autocomplete: "off",
    spellcheck: "false",
    autocapitalize: "off",
    value: "/",
  });
  const list = h("div", { class: "options", role: "listbox", id: "routes", "aria-label": "Routes", hidden: true });
  const element = h(
    "fieldset",
    {},
    h("legend", {}, "What for"),
    h(
      "div",
      { class: "asked" },
      h("div", { class: "field" }, h("label", { for: "method", class: "visually-hidden" }, "Method"), method),
      h("div", { class: "field combo" }, h("label", { for: "path", class: "visually-hidden" }, "Path"), path, list),
    ),
    h("p", { class: "who-line hint-keys" }, h("kbd", {}, "/"), " comes here; ", h("kbd", {}, "↓"), " shows the routes"),
  );
  let active = -1;
  let shown = [];

  function matching(all) {
    const typed = all ? "" : path.value.toLowerCase();
    const fits = ({ route, path }) => route.toLowerCase().includes(typed) || path.toLowerCase().includes(typed) || takes(path, typed);
    return bench.state.routes.filter(fits).slice(0, 200);
  }

  function open(all) {
    shown = matching(all);
    if (shown.length === 0) {
      close();
      return;
    }
    active = -1;
    fill(
      list,
      shown.map(({ method, path }, index) =>
        h(
          "div",
          {
            role: "option",
            id: `route-${index}`,
            "aria-selected": "false",
            onmousedown: (event) => {
              event.preventDefault();
              choose(shown[index]);
            },
          },
          h("span", { class: "verb" }, method),
          h("span", {}, path),
        ),
      ),
    );
    list.hidden = false;
    path.setAttribute("aria-expanded", "true");
  }

  function close() {
    list.hidden = true;
    active = -1;
    path.setAttribute("aria-expanded", "false");
    path.removeAttribute("aria-activedescendant");
  }

  function highlight(index) {
    active = (index + shown.length) % shown.length;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === active)));
    list.children[active].scrollIntoView({ block: "nearest" });
    path.setAttribute("aria-activedescendant", `route-${active}`);
  }

  /** Takes a route with a value for each parameter, and selects the first, so that typing replaces it. */
  function choose(route) {
    close();
    const sample = route.sample ?? { method: route.method, path: route.path };
    setMethod(sample.method);
    path.value = sample.path;
    path.focus();
    select(route.path.split("/").findIndex((part) => part.startsWith("{")));
  }

  function select(index) {
    if (index < 0) {
      return false;
    }
    const parts = path.value.split("/");
    if (index >= parts.length) {
      return false;
    }
    const start = parts.slice(0, index).join("/").length + (index > 0 ? 1 : 0);
    path.setSelectionRange(start, start + parts[index].length);
    return true;
  }

  function setMethod(name) {
    if (![...method.options].some((option) => option.value === name)) {
      method.append(h("option", { value: name }, name));
    }
    method.value = name;
  }

  path.addEventListener("input", () => open(false));
  path.addEventListener("blur", close);
  path.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey) {
      return;
    }
    const isOpen = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) {
        open(true);
      }
      if (shown.length) {
        highlight(active + (event.key === "ArrowDown" ? 1 : active < 0 ? 0 : -1));
      }
    } else if (event.key === "Enter" && isOpen && active >= 0) {
      event.preventDefault();
      choose(shown[active]);
    } else if (event.key === "Escape" && isOpen) {
      event.preventDefault();
      close();
    }
  });

  return {
    element,
    value: () => ({ method: method.value, path: path.value.trim() }),
    set(name, text) {
      setMethod(name);
      path.value = text;
      close();
    },
    focus() {
      path.focus();
      path.select();
    },
    refresh: close,
  };
}

/** Whether a path, as far as it is typed, can become one of this template. */
function takes(template, typed) {
  const wanted = template.toLowerCase().split("/");
  return typed.split("/").every((part, index) => wanted[index] !== undefined && (wanted[index].startsWith("{") || wanted[index].startsWith(part)));
}
