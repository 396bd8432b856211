/** The page of the tests of `rejoin/crdt`: a room with a text, a map and an array, and a way to wait for what becomes of it. */
import { connect } from "rejoin";
import { openRoom } from "rejoin/crdt";

globalThis.openRoom = openRoom;

globalThis.begin = async ({ id, name, ...options }) => {
  globalThis.workspace = connect(options);
  globalThis.room = await openRoom(workspace, id);
  globalThis.text = room.text("body");
  globalThis.map = room.map("settings");
  globalThis.list = room.array("list");
  globalThis.refusals = [];
  globalThis.events = [];
  for (const root of [text, map, list]) root.observe((event) => events.push({ of: root.name, ...event }));
  room.onRefused(({ error }) => refusals.push(error.code));
  if (name) room.setPresence({ user: { name } });
};

/** Who else is there, by name. */
globalThis.others = () => room.others.map(({ state }) => state.user?.name ?? state.name).sort();

/** Ends once the condition holds, which is looked at whenever something was told. */
globalThis.until = (condition) =>
  new Promise((resolve) => {
    const look = () => {
      if (!condition()) return;
      for (const end of ends) end();
      resolve();
    };
    const ends = [text, map, list].map((root) => root.observe(look));
    ends.push(room.subscribe(look), room.subscribeOthers(look), workspace.subscribe(look));
    look();
  });

/** What there is, for the message of a test that waited in vain. */
globalThis.describe = () => ({
  text: text.toString().slice(0, 200),
  map: map.toJSON(),
  list: list.toJSON(),
  others: others(),
  ...room.status,
  error: room.error?.message,
  refused: room.refused.map(({ error }) => error.message),
  workspace: workspace.syncStatus,
});

globalThis.isLoaded = true;
