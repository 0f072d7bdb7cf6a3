// Highlighting of Cedar. It needs no grammar: keywords, strings, comments and entity types are enough to read by.

import { h } from "./dom.js";

const TOKENS =
  /(?<comment>\/\/[^\n]*)|(?<string>"(?:\\.|[^"\\\n])*"?)|(?<annotation>@[A-Za-z_]\w*)|(?<type>(?:[A-Za-z_]\w*::)+)|(?<number>\b\d+\b)|(?<slot>\?(?:principal|resource))|(?<word>[A-Za-z_]\w*)/g;

const POLICY_WORDS = new Set("permit when unless in has like is if then else true false".split(" "));
const SCHEMA_WORDS = new Set("namespace entity type action appliesTo enum tags in Set".split(" "));

/** The tokens of a text, as `{text, kind}`. `kind` is null between tokens. */
function tokens(text, words) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    if (match.index > end) {
      found.push({ text: text.slice(end, match.index), kind: null });
    }
    found.push({ text: match[0], kind: kindOf(match, words) });
    end = match.index + match[0].length;
  }
  if (end < text.length) {
    found.push({ text: text.slice(end), kind: null });
  }
  return found;
}

/** A text with its tokens marked, for `<code>`. `node` makes what goes in of a piece of the text. */
export function highlighted(text, language = "policy", node = (part) => part) {
  const words = language === "schema" ? SCHEMA_WORDS : POLICY_WORDS;
  return tokens(text, words).map(({ text, kind }) => (kind ? h("span", { class: `t-${kind}` }, node(text)) : node(text)));
}

function kindOf({ 0: text, groups }, words) {
  if (groups.word !== undefined) {
    return text === "forbid" ? "forbid" : words.has(text) ? "keyword" : null;
  }
  return Object.keys(groups).find((name) => groups[name] !== undefined);
}
