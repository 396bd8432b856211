/** What the benchmark compares in the page: how this package applies a patch, and how a peer does. */
import { applyPatch } from "fast-json-patch";
import { applied } from "../../../npm/rejoin/src/json/patch.js";
import { frozen } from "../../../npm/rejoin/src/json/value.js";

Object.assign(globalThis, { peers: { applied, frozen, applyPatch } });
