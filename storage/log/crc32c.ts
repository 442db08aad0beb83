/** CRC-32C (Castagnoli), the checksum of record batches, in WebAssembly. */
import { crc32c as wasmCrc32c } from "@platformatic/wasm-utils/bundled";

/** The unsigned CRC-32C of all of `bytes`; a view into a larger buffer is fine. */
export function crc32c(bytes: Uint8Array): number {
  return wasmCrc32c(bytes);
}
