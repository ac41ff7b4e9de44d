import { HoldfastError } from '../../lib/errors.ts'
import { compressBound, decompressAll, type Zstd } from '../kernels/zstd.ts'
import type { RepositoryVersion } from './config.ts'

/** Index, snapshot and lock files never come near this; more is an attack or damage. */
const MAX_PAYLOAD_BYTES = 1024 * 1024 * 1024

const COMPRESSED = 2
const BRACE = 0x7b
const BRACKET = 0x5b

/** The payload of an index, snapshot or lock file before sealing: 0x02 and one zstd frame, bare JSON in version 1 repositories. */
export function encodePayload(json: Uint8Array, version: RepositoryVersion, zstd: Zstd): Uint8Array {
  if (version === 1) return json
  const payload = new Uint8Array(1 + compressBound(json.length))
  payload[0] = COMPRESSED
  return payload.subarray(0, 1 + zstd.compress(json, payload.subarray(1)))
}

/**
 * The JSON of an opened payload.
 * @throws HoldfastError HF_DATA_DAMAGED for an unknown encoding or a broken frame; `what` names the file in the message.
 */
export function decodePayload(payload: Uint8Array, what: string): Uint8Array {
  const first = payload[0]
  if (first === undefined || first === BRACE || first === BRACKET) return payload
  if (first !== COMPRESSED) throw new HoldfastError('HF_DATA_DAMAGED', `${what} has the unknown encoding ${first}`)
  return decompressAll(payload.subarray(1), MAX_PAYLOAD_BYTES)
}
