/** The middle one of some figures. */
export function median(samples) {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)];
}

/** How times look, given in milliseconds: the middle, and what nine of ten do not exceed. */
export function times(samples) {
  const late = samples.toSorted((a, b) => a - b)[Math.floor(samples.length * 0.9)];
  return [median(samples), late].map(duration);
}

export function duration(ms) {
  if (ms < 1) return `${(ms * 1000).toPrecision(3)} µs`;
  return ms < 1000 ? `${ms.toPrecision(3)} ms` : `${(ms / 1000).toPrecision(3)} s`;
}

export function mebibytes(bytes) {
  return `${(bytes / (1 << 20)).toFixed(2)} MiB`;
}

/** A table of Markdown below a heading, and a plot where there is one. */
export function table(heading, columns, rows, plot) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const ruler = `|---|${columns
    .slice(1)
    .map(() => "---:|")
    .join("")}`;
  return { table: [`### ${heading}`, "", line(columns), ruler, ...rows.map(line)].join("\n"), plot };
}
