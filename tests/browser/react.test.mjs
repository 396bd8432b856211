/** A program in React with a room: beside somebody in another browser, under StrictMode. */
import { test } from "node:test";
import { REACT, reactFiles } from "./support/react.mjs";
import { Tab } from "./support/tab.mjs";
import { World } from "./support/world.mjs";

const world = World.ofFile({ more: reactFiles });

async function shown(person, options) {
  const tab = new Tab(await (await world.browser(person)).newPage());
  await tab.begin(`${world.origin}${REACT}`, options);
  return tab;
}

const shows = (tab, wanted) => tab.until((wanted) => field()?.value === wanted && !field().disabled, wanted);
const sees = (tab, names) =>
  tab.until((names) => document.querySelector("main")?.dataset.others === names, names);

test("two write one text into fields of React, and see each other as long as they are there", async () => {
  const options = world.options("react-room");
  const ada = await shown(0, { ...options, name: "Ada" });
  const ben = await shown(1, { ...options, name: "Ben" });
  await Promise.all([ada, ben].map((tab) => shows(tab, "")));
  await Promise.all([sees(ada, "Ben"), sees(ben, "Ada")]);
  await ada.page.locator("textarea").pressSequentially("helo");
  await shows(ben, "helo");
  await ben.run(() => field().setSelectionRange(3, 3));
  await ben.page.locator("textarea").press("l");
  await shows(ada, "hello");
  // Only what differs was written: what is taken back is the one letter.
  await ben.run(() => void room.undo());
  await Promise.all([ada, ben].map((tab) => shows(tab, "helo")));

  // A component that is gone is nobody, and one of another room shows that.
  await ben.run(() => show(null));
  await sees(ada, "");
  await ben.run((id) => show(`${id}-other`), options.id);
  await shows(ben, "");
  await ben.run((id) => show(id), options.id);
  await shows(ben, "helo");
  await sees(ada, "Ben");

  await world.rejoin.create("react-json", { title: "JSON" });
  await ben.run(() => show("react-json"));
  await ben.until(() => document.querySelector("main").dataset.error === "wrong_kind");
  await ben.run((id) => show(id), options.id);
  await ben.until(() => document.querySelector("main").dataset.error === undefined);
  await shows(ben, "helo");
});
