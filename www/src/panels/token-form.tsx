import type { FormEvent } from "react";
import { authenticate } from "../link/connection.js";

/** Asks for the token that the server wants. */
export function TokenForm() {
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const token = new FormData(event.currentTarget).get("token");
    if (typeof token === "string" && token.trim() !== "") authenticate(token.trim());
  };
  return (
    <form className="token-form" data-testid="token-form" onSubmit={submit}>
      <label>
        Token
        <input name="token" type="password" autoComplete="current-password" required data-testid="token" />
      </label>
      <button type="submit" className="ghost" data-testid="token-submit">
        Connect
      </button>
    </form>
  );
}
