import type { Id } from '../../lib/id.ts'

/** The ids of a run of 32-byte hashes. */
export function hexIds(ids: Uint8Array): Id[] {
  const hex = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength).toString('hex')
  const list: Id[] = []
  for (let at = 0; at < hex.length; at += 64) list.push(hex.slice(at, at + 64))
  return list
}

/** The reverse: 32 bytes for each id. */
export const idBytes = (ids: readonly Id[]): Uint8Array => Buffer.from(ids.join(''), 'hex')
