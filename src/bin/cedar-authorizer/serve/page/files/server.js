// Requests to the endpoints of the page.

/** What the server says when it refuses: a message, and what to do. */
export class Refusal extends Error {
  constructor(status, { message, hint }) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

export const get = (path) => ask(path, { method: "GET" });
export const post = (path, body) => ask(path, withBody("POST", body));
export const put = (path, body) => ask(path, withBody("PUT", body));
export const remove = (path) => ask(path, withBody("DELETE", {}));

function withBody(method, body) {
  return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(`api/${path}`, options);
  } catch {
    throw new Refusal(0, {
      message: "`cedar-authorizer serve` does not answer.",
      hint: "Is it still running in your terminal?",
    });
  }
  const body = await response.json().catch(() => null);
  if (!response.ok || body === null) {
    throw new Refusal(response.status, body?.error ?? { message: `The server answers ${response.status}.` });
  }
  return body;
}
