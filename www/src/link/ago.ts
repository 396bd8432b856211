const STEPS: readonly (readonly [seconds: number, unit: Intl.RelativeTimeFormatUnit])[] = [
  [60, "second"],
  [3_600, "minute"],
  [86_400, "hour"],
  [2_592_000, "day"],
  [31_536_000, "month"],
  [Infinity, "year"],
];

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** How long ago something was. */
export function ago(time: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - time) / 1000));
  if (seconds < 5) return "just now";
  let unit = 1;
  for (const [limit, name] of STEPS) {
    if (seconds < limit) return relative.format(-Math.floor(seconds / unit), name);
    unit = limit;
  }
  return "long ago";
}
