import type { Duplex } from 'node:stream'
import { PacketStream } from './packet-stream.ts'
import { type Attributes, openFlag, PacketReader, PacketWriter, ProtocolError, packet, status } from './protocol.ts'

/** A server's refusal. */
export class SftpStatusError extends Error {
  /** One of `status`. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Names a file that a server has opened. */
export type Handle = Buffer

export interface FolderEntry {
  readonly name: string
  readonly attributes: Attributes
}

export interface FileSystemState {
  readonly freeBytes: number
  readonly isReadOnly: boolean
}

/** Extensions of OpenSSH, in the versions that are spoken here. */
const extensions = {
  'posix-rename@openssh.com': '1',
  'fsync@openssh.com': '1',
  'statvfs@openssh.com': '2',
} as const

export type ExtensionName = keyof typeof extensions

/** What the stream of a server leads to: a process or a channel, and how it is left. */
export interface SftpTransport {
  readonly stream: Duplex
  /** Resolves when there is nobody at the other end any more, which the stream may not notice. */
  readonly closed: Promise<unknown>
  /** Whether work is under way, so that the process has to stay for it. */
  setBusy(isBusy: boolean): void
  /** What is known of why the stream ended; undefined when nothing is. */
  explain(): Promise<Error | undefined>
  close(): Promise<void>
}

interface Pending {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: unknown) => void
}

interface Reply {
  readonly type: number
  readonly body: PacketReader
}

const VERSION = 3
const READ_ONLY_FLAG = 1

/**
 * One conversation with an SFTP server. Any number of requests may be on their way; servers of OpenSSH carry them out in the order they were sent.
 * Methods fail with SftpStatusError when the server refuses, and with the error of the connection when it broke.
 */
export class SftpClient {
  readonly #transport: SftpTransport
  readonly #stuckMs: number
  readonly #pending = new Map<number, Pending>()
  readonly #extensions = new Set<ExtensionName>()
  readonly #versionCame = Promise.withResolvers<void>()
  #nextId = 0
  #failure: Error | undefined
  #stuckTimer: NodeJS.Timeout | undefined

  private constructor(transport: SftpTransport, stuckMs: number) {
    this.#transport = transport
    this.#stuckMs = stuckMs
    const packets = new PacketStream((bytes) => this.#take(bytes))
    const { stream } = transport
    stream.on('data', (piece: Buffer) => {
      this.#watch()
      try {
        packets.push(piece)
      } catch (error) {
        this.#fail(error as Error)
      }
    })
    stream.on('error', (error: Error) => this.#ended(error))
    stream.on('close', () => this.#ended())
    stream.on('end', () => this.#ended())
    transport.closed.then(
      () => this.#ended(),
      (error: Error) => this.#ended(error),
    )
  }

  /** Agrees with the server on version 3. @param stuckMs gives up when nothing has come for so long while something is awaited */
  static async connect(transport: SftpTransport, stuckMs: number): Promise<SftpClient> {
    const client = new SftpClient(transport, stuckMs)
    transport.setBusy(true)
    client.#watch()
    transport.stream.write(new PacketWriter(packet.INIT).uint32(VERSION).finish())
    await client.#versionCame.promise
    client.#watch()
    return client
  }

  get isUsable(): boolean {
    return this.#failure === undefined
  }

  has(extension: ExtensionName): boolean {
    return this.#extensions.has(extension)
  }

  openForReading(path: string): Promise<Handle> {
    return this.#handle(packet.OPEN, (writer) => writer.string(path).uint32(openFlag.READ).permissions(undefined))
  }

  /** Fails when there is something of this name. */
  openNew(path: string, mode: number): Promise<Handle> {
    const flags = openFlag.WRITE | openFlag.CREATE | openFlag.EXCLUSIVE
    return this.#handle(packet.OPEN, (writer) => writer.string(path).uint32(flags).permissions(mode))
  }

  async close(handle: Handle): Promise<void> {
    await this.#ok(packet.CLOSE, (writer) => writer.string(handle))
  }

  /** Up to `length` bytes; undefined at the end of the file. */
  async read(handle: Handle, offset: number, length: number): Promise<Buffer | undefined> {
    try {
      const body = await this.#reply(packet.READ, packet.DATA, (writer) =>
        writer.string(handle).uint64(offset).uint32(length),
      )
      const data = body.bytes()
      if (data.length > length) throw new ProtocolError('more data than was asked for')
      return data
    } catch (error) {
      if (error instanceof SftpStatusError && error.status === status.EOF) return undefined
      throw error
    }
  }

  async write(handle: Handle, offset: number, data: Uint8Array): Promise<void> {
    await this.#ok(packet.WRITE, (writer) => writer.string(handle).uint64(offset).uint32(data.length), data)
  }

  async stat(path: string): Promise<Attributes> {
    return (await this.#reply(packet.STAT, packet.ATTRS, (writer) => writer.string(path))).attributes()
  }

  async statOpen(handle: Handle): Promise<Attributes> {
    return (await this.#reply(packet.FSTAT, packet.ATTRS, (writer) => writer.string(handle))).attributes()
  }

  async setMode(handle: Handle, mode: number): Promise<void> {
    await this.#ok(packet.FSETSTAT, (writer) => writer.string(handle).permissions(mode))
  }

  openFolder(path: string): Promise<Handle> {
    return this.#handle(packet.OPENDIR, (writer) => writer.string(path))
  }

  /** The next entries of a folder; undefined when there are no more. */
  async readFolder(handle: Handle): Promise<FolderEntry[] | undefined> {
    try {
      const body = await this.#reply(packet.READDIR, packet.NAME, (writer) => writer.string(handle))
      const entries: FolderEntry[] = []
      for (let left = body.uint32(); left > 0; left -= 1) {
        const name = body.string()
        body.bytes()
        entries.push({ name, attributes: body.attributes() })
      }
      return entries
    } catch (error) {
      if (error instanceof SftpStatusError && error.status === status.EOF) return undefined
      throw error
    }
  }

  async makeFolder(path: string, mode: number): Promise<void> {
    await this.#ok(packet.MKDIR, (writer) => writer.string(path).permissions(mode))
  }

  /** Of an empty folder. */
  async removeFolder(path: string): Promise<void> {
    await this.#ok(packet.RMDIR, (writer) => writer.string(path))
  }

  async remove(path: string): Promise<void> {
    await this.#ok(packet.REMOVE, (writer) => writer.string(path))
  }

  /** Fails when there is something of the new name. */
  async rename(from: string, to: string): Promise<void> {
    await this.#ok(packet.RENAME, (writer) => writer.string(from).string(to))
  }

  /** Replaces what has the new name. Needs `posix-rename@openssh.com`. */
  async replace(from: string, to: string): Promise<void> {
    await this.#ok(packet.EXTENDED, (writer) => writer.string('posix-rename@openssh.com').string(from).string(to))
  }

  /** Needs `fsync@openssh.com`. */
  async sync(handle: Handle): Promise<void> {
    await this.#ok(packet.EXTENDED, (writer) => writer.string('fsync@openssh.com').string(handle))
  }

  /** Of the file system that `path` lies on. Needs `statvfs@openssh.com`. */
  async fileSystem(path: string): Promise<FileSystemState> {
    const body = await this.#reply(packet.EXTENDED, packet.EXTENDED_REPLY, (writer) =>
      writer.string('statvfs@openssh.com').string(path),
    )
    // Sizes of blocks and pieces, pieces altogether, free, and free for us, the same of files, an id, flags.
    const numbers = Array.from({ length: 10 }, () => body.roughUint64())
    return { freeBytes: numbers[1]! * numbers[4]!, isReadOnly: (numbers[9]! & READ_ONLY_FLAG) !== 0 }
  }

  /** Ends the conversation; what is still awaited fails. */
  async end(): Promise<void> {
    this.#fail(new Error('the connection was closed'))
    await this.#transport.close()
  }

  async #ok(type: number, fill: (writer: PacketWriter) => PacketWriter, data?: Uint8Array): Promise<void> {
    const reply = await this.#send(type, fill, data)
    if (reply.type !== packet.STATUS) throw this.#unexpected(reply)
    requireOk(reply.body)
  }

  async #reply(type: number, expected: number, fill: (writer: PacketWriter) => PacketWriter): Promise<PacketReader> {
    const reply = await this.#send(type, fill)
    if (reply.type === expected) return reply.body
    if (reply.type === packet.STATUS) requireOk(reply.body)
    throw this.#unexpected(reply)
  }

  async #handle(type: number, fill: (writer: PacketWriter) => PacketWriter): Promise<Handle> {
    return (await this.#reply(type, packet.HANDLE, fill)).bytes()
  }

  #send(type: number, fill: (writer: PacketWriter) => PacketWriter, data?: Uint8Array): Promise<Reply> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const id = this.#nextId
    this.#nextId = (this.#nextId + 1) % 2 ** 32
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    this.#pending.set(id, { resolve, reject })
    if (this.#pending.size === 1) {
      this.#transport.setBusy(true)
      this.#watch()
    }
    const { stream } = this.#transport
    const head = fill(new PacketWriter(type, id)).finish(data?.length)
    if (data === undefined) stream.write(head)
    else {
      stream.cork()
      stream.write(head)
      stream.write(data)
      stream.uncork()
    }
    return promise
  }

  #take(bytes: Buffer): void {
    const type = bytes[0]!
    const body = new PacketReader(bytes.subarray(1))
    if (type === packet.VERSION) {
      this.#takeVersion(body)
      return
    }
    const id = body.uint32()
    const pending = this.#pending.get(id)
    if (pending === undefined) throw new ProtocolError('an answer to nothing that was asked')
    this.#pending.delete(id)
    pending.resolve({ type, body })
    if (this.#pending.size === 0) {
      clearTimeout(this.#stuckTimer)
      this.#transport.setBusy(false)
    }
  }

  #takeVersion(body: PacketReader): void {
    if (body.uint32() < VERSION) throw new ProtocolError('an older version of SFTP than 3')
    while (!body.isAtEnd) {
      const name = body.string()
      const version = body.string()
      if (extensions[name as ExtensionName] === version) this.#extensions.add(name as ExtensionName)
    }
    this.#versionCame.resolve()
  }

  /** Starts the time anew in which something has to come. */
  #watch(): void {
    clearTimeout(this.#stuckTimer)
    if (this.#failure !== undefined) return
    this.#stuckTimer = setTimeout(() => {
      const error = new Error(`nothing came for ${this.#stuckMs / 1000} s`)
      this.#fail(Object.assign(error, { code: 'ETIMEDOUT' }))
    }, this.#stuckMs)
  }

  #ended(error = new Error('the server ended the connection')): void {
    if (this.#failure !== undefined) return
    this.#transport.explain().then(
      (reason) => this.#fail(reason ?? error),
      () => this.#fail(error),
    )
  }

  #unexpected(reply: Reply): ProtocolError {
    const error = new ProtocolError(`an answer of the wrong kind: ${reply.type}`)
    this.#fail(error)
    return error
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    clearTimeout(this.#stuckTimer)
    this.#versionCame.reject(error)
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
    this.#transport.setBusy(false)
    this.#transport.close().catch(() => undefined)
  }
}

function requireOk(body: PacketReader): void {
  const code = body.uint32()
  if (code === status.OK) return
  throw new SftpStatusError(code, body.isAtEnd ? '' : body.string())
}
