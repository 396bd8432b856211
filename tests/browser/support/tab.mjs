import { PATIENCE_MS } from "./chromium.mjs";

/** A tab of a browser with the page of the tests, in which a document is open. */
export class Tab {
  /** @type {import("playwright-core").Page} */
  page;

  constructor(page) {
    this.page = page;
  }

  /** Loads the page and opens the document, see `begin` in the page. */
  async begin(origin, options) {
    await this.load(origin);
    await this.start(options);
  }

  async load(origin) {
    await this.page.goto(origin);
    await this.page.waitForFunction(() => globalThis.isLoaded);
  }

  /** Opens the document in the page that is loaded. */
  async start(options) {
    this.options = options;
    await this.run((options) => begin(options), options);
  }

  /** Loads the page again, as a person does, and opens the document. */
  async reload() {
    await this.page.reload();
    await this.page.waitForFunction(() => globalThis.isLoaded);
    await this.run((options) => begin(options), this.options);
  }

  /** Calls a function in the page. */
  run(call, argument) {
    return inTime(this.page.evaluate(call, argument), () => `${call}`);
  }

  /** Waits until a condition holds in the page; it is looked at whenever the package tells anything. */
  until(condition, argument = null) {
    const call = `until(() => (${condition})(${JSON.stringify(argument)}))`;
    return inTime(
      this.page.evaluate(call),
      async () => `${condition}, with ${JSON.stringify(argument)}; there is ${await this.describe()}`,
    );
  }

  /** Edits the document by a recipe, which is given the draft and the argument. Ends at once. */
  edit(recipe, argument = null) {
    return this.run(`void doc.edit((draft) => { (${recipe})(draft, ${JSON.stringify(argument)}); })`);
  }

  /** The same, and ends once the change is safe on this device. */
  async save(recipe, argument = null) {
    await this.run(`doc.edit((draft) => { (${recipe})(draft, ${JSON.stringify(argument)}); }).saved`);
  }

  /** Ends once all own changes are safe on this device. */
  saved() {
    return this.until(() => doc.isLoaded && doc.status.rung !== "local");
  }

  /** Ends once all own changes have their outcome. */
  acknowledged() {
    return this.until(() => doc.isLoaded && doc.status.rung === "acknowledged");
  }

  value() {
    return this.run(() => doc.value);
  }

  status() {
    return this.run(() => workspace.syncStatus);
  }

  /** Which page has the lock of those that lead this profile. */
  leader() {
    return this.run(async () => {
      const { held } = await navigator.locks.query();
      return held.find(({ name }) => name.endsWith(`/${doc.id}/leader`))?.clientId;
    });
  }

  async describe() {
    const described = this.page.evaluate(() => JSON.stringify(describe()));
    return await Promise.race([described.catch(String), after(1_000).then(() => "no answer")]);
  }

  close() {
    return this.page.close();
  }
}

/** Fails with a description when the promise takes too long. */
export async function inTime(promise, what, patience = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(async () => reject(new Error(`in vain: ${await what()}`)), patience);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function after(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
}
