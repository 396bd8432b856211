import * as connections from "./adapter/connections.js";
import * as leaders from "./adapter/leaders.js";
import * as order from "./adapter/order.js";
import * as refusals from "./adapter/refusals.js";

/** The tests of the adapter, by name: what is beyond the suite that all stores have in common. */
export const tests = { ...order, ...connections, ...leaders, ...refusals };
