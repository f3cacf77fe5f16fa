/** Ask for the access token; the server answers with a cookie that no script can read. */

import { byId, setText, typedById } from "./elements.js";

/** @param {SubmitEvent} event */
async function enter(event) {
  event.preventDefault();
  const input = typedById("token", HTMLInputElement);
  const problem = byId("problem");
  setText(problem, "");
  try {
    const response = await fetch("/api/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: input.value.trim() }),
    });
    if (response.ok) {
      location.replace("/");
      return;
    }
    const wrong = "This is not the token. Please compare it with the printed address.";
    setText(problem, response.status === 401 ? wrong : `The server answered ${response.status}.`);
  } catch (error) {
    if (!(error instanceof TypeError)) {
      throw error;
    }
    setText(problem, "The server cannot be reached. Is it still running?");
  }
  input.select();
}

byId("access").addEventListener("submit", (event) => void enter(event));
