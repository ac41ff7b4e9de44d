/** SFTP version 3, draft-ietf-secsh-filexfer-02, and the extensions of OpenSSH that are used (its file PROTOCOL). */

export const packet = {
  INIT: 1,
  VERSION: 2,
  OPEN: 3,
  CLOSE: 4,
  READ: 5,
  WRITE: 6,
  LSTAT: 7,
  FSTAT: 8,
  FSETSTAT: 10,
  OPENDIR: 11,
  READDIR: 12,
  REMOVE: 13,
  MKDIR: 14,
  RMDIR: 15,
  STAT: 17,
  RENAME: 18,
  STATUS: 101,
  HANDLE: 102,
  DATA: 103,
  NAME: 104,
  ATTRS: 105,
  EXTENDED: 200,
  EXTENDED_REPLY: 201,
} as const

export const status = {
  OK: 0,
  EOF: 1,
  NO_SUCH_FILE: 2,
  PERMISSION_DENIED: 3,
  FAILURE: 4,
  BAD_MESSAGE: 5,
  NO_CONNECTION: 6,
  CONNECTION_LOST: 7,
  OP_UNSUPPORTED: 8,
} as const

export const openFlag = { READ: 1, WRITE: 2, CREATE: 8, EXCLUSIVE: 0x20 } as const

const attribute = { SIZE: 1, UIDGID: 2, PERMISSIONS: 4, TIMES: 8, EXTENDED: 0x80000000 } as const

/** What a server says of a file; each part only when it wants to. */
export interface Attributes {
  readonly sizeBytes: number | undefined
  /** Type and permissions as in `st_mode`. */
  readonly mode: number | undefined
  /** Seconds since 1970. */
  readonly modified: number | undefined
}

export const isFolder = ({ mode }: Attributes): boolean => mode !== undefined && (mode & 0o170000) === 0o040000

/** Some servers leave the type out. */
export const isFile = ({ mode }: Attributes): boolean =>
  mode === undefined || (mode & 0o170000) === 0o100000 || (mode & 0o170000) === 0

/** A server does not speak the protocol. */
export class ProtocolError extends Error {}

/** Puts a packet together, with room for its length in front. */
export class PacketWriter {
  readonly #parts: Buffer[] = []
  #sizeBytes = 0

  constructor(type: number, id?: number) {
    this.#add(Buffer.from([0, 0, 0, 0, type]))
    if (id !== undefined) this.uint32(id)
  }

  uint32(value: number): this {
    const bytes = Buffer.allocUnsafe(4)
    bytes.writeUInt32BE(value)
    return this.#add(bytes)
  }

  uint64(value: number): this {
    const bytes = Buffer.allocUnsafe(8)
    bytes.writeBigUInt64BE(BigInt(value))
    return this.#add(bytes)
  }

  string(value: string | Uint8Array): this {
    const bytes = Buffer.from(value)
    return this.uint32(bytes.length).#add(bytes)
  }

  /** Attributes with nothing but permissions, or with nothing at all. */
  permissions(mode: number | undefined): this {
    return mode === undefined ? this.uint32(0) : this.uint32(attribute.PERMISSIONS).uint32(mode)
  }

  /** @param following bytes that are sent behind this and belong to it */
  finish(following = 0): Buffer {
    const all = Buffer.concat(this.#parts, this.#sizeBytes)
    all.writeUInt32BE(all.length - 4 + following, 0)
    return all
  }

  #add(bytes: Buffer): this {
    this.#parts.push(bytes)
    this.#sizeBytes += bytes.length
    return this
  }
}

/** Reads the body of a packet behind its type. @throws ProtocolError past its end */
export class PacketReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  uint32(): number {
    return this.#take(4).readUInt32BE(0)
  }

  /** @throws ProtocolError also beyond 2^53 */
  uint64(): number {
    const value = Number(this.#take(8).readBigUInt64BE(0))
    if (!Number.isSafeInteger(value)) throw new ProtocolError('a number is too large')
    return value
  }

  /** A number for reckoning, which need not be exact. */
  roughUint64(): number {
    return Number(this.#take(8).readBigUInt64BE(0))
  }

  /** Shares memory with the packet. */
  bytes(): Buffer {
    return this.#take(this.uint32())
  }

  string(): string {
    return this.bytes().toString('utf8')
  }

  attributes(): Attributes {
    const flags = this.uint32()
    const has = (flag: number): boolean => (flags & flag) !== 0
    const sizeBytes = has(attribute.SIZE) ? this.uint64() : undefined
    if (has(attribute.UIDGID)) this.#take(8)
    const mode = has(attribute.PERMISSIONS) ? this.uint32() : undefined
    let modified: number | undefined
    if (has(attribute.TIMES)) {
      this.#take(4)
      modified = this.uint32()
    }
    if (has(attribute.EXTENDED)) {
      for (let left = this.uint32(); left > 0; left -= 1) {
        this.bytes()
        this.bytes()
      }
    }
    return { sizeBytes, mode, modified }
  }

  #take(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new ProtocolError('a packet ends too early')
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }
}
