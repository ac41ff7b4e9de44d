/** Limits that a server of this kind announces in its hello. */
export const MAX_MESSAGE_BYTES = 48_000_000
export const MAX_DOCUMENT_BYTES: number = 16 * 1024 * 1024
export const MAX_WRITE_BATCH = 100_000

const OP_REPLY = 1
const OP_QUERY = 2004
const OP_MSG = 2013
const HEADER_BYTES = 16
const CHECKSUM_PRESENT = 1
const MORE_TO_COME = 2
/** Bits a server must know; the upper ones may be ignored. */
const REQUIRED_BITS = 0xffff

/** A command as a client sent it. */
export interface Request {
  readonly requestId: number
  /** True for OP_QUERY, the old form, which only greetings may have. */
  readonly isOld: boolean
  readonly body: Buffer
  /** Document sequences by the name of the argument they stand for. */
  readonly sequences: ReadonlyMap<string, readonly Buffer[]>
  /** The client does not want a reply. */
  readonly moreToCome: boolean
}

/** Cuts what comes from a socket into messages. */
export class MessageReader {
  #chunks: Buffer[] = []
  #bytes = 0

  /** @throws RangeError when a message is too long or no message */
  push(chunk: Buffer): readonly Buffer[] {
    const messages: Buffer[] = []
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    while (this.#bytes >= HEADER_BYTES) {
      if (this.#chunks[0]!.length < HEADER_BYTES) this.#chunks = [Buffer.concat(this.#chunks)]
      const length = this.#chunks[0]!.readInt32LE(0)
      if (length < HEADER_BYTES || length > MAX_MESSAGE_BYTES) throw new RangeError(`a message of ${length} bytes`)
      if (this.#bytes < length) break
      const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
      this.#chunks = all.length > length ? [all.subarray(length)] : []
      this.#bytes = all.length - length
      messages.push(all.subarray(0, length))
    }
    return messages
  }
}

/**
 * The command in a message.
 * @throws RangeError when it is neither OP_MSG nor OP_QUERY, or malformed
 */
export function parseMessage(message: Buffer): Request {
  const requestId = message.readInt32LE(4)
  const code = message.readInt32LE(12)
  if (code === OP_QUERY) return parseQuery(message, requestId)
  if (code !== OP_MSG) throw new RangeError(`operation ${code}`)
  const flags = message.readUInt32LE(16)
  if ((flags & REQUIRED_BITS & ~(CHECKSUM_PRESENT | MORE_TO_COME)) !== 0) throw new RangeError(`flags ${flags}`)
  let end = message.length
  if ((flags & CHECKSUM_PRESENT) !== 0) {
    end -= 4
    if (message.readUInt32LE(end) !== crc32c(message.subarray(0, end))) throw new RangeError('a wrong checksum')
  }
  let body: Buffer | undefined
  const sequences = new Map<string, readonly Buffer[]>()
  for (let at = 20; at < end; ) {
    const kind = message[at]!
    const length = message.readInt32LE(at + 1)
    const next = at + 1 + length
    if (length < 5 || next > end) throw new RangeError('a section that does not fit')
    if (kind === 0) {
      if (body !== undefined) throw new RangeError('two bodies')
      body = message.subarray(at + 1, next)
    } else if (kind === 1) {
      const nameEnd = message.indexOf(0, at + 5)
      sequences.set(message.toString('utf8', at + 5, nameEnd), sequence(message.subarray(nameEnd + 1, next)))
    } else {
      throw new RangeError(`section of kind ${kind}`)
    }
    at = next
  }
  if (body === undefined) throw new RangeError('no body')
  return { requestId, isOld: false, body, sequences, moreToCome: (flags & MORE_TO_COME) !== 0 }
}

function sequence(bytes: Buffer): readonly Buffer[] {
  const documents: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readInt32LE(at)
    if (length < 5 || at + length > bytes.length) throw new RangeError('a document that does not fit')
    documents.push(bytes.subarray(at, at + length))
    at += length
  }
  return documents
}

function parseQuery(message: Buffer, requestId: number): Request {
  const name = message.toString('utf8', 20, message.indexOf(0, 20))
  if (!name.endsWith('.$cmd')) throw new RangeError(`OP_QUERY of ${name}`)
  const start = message.indexOf(0, 20) + 9
  const body = message.subarray(start, start + message.readInt32LE(start))
  return { requestId, isOld: true, body, sequences: new Map(), moreToCome: false }
}

let nextRequestId = 1

/** What stands before `body` in the message that answers a request. */
export function replyHead({ requestId, isOld }: Pick<Request, 'requestId' | 'isOld'>, body: Buffer): Buffer {
  const between = isOld ? 20 : 5
  const head = Buffer.alloc(HEADER_BYTES + between)
  head.writeInt32LE(head.length + body.length, 0)
  head.writeInt32LE(nextRequestId++ & 0x7fff_ffff, 4)
  head.writeInt32LE(requestId, 8)
  head.writeInt32LE(isOld ? OP_REPLY : OP_MSG, 12)
  if (isOld) {
    // Capable of awaitData; one document.
    head.writeInt32LE(8, 16)
    head.writeInt32LE(1, 32)
  }
  return head
}

const CRC32C: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1
  return crc
})

/** CRC-32C (Castagnoli), as at the end of messages with a checksum. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC32C[(crc ^ byte) & 0xff]!
  return ~crc >>> 0
}
