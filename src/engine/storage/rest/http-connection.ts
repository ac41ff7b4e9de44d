import type { Readable } from 'node:stream'
import type { NetworkSettings } from '../network.ts'

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'DELETE'
  /** Absolute, encoded, with the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | undefined
  readonly signal?: AbortSignal | undefined
}

export interface HttpReply {
  readonly status: number
  /** By name in small letters. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** It has to be read to its end or destroyed. */
  readonly body: Readable
}

/** A way to one server. */
export interface HttpConnection {
  /** Resolves when the head of the reply is here. Fails with errors of the system and of TLS, and when nothing moves for too long. */
  send(request: HttpRequest): Promise<HttpReply>
  close(): Promise<void>
}

/** What nothing has moved on for `stuckRequestTimeoutMs` ends with. */
export function stuckError({ stuckRequestTimeoutMs }: Pick<NetworkSettings, 'stuckRequestTimeoutMs'>): Error {
  const error = new Error(`nothing moved for ${stuckRequestTimeoutMs / 1000} s`)
  return Object.assign(error, { code: 'ETIMEDOUT' })
}

/** Takes what is left of a body, so that its connection can be used again; gives up on a long one. Returns the first bytes. */
export async function drain(body: Readable): Promise<Buffer> {
  const pieces: Buffer[] = []
  let sizeBytes = 0
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      pieces.push(piece)
      sizeBytes += piece.length
      if (sizeBytes > LARGEST_DRAINED_BYTES) break
    }
  } catch {
    // The status was what mattered; a broken connection is replaced by the next call.
  }
  return Buffer.concat(pieces).subarray(0, LARGEST_DRAINED_BYTES)
}

const LARGEST_DRAINED_BYTES = 64 << 10
