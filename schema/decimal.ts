/**
 * Exact decimal arithmetic for `multipleOf`: a JSON number is the decimal it
 * is written as, so 0.3 is a multiple of 0.1 though the doubles are not.
 */

/** A number as `digits` times ten to the power of `exponent`. */
function decimal(value: number): { digits: bigint; exponent: number } {
  const [mantissa, power = "0"] = String(value).split("e");
  const [whole, fraction = ""] = mantissa.split(".");
  return {
    digits: BigInt(whole + fraction),
    exponent: Number(power) - fraction.length,
  };
}

/** Whether `value` is an integer times `divisor` (above 0), as decimals. */
export function isMultipleOf(value: number, divisor: number): boolean {
  if (Number.isSafeInteger(value) && Number.isSafeInteger(divisor)) {
    return value % divisor === 0;
  }
  if (!Number.isFinite(value)) return false;
  const a = decimal(value);
  const b = decimal(divisor);
  const exponent = Math.min(a.exponent, b.exponent);
  const scaled = (part: { digits: bigint; exponent: number }) =>
    part.digits * 10n ** BigInt(part.exponent - exponent);
  return scaled(a) % scaled(b) === 0n;
}
