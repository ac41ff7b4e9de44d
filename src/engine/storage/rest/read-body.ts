import { HoldfastError } from '../../../lib/errors.ts'
import { shortFile } from '../range.ts'
import type { ByteRange } from '../storage.ts'
import type { HttpReply } from './http-connection.ts'

export interface ReadBodyOptions {
  readonly object: string
  readonly location: string
  readonly range: ByteRange | undefined
  /** Where a range may be put. */
  readonly into?: Uint8Array | undefined
}

/** restic's packs are smaller than 4 GiB. */
const LARGEST_FILE = 4 * 2 ** 30

/**
 * The file, or exactly the range of it that was asked for, out of a reply of status 200 or 206.
 * @throws HoldfastError HF_STORAGE_SHORT when the file ends before the range; errors of the connection as they come
 */
export async function readBody(reply: HttpReply, options: ReadBodyOptions): Promise<Uint8Array> {
  const { body } = reply
  const { object, location, range, into } = options
  try {
    const part = reply.status === 206 ? contentRange(reply.headers['content-range']) : undefined
    const start = part?.offset ?? 0
    if (range === undefined ? start !== 0 : part !== undefined && start !== range.offset)
      throw refusal(options, 'the server sends another part of it than was asked for')
    const total = part?.total ?? (reply.status === 200 ? announcedLength(reply) : undefined)
    if (range !== undefined && total !== undefined && range.offset + range.length > total)
      throw shortFile(object, total, range, location)
    // A server that knows no ranges sends everything; what lies before the range is passed over.
    const skip = range === undefined || part !== undefined ? 0 : range.offset
    const wanted = range?.length ?? announcedLength(reply)
    if (wanted === undefined) return await readAll(reply, options)
    if (wanted > LARGEST_FILE) throw refusal(options, `it is too large: ${wanted} bytes`)
    const bytes = range !== undefined && into?.length === wanted ? into : new Uint8Array(wanted)
    let at = -skip
    for await (const piece of body as AsyncIterable<Buffer>) {
      const from = Math.max(0, -at)
      const taken = piece.subarray(from, wanted - at)
      if (from < piece.length && taken.length > 0) bytes.set(taken, at + from)
      at += piece.length
      if (at >= wanted && range !== undefined && part === undefined) break
      if (at > wanted) throw refusal(options, 'the server sends more of it than was asked for')
    }
    if (at < wanted)
      throw shortFile(
        object,
        Math.max(0, at) + (range?.offset ?? 0),
        range ?? { offset: 0, length: wanted },
        location,
        'later',
      )
    return bytes
  } finally {
    body.destroy()
  }
}

async function readAll({ body }: HttpReply, options: ReadBodyOptions): Promise<Uint8Array> {
  const pieces: Buffer[] = []
  let sizeBytes = 0
  for await (const piece of body as AsyncIterable<Buffer>) {
    pieces.push(piece)
    sizeBytes += piece.length
    if (sizeBytes > LARGEST_FILE) throw refusal(options, 'it is too large')
  }
  const bytes = new Uint8Array(sizeBytes)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

/** `bytes 1-2/5`; the total may be `*`. */
function contentRange(
  header: string | readonly string[] | undefined,
): { readonly offset: number; readonly total: number | undefined } | undefined {
  const match = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(String(header ?? ''))
  if (match === null) return undefined
  return { offset: Number(match[1]), total: match[2] === '*' ? undefined : Number(match[2]) }
}

function announcedLength({ headers }: HttpReply): number | undefined {
  const header = headers['content-length']
  return typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : undefined
}

const refusal = ({ object, location }: ReadBodyOptions, why: string): HoldfastError =>
  new HoldfastError('HF_STORAGE_IO', `cannot read ${object} in ${location}: ${why}`, {
    retry: 'never',
    context: { object, location },
  })
