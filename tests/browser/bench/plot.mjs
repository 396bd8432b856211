/** Bars as SVG, in the looks of the plots that `tests/bench/src/plot.rs` writes. */
const COLOURS = ["#0072b2", "#56b4e9", "#e69f00", "#009e73"];
const WIDTH = 860;
const MARGIN = 16;
const NAMES = 400;
const FIGURES = 110;
const ROW = 22;

/** A plot of one bar for each name; a figure is written as the text beside it. */
export function bars(name, title, rows) {
  const most = Math.max(...rows.map(([, value]) => value));
  const whole = WIDTH - 2 * MARGIN - NAMES - FIGURES;
  const lines = rows.flatMap(([label, value, figure], at) => {
    const y = MARGIN + 28 + at * ROW;
    const width = Math.max(1, (whole * value) / most);
    const bar = `<rect x="${MARGIN + NAMES}" y="${y + 2}" width="${width.toFixed(1)}" height="15" rx="2" fill="${COLOURS[at % COLOURS.length]}"/>`;
    return [
      text(MARGIN + NAMES - 8, y + 13, "end", 12, label),
      bar,
      text(MARGIN + NAMES + width + 6, y + 13.5, "start", 12, figure),
    ];
  });
  const height = 2 * MARGIN + 28 + rows.length * ROW;
  const svg = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="system-ui, sans-serif" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" rx="8" fill="#ffffff"/>`,
    text(MARGIN, MARGIN + 14, "start", 15, title),
    ...lines,
    "</svg>\n",
  ].join("\n");
  return { name, title, svg };
}

function text(x, y, anchor, size, words) {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" font-size="${size}" fill="#1c2024">${escaped(words)}</text>`;
}

function escaped(words) {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
