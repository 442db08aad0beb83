/** Tables of text with aligned columns. */

/** Rows under upper-case heads; columns of numbers are set to the right. */
export function table(
  heads: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): string {
  const cells = [
    heads,
    ...rows.map((row) => row.map((cell) => String(cell ?? "-"))),
  ];
  const widths = heads.map((_, column) =>
    Math.max(...cells.map((row) => row[column].length))
  );
  const isNumeric = heads.map((_, column) =>
    rows.some((row) => typeof row[column] === "number")
  );
  return cells.map((row) => {
    const padded = row.map((cell, column) =>
      isNumeric[column]
        ? cell.padStart(widths[column])
        : cell.padEnd(widths[column])
    );
    return padded.join("  ").trimEnd() + "\n";
  }).join("");
}
