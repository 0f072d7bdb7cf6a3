// Policies: the files of the store, what is wrong with them, and what an edit would change.

import { failure, fill, h, many, say, visible } from "./dom.js";
import { textEditor } from "./editor.js";
import { drawEffects } from "./effects.js";
import { get, post, put } from "./server.js";

export function policiesView(panel, bench) {
  const list = h("div", { class: "files" });
  const editor = textEditor("source", "editor-help");
  const { text } = editor;
  const name = h("label", { for: "source", class: "mono" });
  const state = h("span", { class: "muted small", id: "editor-help" });
  const save = h("button", { type: "button", class: "primary small" }, "Save");
  const undo = h("button", { type: "button", class: "small" }, "Undo the edit");
  const effects = h("div", { class: "effects", role: "region", "aria-label": "What the edit changes" });
  fill(
    panel,
    h(
      "div",
      { class: "policies" },
      h("nav", { class: "card", "aria-label": "Files of the store" }, h("h2", {}, "Files"), list),
      h(
        "div",
        { class: "stack" },
        h("div", { class: "row spread" }, h("div", {}, name, " ", state), h("div", { class: "row" }, undo, save)),
        editor.element,
      ),
      effects,
    ),
  );

  fill(effects, h("p", { class: "empty" }, "Checking …"));
  let files = [];
  let current = null;
  /** Edits that are not saved, by file, each with the digest of the text that was edited. They outlive a look at another file. */
  const edits = new Map();
  let report = null;
  let latest = 0;
  let timer = null;
  let isLoaded = false;
  let isStale = false;

  async function load(wanted, line) {
    isStale = false;
    try {
      files = (await get("policies")).files;
    } catch (error) {
      fill(effects, failure(error));
      return;
    }
    isLoaded = true;
    for (const file of files) {
      if (edits.get(file.path)?.text === file.text) {
        edits.delete(file.path);
      }
    }
    show(files.find(({ path }) => path === wanted) ?? files.find(({ path }) => path === current?.path) ?? files.find(({ path }) => path.startsWith("policies/")) ?? files[0], line);
    check();
  }

  function show(file, line) {
    if (!file) {
      fill(list, h("p", { class: "muted" }, "There is no file that can be shown."));
      return;
    }
    const isOther = current?.path !== file.path;
    current = file;
    if (text.value !== shown(file)) {
      text.value = shown(file);
    }
    fill(name, file.path);
    text.readOnly = false;
    if (isOther) {
      text.scrollTop = 0;
      text.scrollLeft = 0;
    }
    draw();
    if (line) {
      editor.goTo(line, 1);
    }
  }

  const shown = (file) => edits.get(file.path)?.text ?? file.text;
  const hasMoved = (file) => edits.has(file.path) && edits.get(file.path).digest !== file.digest;

  function draw() {
    drawList();
    if (!current) {
      return;
    }
    editor.draw(current.path, report?.findings ?? []);
    const isEdited = edits.size > 0;
    save.hidden = !bench.state.edit;
    const errors = (report?.findings ?? []).filter(({ severity }) => severity === "error").length;
    save.disabled = !edits.has(current?.path);
    undo.hidden = !edits.has(current?.path);
    save.textContent = errors && edits.has(current?.path) ? "Save with errors" : "Save";
    fill(
      state,
      !edits.has(current.path) ? (bench.state.isBundle ? "as it is in the bundle" : "as it is on disk") : hasMoved(current) ? "edited, but the file has changed on disk since" : "edited, not saved",
      unseen(text.value),
      bench.state.edit || !isEdited ? null : bench.state.isBundle ? ". A bundle is not changed; serve its policy store to save" : [". To save here, start with ", h("code", {}, "--edit")],
    );
  }

  /** Where a text is not what it looks like. */
  function unseen(source) {
    const line = source.replaceAll("\r\n", "\n").split("\n").findIndex((line) => line !== visible(line));
    return line < 0 ? null : h("span", { class: "tone-warn" }, `. Line ${line + 1} has a character that is not seen, or turns the direction of the text`);
  }

  function drawList() {
    const folders = new Map();
    for (const file of files) {
      const at = file.path.lastIndexOf("/");
      const folder = file.path.slice(0, at + 1);
      folders.set(folder, [...(folders.get(folder) ?? []), file]);
    }
    fill(
      list,
      [...folders].map(([folder, files]) => [
        folder ? h("p", { class: "folder" }, folder) : null,
        h("ul", {}, files.map((file) => h("li", {}, item(file, folder)))),
      ]),
    );
  }

  function item(file, folder) {
    const found = (report?.findings ?? []).filter(({ position }) => position.file === file.path);
    const errors = found.filter(({ severity }) => severity === "error").length;
    const label = errors ? many(errors, "error") : many(found.length, "warning");
    return h(
      "button",
      { type: "button", "aria-current": String(file.path === current?.path), onclick: () => open(file) },
      h("span", {}, file.path.slice(folder.length), edits.has(file.path) ? " •" : "", edits.has(file.path) ? h("span", { class: "visually-hidden" }, " edited") : null),
      found.length ? h("span", { class: errors ? "badge" : "badge warn", title: label }, errors ? "✕" : "!", h("span", { class: "visually-hidden" }, label)) : null,
    );
  }

  function open(file) {
    history.replaceState(null, "", `#policies?${new URLSearchParams({ file: file.path })}`);
    show(file);
    list.querySelector("[aria-current=true]")?.focus();
  }

  /** Shows a place of a file. */
  function openAt(file, { line, column }) {
    show(file);
    if (line) {
      editor.goTo(line, column ?? 1);
    }
  }

  /** Asks what the edits change, once the writer pauses. Only the newest answer counts. */
  function check() {
    clearTimeout(timer);
    const mine = ++latest;
    timer = setTimeout(async () => {
      effects.classList.add("stale");
      try {
        const answer = await post("policies/check", { files: Object.fromEntries([...edits].map(([path, { text }]) => [path, text])) });
        if (mine === latest) {
          report = answer;
          drawEffects(effects, report, { hasEdits: edits.size > 0, files, openAt });
          draw();
        }
      } catch (error) {
        if (mine === latest && error.status !== 409) {
          fill(effects, failure(error));
        }
      } finally {
        if (mine === latest) {
          effects.classList.remove("stale");
        }
      }
    }, 350);
  }

  text.addEventListener("input", () => {
    if (text.value === current.text) {
      edits.delete(current.path);
    } else {
      edits.set(current.path, { text: text.value, digest: edits.get(current.path)?.digest ?? current.digest });
    }
    draw();
    check();
  });
  undo.addEventListener("click", () => {
    edits.delete(current.path);
    show(current);
    check();
    text.focus();
  });
  save.addEventListener("click", async () => {
    save.disabled = true;
    const file = current;
    const saved = { ...edits.get(file.path) };
    try {
      const { digest } = await put("policies", { path: file.path, ...saved });
      file.text = saved.text;
      file.digest = digest;
      // Typing goes on while a file is saved.
      if (edits.get(file.path)?.text === saved.text) {
        edits.delete(file.path);
      } else {
        edits.get(file.path).digest = digest;
      }
      say(`Saved \`${file.path}\`. It is in force at the next call.`, "allow");
      draw();
      check();
    } catch (error) {
      say(`${error.message} ${error.hint ?? ""}`, "deny");
      draw();
    }
  });
  addEventListener("beforeunload", (event) => {
    if (edits.size > 0) {
      event.preventDefault();
    }
  });

  return {
    open(parameters) {
      const wanted = parameters.get("file");
      const line = Number(parameters.get("line")) || null;
      if (!isLoaded || isStale) {
        load(wanted, line);
      } else if (wanted) {
        show(files.find(({ path }) => path === wanted) ?? current, line);
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
