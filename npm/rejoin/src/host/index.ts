export { Host, type HostOptions } from "./host.js";
export { openStore } from "./open.js";
export { load as loadEngine } from "./runtime.js";
