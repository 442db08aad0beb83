/** Bytes as people read them, in the units that `--throttle` takes. */

const UNITS = ["B", "KB", "MB", "GB", "TB", "PB"] as const;

/** "999 B", "1.0 KB", "12 MB": two digits or more. */
export function byteText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be shown as 1000 is 1.0 of the next.
  while (Math.round(value) >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const hasFraction = unit > 0 && Math.round(value * 10) < 100;
  return `${value.toFixed(hasFraction ? 1 : 0)} ${UNITS[unit]}`;
}
