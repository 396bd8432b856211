// A whiteboard on the rooms door, with nothing but a WebSocket: docs/rooms.md has the messages.
//
// Each stroke is a member of the room's storage under an id of its own, so that strokes of several people never meet. What is drawn without a link waits, also in the browser's storage,
// and is sent when there is one: a stroke under an id that is there already changes nothing.

const PENS = ["#23201b", "#0b5f58", "#8a4306", "#a3201f", "#2f4b8f", "#6a3d82"];
const SIZE = { width: 1600, height: 900 };
/** Points of one stroke; a longer one goes on as another. */
const MAX_POINTS = 400;
/** Time between two showings of oneself. */
const SHOW_MS = 50;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 8_000;

const name = decodeURIComponent(location.hash.slice(1)) || "welcome";
const room = `whiteboard:${name}`;
const part = (name) => document.querySelector(`[data-testid="${name}"]`);
const sheet = part("sheet");
const [drawing, cursors] = [0, 1].map(() => sheet.appendChild(svg("g", {})));
sheet.setAttribute("viewBox", `0 0 ${SIZE.width} ${SIZE.height}`);
part("room").textContent = name;

/** Strokes as the server has told them, by their ids. */
let strokes = {};
/** Own strokes and removals that the server has not told yet, in order: `[id, stroke or null]`. */
const waiting = new Map(remembered("waiting", []));
/** Own strokes that were sent over this link and not told yet. */
const unsure = new Set();
/** Own strokes, the newest last, for undo. */
const own = [];
/** Everybody else, by client id. */
const people = new Map();
let pen = PENS[Math.floor(Math.random() * PENS.length)];
let drawn;
let link;
let retry = FIRST_RETRY_MS;
let joined = false;

function remembered(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`whiteboard.${room}.${key}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function remember(key, value) {
  try {
    localStorage.setItem(`whiteboard.${room}.${key}`, JSON.stringify(value));
  } catch {
    // It lasts as long as the page.
  }
}

function svg(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// --- the link ---

function connect() {
  const url = new URL(`/ws/room/${encodeURIComponent(room)}`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  // Who comes back takes the place of its old connection.
  const before = sessionStorage.getItem("whiteboard.client");
  if (before) url.searchParams.set("client_id", before);
  link = new WebSocket(url);
  link.onmessage = (event) => take(JSON.parse(event.data));
  link.onclose = (event) => {
    joined = false;
    people.clear();
    // A copy of this tab has its id too, and took its place: this one takes another.
    if (event.code === 1000) sessionStorage.removeItem("whiteboard.client");
    const wait = retry * (0.5 + Math.random() / 2);
    retry = Math.min(2 * retry, LAST_RETRY_MS);
    setTimeout(connect, wait);
    draw();
  };
}

function send(message) {
  if (link.readyState === WebSocket.OPEN) link.send(JSON.stringify(message));
}

function take(message) {
  if (message === "Ping") return send("Pong");
  const [[name, data]] = Object.entries(message);
  if (name === "RoomJoined" && !joined) {
    sessionStorage.setItem("whiteboard.client", data.client_id);
    [joined, retry] = [true, FIRST_RETRY_MS];
    show();
    // The storage comes next: what waits is sent behind it.
    link.awaits = true;
  } else if (name === "RoomJoined") {
    people.set(data.client_id, {});
  } else if (name === "RoomLeft") {
    people.delete(data.client_id);
  } else if (name === "PresenceUpdated") {
    people.set(data.client_id, data.presence ?? {});
  } else if (name === "StorageUpdated") {
    for (const operation of data.operations) apply(operation);
    for (const id of link.awaits ? [...unsure] : Object.keys(strokes)) unsure.delete(id);
    settle();
    if (link.awaits) for (const [id, stroke] of waiting) sendStroke(id, stroke);
    link.awaits = false;
  } else if (name === "Error" && data.code === "invalid_patch") {
    // A stroke that was to be removed is gone already.
    settle();
  } else if (name === "Error") {
    say(data.message);
  }
  draw();
}

/** The storage is an object of strokes; what else may be in it is not drawn. */
function apply({ op, path, value }) {
  const id = path.slice(1).replaceAll("~1", "/").replaceAll("~0", "~");
  if (path === "") strokes = { ...value };
  else if (op === "remove") delete strokes[id];
  else strokes[id] = value;
}

/** Forgets what the server has told. */
function settle() {
  for (const [id, stroke] of waiting) {
    const isTold = id in strokes;
    if (stroke === null ? !isTold && !unsure.has(id) : isTold) waiting.delete(id);
  }
  remember("waiting", [...waiting]);
}

function sendStroke(id, stroke) {
  if (stroke !== null) unsure.add(id);
  const path = `/${id}`;
  send({ UpdateStorage: stroke === null ? { op: "remove", path } : { op: "add", path, value: stroke } });
}

function put(id, stroke) {
  waiting.set(id, stroke);
  remember("waiting", [...waiting]);
  if (joined && !link.awaits) sendStroke(id, stroke);
  draw();
}

// --- what oneself shows ---

let shown;
let due;

function show(change) {
  shown = { ...shown, name: part("name").value || "Somebody", color: pen, ...change };
  due ??= setTimeout(() => {
    due = undefined;
    if (joined) send({ UpdatePresence: shown });
  }, SHOW_MS);
}

part("name").value = remembered("name", "");
part("name").oninput = (event) => {
  remember("name", event.target.value);
  show();
};

for (const color of PENS) {
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: "pen", value: color, checked: color === pen });
  input.style.setProperty("--pen", color);
  input.setAttribute("aria-label", color);
  input.onchange = () => {
    pen = color;
    show();
  };
  document.querySelector(".pens").append(input);
}

// --- drawing ---

function place(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(sheet.getScreenCTM().inverse());
  return [Math.round(point.x), Math.round(point.y)];
}

function newId() {
  return `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`;
}

sheet.onpointerdown = (event) => {
  sheet.setPointerCapture(event.pointerId);
  drawn = { color: pen, width: Number(part("width").value), points: [place(event)] };
  draw();
};

sheet.onpointermove = (event) => {
  const at = place(event);
  if (drawn) {
    drawn.points.push(at);
    if (drawn.points.length >= MAX_POINTS) {
      finish();
      drawn = { color: pen, width: Number(part("width").value), points: [at] };
    }
    draw();
  }
  show({ cursor: at });
};

sheet.onpointerup = sheet.onpointercancel = () => {
  if (drawn) finish();
};

sheet.onpointerleave = () => show({ cursor: undefined });

function finish() {
  const id = newId();
  own.push(id);
  const stroke = drawn;
  drawn = undefined;
  put(id, stroke);
}

part("undo").onclick = () => {
  const id = own.pop();
  if (id !== undefined) put(id, null);
};

part("clear").onclick = () => {
  for (const id of Object.keys(seen())) put(id, null);
  own.length = 0;
};

/** The strokes as they are with what waits. */
function seen() {
  const all = { ...strokes };
  for (const [id, stroke] of waiting) {
    if (stroke === null) delete all[id];
    else all[id] = stroke;
  }
  return all;
}

function path({ color, width, points }, waits) {
  const [first, ...rest] = points;
  const d = `M${first.join(" ")}${(rest.length > 0 ? rest : [first]).map((point) => `L${point.join(" ")}`).join("")}`;
  return svg("path", { d, stroke: color, "stroke-width": width, ...(waits ? { class: "waits" } : {}) });
}

const isStroke = (stroke) => Array.isArray(stroke?.points) && stroke.points.length > 0;

let frame;

function draw() {
  frame ??= requestAnimationFrame(() => {
    frame = undefined;
    const all = Object.entries(seen()).filter(([, stroke]) => isStroke(stroke));
    all.sort(([one], [other]) => (one < other ? -1 : 1));
    drawing.replaceChildren(
      ...all.map(([id, stroke]) => path(stroke, waiting.has(id) && !joined)),
      ...(drawn ? [path(drawn, false)] : []),
    );
    const others = [...people.values()];
    cursors.replaceChildren(
      ...others
        .filter(({ cursor }) => Array.isArray(cursor))
        .flatMap(({ cursor: [x, y], color, name }) => {
          const label = svg("text", { x: x + 12, y: y + 5, fill: color });
          label.textContent = name;
          return [svg("circle", { cx: x, cy: y, r: 6, fill: color }), label];
        }),
    );
    part("people").replaceChildren(
      ...others.map(({ name, color }) => {
        const person = document.createElement("li");
        person.textContent = name ?? "Somebody";
        person.style.setProperty("--person", color ?? "#5c564c");
        return person;
      }),
    );
    part("undo").disabled = own.length === 0;
    sheet.dataset.strokes = String(all.length);
    sheet.dataset.waiting = String(waiting.size);
    say(
      joined
        ? waiting.size > 0
          ? "Saving…"
          : "Saved"
        : `Offline${waiting.size > 0 ? `, ${waiting.size} to send` : ""}`,
    );
  });
}

function say(text) {
  part("state").textContent = text;
}

addEventListener("hashchange", () => location.reload());
connect();
draw();
