import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { CONNECT_TIMEOUT_MS, Line, type Route } from "../src/host/line.js";
import type { Refusal } from "../src/tabs/messages.js";
import { Engine } from "./support/engine.js";
import { Profile } from "./support/profile.js";

/** Sockets that do what a test says, the newest last. */
const sockets: TestSocket[] = [];

class TestSocket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly closedWith: unknown[][] = [];

  constructor(readonly url: string) {
    sockets.push(this);
  }

  close(...given: unknown[]): void {
    this.closedWith.push(given);
  }

  /** The server ends it, or nobody does and the browser gives it up. */
  end(code = 1006, reason = ""): void {
    this.onclose?.({ code, reason });
  }
}

const URL_OF_SERVER = "wss://example.com/ws";

/** A line, and what it told. */
async function line(
  auth?: Route["auth"],
  Socket: unknown = TestSocket,
): Promise<{ said: unknown[][]; line: Line }> {
  const said: unknown[][] = [];
  const events = {
    opened: (token: string | undefined) => said.push(["opened", token]),
    frame: () => said.push(["frame"]),
    closed: (code: number | undefined, _: string, { code: why }: Refusal) => said.push(["closed", code, why]),
  };
  const route = { url: URL_OF_SERVER, auth, WebSocket: Socket as typeof WebSocket };
  const line = new Line(route, events);
  await turn();
  return { said, line };
}

function newest(): TestSocket {
  return sockets.at(-1) as TestSocket;
}

test("a line says why it could not open, and why it ended", async () => {
  const refused = await line();
  newest().end();
  assert.deepEqual(refused.said, [["closed", undefined, "unreachable"]]);

  const lost = await line("token");
  newest().onopen?.();
  newest().end();
  assert.deepEqual(lost.said, [
    ["opened", "token"],
    ["closed", undefined, "link_lost"],
  ]);

  const unauthorized = await line();
  newest().onopen?.();
  newest().end(4401, "the token has ended");
  assert.deepEqual(unauthorized.said.at(-1), ["closed", 4401, "unauthorized"]);

  const restarted = await line();
  newest().onopen?.();
  newest().end(1012);
  assert.deepEqual(restarted.said.at(-1), ["closed", 1012, "closed_by_server"]);
});

test("a line whose token cannot be had, or whose address is none, says so", async () => {
  const before = sockets.length;
  const throwing = await line(() => {
    throw new Error("nobody is signed in");
  });
  const rejecting = await line(() => Promise.reject(new Error("nobody is signed in")));
  const untyped = await line((() => Promise.resolve({ token: "t" })) as unknown as () => string);
  assert.equal(sockets.length, before);
  const wrong = await line(
    undefined,
    class {
      constructor() {
        throw new SyntaxError("that is no address");
      }
    },
  );
  const codes = [throwing, rejecting, untyped, wrong].map(({ said }) => said);
  assert.deepEqual(codes, [
    [["closed", undefined, "auth_failed"]],
    [["closed", undefined, "auth_failed"]],
    [["closed", undefined, "auth_failed"]],
    [["closed", undefined, "invalid_address"]],
  ]);
});

test("a line that neither opens nor fails is given up in time, and says nothing after it was closed", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const slow = await line();
  mock.timers.tick(CONNECT_TIMEOUT_MS - 1);
  assert.deepEqual(slow.said, []);
  mock.timers.tick(1);
  assert.deepEqual(slow.said, [["closed", undefined, "connect_timeout"]]);
  newest().end();
  assert.equal(slow.said.length, 1);

  const open = await line();
  newest().onopen?.();
  mock.timers.tick(CONNECT_TIMEOUT_MS);
  assert.deepEqual(open.said, [["opened", undefined]]);
  open.line.close(4000, "bye");
  newest().end();
  assert.deepEqual([open.said.length, newest().closedWith], [1, [[4000, "bye"]]]);
  mock.timers.reset();
});

test("a connection that a policy forbids is told as that, and one to elsewhere is not", async () => {
  const violation = (blockedURI: string, effectiveDirective: string): Event =>
    Object.assign(new Event("securitypolicyviolation"), { blockedURI, effectiveDirective });
  const target = new EventTarget();
  Object.assign(globalThis, {
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
  });
  const elsewhere = await line();
  target.dispatchEvent(violation("https://example.org/image.png", "connect-src"));
  target.dispatchEvent(violation(URL_OF_SERVER, "img-src"));
  newest().end();
  assert.deepEqual(elsewhere.said, [["closed", undefined, "unreachable"]]);
  const forbidden = await line();
  // Some browsers never end such a socket.
  target.dispatchEvent(violation(URL_OF_SERVER, "connect-src"));
  assert.deepEqual(forbidden.said, [["closed", undefined, "blocked_by_policy"]]);
  Reflect.deleteProperty(globalThis, "addEventListener");
  Reflect.deleteProperty(globalThis, "removeEventListener");
});

test("every tab is told why there is no link, until there is one or none is wanted", async () => {
  const WebSocket = TestSocket as unknown as typeof globalThis.WebSocket;
  const profile = new Profile(2, { route: { url: URL_OF_SERVER, auth: "worn-out", WebSocket } });
  const errors = (): (string | null)[] =>
    profile.clients.map(({ status }) => status?.linkError?.code ?? null);
  profile.open(0, "d");
  profile.engine.connect();
  profile.turn();
  await turn();
  newest().end();
  assert.deepEqual(errors(), ["unreachable", "unreachable"]);
  profile.clients[1]?.["send"]({ type: "online", tab: 2, online: false });
  assert.deepEqual(errors(), [null, null]);
  profile.clients[1]?.["send"]({ type: "online", tab: 2, online: true });
  assert.deepEqual(errors(), ["unreachable", "unreachable"]);
  profile.engine.connect();
  profile.turn();
  await turn();
  newest().onopen?.();
  profile.engine.link("online");
  profile.turn();
  assert.deepEqual(errors(), [null, null]);
  profile.host.stop();
});

test("a token that is refused is replaced by one that any tab has, at once", async () => {
  const WebSocket = TestSocket as unknown as typeof globalThis.WebSocket;
  const profile = new Profile(2, { route: { url: URL_OF_SERVER, auth: "worn-out", WebSocket } });
  const connect = async (): Promise<void> => {
    profile.engine.connect();
    profile.turn();
    await turn();
    newest().onopen?.();
  };
  profile.open(0, "d");
  await connect();
  // While it is taken nothing is connected anew.
  profile.clients[1]?.["send"]({ type: "authenticate", tab: 2, token: "next" });
  assert.deepEqual([profile.engine.tokens, Engine.onlines], [["worn-out"], []]);
  newest().end(4401);
  profile.engine.link(4401);
  profile.turn();
  profile.clients[1]?.["send"]({ type: "authenticate", tab: 2, token: "fresh" });
  assert.deepEqual(Engine.onlines, [false, true]);
  await connect();
  assert.deepEqual(profile.engine.tokens, ["worn-out", "fresh"]);
  profile.host.stop();
});
