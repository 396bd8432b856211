import type { Refusal } from "../tabs/messages.js";

/** An attempt to connect that takes longer has failed, the question for a token included. */
export const CONNECT_TIMEOUT_MS = 15_000;

/** The subprotocol of the compact encoding. */
const SUBPROTOCOL = "rejoin.v1";

/** The server's close code for a token that it does not take. */
export const UNAUTHORIZED = 4401;

/** `WebSocket.OPEN`. */
const OPEN = 1;

/** WebSocket's code, never sent, of a socket that ended without one. */
const ABNORMAL = 1006;

/** Says who this is: a token, or a function that is asked for one at each connection. */
export type Auth = string | (() => string | undefined | Promise<string | undefined>);

/** What a line tells its host. Nothing is told once it was closed. */
export interface LineEvents {
  opened(token: string | undefined): void;
  frame(frame: Uint8Array): void;
  closed(code: number | undefined, reason: string, error: Refusal): void;
}

/** Where connections come from. */
export interface Route {
  readonly url: string;
  readonly auth: Auth | undefined;
  /** Instead of the page's own. */
  readonly WebSocket: typeof WebSocket | undefined;
}

/** What a server says with its close code. */
export function refusalOf(code: number, reason: string): Refusal {
  const why = reason === "" ? `code ${code}` : reason;
  return code === UNAUTHORIZED
    ? { code: "unauthorized", message: `the server does not take the token: ${why}` }
    : { code: "closed_by_server", message: `the server closed the connection: ${why}` };
}

/** One connection to the server. */
export class Line {
  private socket: WebSocket | undefined;
  private readonly timer: ReturnType<typeof setTimeout>;
  private isOver = false;
  private readonly url: string;
  private readonly events: LineEvents;
  /** What went wrong if it ends now. */
  private error: Refusal;

  constructor(route: Route, events: LineEvents) {
    const { url } = route;
    this.url = url;
    this.events = events;
    this.error = {
      code: "unreachable",
      message: `no server answers this page at ${url}, or its certificate is not trusted`,
    };
    this.timer = setTimeout(() => {
      this.error = { code: "connect_timeout", message: `connecting to ${url} took too long` };
      this.end(undefined, this.error.message);
    }, CONNECT_TIMEOUT_MS);
    globalThis.addEventListener?.("securitypolicyviolation", this.onViolation);
    void this.begin(route);
  }

  private async begin({ url, auth, WebSocket: Socket = globalThis.WebSocket }: Route): Promise<void> {
    // What fails at once is told as late as what fails later.
    await Promise.resolve();
    let code = "auth_failed";
    try {
      const token: unknown = typeof auth === "function" ? await auth() : auth;
      if (this.isOver) return;
      // Programs without types, and answers of servers, are of any kind.
      if (token !== undefined && typeof token !== "string") {
        throw new TypeError(
          `a token is a string, and not ${token === null ? "null" : `of type ${typeof token}`}`,
        );
      }
      code = "invalid_address";
      const socket = new Socket(url, SUBPROTOCOL);
      this.socket = socket;
      socket.binaryType = "arraybuffer";
      // What went wrong is told when it closes.
      socket.onerror = () => undefined;
      socket.onopen = () => {
        clearTimeout(this.timer);
        this.error = { code: "link_lost", message: `the connection to ${url} broke off` };
        this.events.opened(token);
      };
      socket.onmessage = ({ data }) => {
        if (data instanceof ArrayBuffer) this.events.frame(new Uint8Array(data));
      };
      socket.onclose = ({ code, reason }) => this.end(code === ABNORMAL ? undefined : code, reason);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const what =
        code === "auth_failed" ? "the `auth` function failed" : `no connection to ${url} can be opened`;
      this.error = { code, message: `${what}: ${why}` };
      this.end(undefined, why);
    }
  }

  /** Browsers say of a connection that a policy forbids what they say of one that fails, or nothing, except here. */
  private readonly onViolation = ({ effectiveDirective, blockedURI }: SecurityPolicyViolationEvent): void => {
    if (effectiveDirective !== "connect-src" || !this.url.startsWith(blockedURI)) return;
    if (this.socket?.readyState === OPEN) return;
    const { origin } = new URL(this.url);
    const message = `this page's content security policy forbids the connection: it needs connect-src ${origin}`;
    this.error = { code: "blocked_by_policy", message };
    this.end(undefined, message);
  };

  /** Writes a frame. What a socket that is gone does not take is said again over the next one. */
  send(frame: Uint8Array): void {
    if (this.socket?.readyState === OPEN) this.socket.send(frame as Uint8Array<ArrayBuffer>);
  }

  private end(code: number | undefined, reason: string): void {
    if (this.isOver) return;
    this.close();
    this.events.closed(code, reason, code === undefined ? this.error : refusalOf(code, reason));
  }

  /** Closes the connection and says nothing more. */
  close(code?: number, reason = ""): void {
    this.isOver = true;
    clearTimeout(this.timer);
    globalThis.removeEventListener?.("securitypolicyviolation", this.onViolation);
    const { socket } = this;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // Pages may send only these.
    if (code === 1000 || (code !== undefined && code >= 3000 && code <= 4999)) socket.close(code, reason);
    else socket.close();
  }
}
