/** What the page remembers on this device. A browser that stores nothing forgets it with the page. */
export function recall(key: string): string | null {
  try {
    return localStorage.getItem(`board.${key}`);
  } catch {
    return null;
  }
}

/** Remembers a text; null forgets it. */
export function remember(key: string, text: string | null): void {
  try {
    if (text === null) localStorage.removeItem(`board.${key}`);
    else localStorage.setItem(`board.${key}`, text);
  } catch {
    // The page works without it.
  }
}

/** Hears what another tab remembers. Gives what ends that. */
export function onRemembered(key: string, listener: (text: string | null) => void): () => void {
  const own = (event: StorageEvent): void => {
    if (event.key === `board.${key}`) listener(event.newValue);
  };
  addEventListener("storage", own);
  return () => removeEventListener("storage", own);
}
