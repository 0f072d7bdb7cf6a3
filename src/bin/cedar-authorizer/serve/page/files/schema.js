// Schema: the picture of `cedar-authorizer schema`.

import { failure, fill, h } from "./dom.js";

export function schemaView(panel) {
  const picture = h("div", { class: "picture", tabindex: "0", role: "region", "aria-label": "Picture of the schema" });
  const words = h("p", { class: "muted" });
  const size = h("button", { type: "button", "aria-pressed": "false" }, "Full size");
  fill(
    panel,
    h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row spread" },
        h("div", {}, h("h2", {}, "Schema"), h("p", { class: "muted" }, "The entity types, the actions, and what applies to what.")),
        h("div", { class: "row" }, size, h("a", { class: "button", href: "api/schema.svg", download: "schema.svg" }, "Download as SVG")),
      ),
      picture,
      h("details", { class: "fold" }, h("summary", {}, "The picture in words"), words),
    ),
  );
  size.addEventListener("click", () => {
    const isLarge = picture.classList.toggle("large");
    size.setAttribute("aria-pressed", String(isLarge));
  });
  let isStale = true;

  async function load() {
    isStale = false;
    if (!picture.hasChildNodes()) {
      fill(picture, h("p", { class: "empty" }, "Drawing …"));
    }
    try {
      const response = await fetch("api/schema.svg");
      if (!response.ok) {
        throw (await response.json()).error;
      }
      const svg = await response.text();
      const description = unescaped(svg.match(/<desc[^>]*>([^<]*)<\/desc>/)?.[1] ?? "");
      words.textContent = description;
      fill(picture, h("img", { src: `api/schema.svg?${Date.now()}`, alt: `Picture of the schema. ${description.slice(0, 300)}` }));
    } catch (error) {
      fill(picture, failure(error));
    }
  }

  return {
    open: () => isStale && load(),
    refresh() {
      isStale = true;
      if (!panel.hidden) {
        load();
      }
    },
  };
}

/** The text of an element of the picture. A parser would apply its styles, which the policy of this page denies. */
function unescaped(text) {
  const characters = { lt: "<", gt: ">", quot: '"', "#39": "'", apos: "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|#39|apos|amp);/g, (_, name) => characters[name]);
}
