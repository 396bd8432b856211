import type { Rung, SyncStatus } from "rejoin";

/** How a state is to be taken. */
export type Tone = "safe" | "waiting" | "careful" | "alarm";

/** How safe everything is, in words. */
export interface Words {
  readonly tone: Tone;
  /** A few words. */
  readonly brief: string;
  /** A sentence or two, with what to do. */
  readonly long: string;
}

/** Says how safe everything is. */
export function wordsOf(status: SyncStatus, isSwitchedOff: boolean): Words {
  return storageWords(status) ?? linkWords(status, isSwitchedOff);
}

/** What is not as usual with this device's storage; it comes first, since it can lose something. */
function storageWords({ storage, link, pending, problem, local }: SyncStatus): Words | undefined {
  const waiting = count(pending, "change waits", "changes wait");
  if (storage === "superseded") {
    return {
      tone: "alarm",
      brief: "This page is too old",
      long: "A newer version of this page is open in another tab. Reload this one to go on.",
    };
  }
  if (link === "failed" || storage === "failed") {
    return {
      tone: "alarm",
      brief: "Stopped",
      long: `Nothing can be changed here: ${problem ?? "the engine failed"}.`,
    };
  }
  if (storage === "full") {
    return {
      tone: "alarm",
      brief: "Storage is full",
      long:
        local.changes > 0
          ? `This device has no space left: ${count(local.changes, "change is", "changes are")} in memory only. Free some space and keep this page open.`
          : "This device has no space left. New changes are in memory only until the server has them.",
    };
  }
  if (storage === "memory") {
    return {
      tone: pending > 0 ? "alarm" : "careful",
      brief: pending > 0 ? "Only in memory" : "Nothing is stored here",
      long:
        pending > 0
          ? `This browser stores nothing for this page, and ${waiting} for the server. Keep the page open until they are there.`
          : "The server has everything. This browser stores nothing for this page, so offline changes would be lost with it.",
    };
  }
  return undefined;
}

function linkWords(status: SyncStatus, isSwitchedOff: boolean): Words {
  const { link, linkError, local, saved, sent, pending, refusal } = status;
  const here = count(local.changes + saved.changes + sent.changes || pending, "change", "changes");
  if (link === "starting") {
    return { tone: "waiting", brief: "Opening", long: "Opening what this device has." };
  }
  if (link === "refused" && linkError?.code === "unauthorized") {
    return {
      tone: "alarm",
      brief: "Token wanted",
      long: `The server wants to know who this is. ${pending > 0 ? `${here} stay on this device until then.` : "What is here can still be read."}`,
    };
  }
  if (link === "refused") {
    return {
      tone: "alarm",
      brief: "Refused",
      long: `The server refuses this browser (${refusal ?? "no reason given"}). ${pending > 0 ? `${here} stay on this device.` : "What is here can still be read."}`,
    };
  }
  if (local.changes > 0) {
    return {
      tone: "careful",
      brief: "Saving",
      long: `Saving ${count(local.changes, "change", "changes")} on this device.`,
    };
  }
  if (link === "online") {
    return pending > 0
      ? {
          tone: "waiting",
          brief: "Sending",
          long: `${here} saved on this device and on the way to the server.`,
        }
      : { tone: "safe", brief: "All safe", long: "Everything is saved on this device and on the server." };
  }
  const why = isSwitchedOff
    ? "You are offline"
    : link !== "connecting"
      ? "No network"
      : linkError && !PASSING.includes(linkError.code)
        ? sentence(linkError.message)
        : "No answer from the server";
  const then = isSwitchedOff ? "when you go online again" : "as soon as there is a link";
  return pending > 0
    ? {
        tone: "waiting",
        brief: isSwitchedOff ? "Offline" : "Not connected",
        long: `${why}. ${here} saved on this device, to be sent ${then}.`,
      }
    : {
        tone: "waiting",
        brief: isSwitchedOff ? "Offline" : "Not connected",
        long: `${why}. Go on working: changes are saved on this device and sent ${then}.`,
      };
}

/** Why there is no link where nobody can do anything about it but wait. */
const PASSING: readonly string[] = ["unreachable", "connect_timeout", "closed_by_server", "link_lost"];

function sentence(message: string): string {
  return message.charAt(0).toUpperCase() + message.slice(1);
}

/** What a rung means. */
export const RUNGS: { readonly [rung in Rung]: string } = {
  local: "in memory",
  saved: "saved on this device",
  sent: "sent, not yet confirmed",
  acknowledged: "on the server",
};

/** A number with its noun. */
export function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}

const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });
const dayOfYear = new Intl.DateTimeFormat("en", {
  day: "numeric",
  month: "short",
  year: "numeric",
  timeZone: "UTC",
});

/** A day in words, and how near it is. */
export function dueWords(
  due: string,
  now: Date,
): { readonly text: string; readonly state: "late" | "soon" | "far" } {
  const at = new Date(due);
  const today = Date.UTC(now.getFullYear(), now.getMonth(), now.getDate());
  const days = Math.round((at.getTime() - today) / 86_400_000);
  const text =
    Math.abs(days) <= 1
      ? (["Yesterday", "Today", "Tomorrow"][days + 1] as string)
      : (at.getUTCFullYear() === now.getFullYear() ? day : dayOfYear).format(at);
  return { text, state: days < 0 ? "late" : days <= 2 ? "soon" : "far" };
}
