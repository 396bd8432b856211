import { nodeResolve } from "@rollup/plugin-node-resolve";

/** Finding packages is a plugin of Rollup. Of this package it says nothing. */
export default {
  input: "page.js",
  output: { dir: "dist", entryFileNames: "page.bundle.js", format: "es" },
  plugins: [nodeResolve({ browser: true })],
  onwarn(warning) {
    throw new Error(warning.message);
  },
};
