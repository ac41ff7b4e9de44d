import { randomFillSync, randomInt } from 'node:crypto'

/** Cryptographically random bytes: nonces, salts, ids. */
export function randomBytes(length: number): Uint8Array {
  return randomFillSync(new Uint8Array(length))
}

/** A random integer in [0, limit). */
export function randomBelow(limit: number): number {
  return randomInt(limit)
}
