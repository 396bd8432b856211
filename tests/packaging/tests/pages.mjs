/** Pages of a server that says what they may do. */
import { html } from "../support/html.mjs";
import { shows } from "../support/stage.mjs";

/** As strict as a page with WebAssembly can be. */
const STRICT = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "connect-src ws://127.0.0.1:*",
  "img-src data:",
  "require-trusted-types-for 'script'",
].join("; ");

export function tests({ workshop, stage }) {
  let made;
  const project = () => (made ??= unbundled(workshop));
  return [
    [
      "a page with a strict content security policy edits and sees what others edit",
      async () => {
        const address = stage.serve("strict", await project(), { "content-security-policy": STRICT });
        await stage.plays(address, "strict");
      },
    ],
    [
      "a page whose content security policy forbids WebAssembly is told what is missing",
      async () => {
        const policy = STRICT.replace(" 'wasm-unsafe-eval'", "");
        const address = stage.serve("lax", await project(), { "content-security-policy": policy });
        await stage.page(async (page) => {
          await page.goto(`${address}?server=${encodeURIComponent(stage.server)}&document=forbidden`);
          await shows(page, "link", "failed");
          await page.getByText("needs script-src 'wasm-unsafe-eval'").waitFor();
        });
      },
    ],
  ];
}

/** The package as it is, without a bundler: an import map says where it lies, which is an inline script, so that the page names the file itself. */
async function unbundled(workshop) {
  const page = await workshop.text("page/page.js");
  return await workshop.project("unbundled", {
    files: {
      "index.html": html("/page.js"),
      "page.js": page.replace('from "rejoin"', 'from "/node_modules/rejoin/dist/index.js"'),
    },
  });
}
