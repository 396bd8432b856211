import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** The tools are in the folder above. Of the package it says nothing. */
export default { turbopack: { root: dirname(dirname(fileURLToPath(import.meta.url))) } };
