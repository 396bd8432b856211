import { resolve } from "node:path";

/** Of the package it says only that its size is known. */
export default {
  mode: "production",
  performance: { hints: false },
  entry: "./page.js",
  output: { path: resolve("dist"), filename: "page.bundle.js" },
};
