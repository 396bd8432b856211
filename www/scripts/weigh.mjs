// Weighs what the page loads before it shows anything: parts that are opened later are loaded later.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** Bytes of gzip of the scripts that index.html names. */
const BUDGET = 100 * 1024;

const dist = join(dirname(fileURLToPath(import.meta.url)), "../dist");
const named = readFileSync(join(dist, "index.html"), "utf8").matchAll(/"(\/assets\/[^"]+\.js)"/g);
const sizes = [...named].map(([, path]) => gzipSync(readFileSync(join(dist, path)), { level: 9 }).length);
if (sizes.length === 0) throw new Error("index.html names no script");
const whole = sizes.reduce((sum, size) => sum + size, 0);
console.log(`the page starts with ${whole} bytes of scripts in gzip; budget ${BUDGET}`);
if (whole > BUDGET) throw new Error(`the page starts with ${whole - BUDGET} bytes more than its budget`);
