import { useSyncExternalStore } from "react";
import { remember } from "../link/memory.js";

export type Theme = "light" | "dark";

const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

/** The colours in use: those that were chosen here (`theme.js` shows them before anything is painted), or the system's. */
function theme(): Theme {
  const { theme: chosen } = document.documentElement.dataset;
  return chosen === "dark" || (chosen === undefined && dark.matches) ? "dark" : "light";
}

function switchTheme(): void {
  const next = theme() === "dark" ? "light" : "dark";
  const isSystems = (next === "dark") === dark.matches;
  if (isSystems) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  remember("theme", isSystems ? null : next);
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  dark.addEventListener("change", listener);
  return () => {
    listeners.delete(listener);
    dark.removeEventListener("change", listener);
  };
}

/** The colours in use, and what switches them. */
export function useTheme(): [theme: Theme, switchTheme: () => void] {
  return [useSyncExternalStore(subscribe, theme), switchTheme];
}
