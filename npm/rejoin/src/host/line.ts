/** An attempt to connect that takes longer has failed, the question for a token included. */
export const CONNECT_TIMEOUT_MS = 15_000;

/** The subprotocol of the compact encoding. */
const SUBPROTOCOL = "rejoin.v1";

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
  closed(code: number | undefined, reason: string): void;
}

/** Where connections come from. */
export interface Route {
  readonly url: string;
  readonly auth: Auth | undefined;
  /** Instead of the page's own. */
  readonly WebSocket: typeof WebSocket | undefined;
}

/** One connection to the server. */
export class Line {
  private socket: WebSocket | undefined;
  private readonly timer: ReturnType<typeof setTimeout>;
  private isOver = false;
  private readonly events: LineEvents;

  constructor(route: Route, events: LineEvents) {
    this.events = events;
    this.timer = setTimeout(() => this.end(undefined, "connecting took too long"), CONNECT_TIMEOUT_MS);
    void this.begin(route);
  }

  private async begin({ url, auth, WebSocket: Socket = globalThis.WebSocket }: Route): Promise<void> {
    // What fails at once is told as late as what fails later.
    await Promise.resolve();
    try {
      const token = typeof auth === "function" ? await auth() : auth;
      if (this.isOver) return;
      const socket = new Socket(url, SUBPROTOCOL);
      this.socket = socket;
      socket.binaryType = "arraybuffer";
      // What went wrong is told when it closes.
      socket.onerror = () => undefined;
      socket.onopen = () => {
        clearTimeout(this.timer);
        this.events.opened(token);
      };
      socket.onmessage = ({ data }) => {
        if (data instanceof ArrayBuffer) this.events.frame(new Uint8Array(data));
      };
      socket.onclose = ({ code, reason }) => this.end(code === ABNORMAL ? undefined : code, reason);
    } catch (error) {
      this.end(undefined, error instanceof Error ? error.message : String(error));
    }
  }

  /** Writes a frame. What a socket that is gone does not take is said again over the next one. */
  send(frame: Uint8Array): void {
    if (this.socket?.readyState === OPEN) this.socket.send(frame as Uint8Array<ArrayBuffer>);
  }

  private end(code: number | undefined, reason: string): void {
    if (this.isOver) return;
    this.close();
    this.events.closed(code, reason);
  }

  /** Closes the connection and says nothing more. */
  close(code?: number, reason = ""): void {
    this.isOver = true;
    clearTimeout(this.timer);
    const { socket } = this;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // Pages may send only these.
    if (code === 1000 || (code !== undefined && code >= 3000 && code <= 4999)) socket.close(code, reason);
    else socket.close();
  }
}
