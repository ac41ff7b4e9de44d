import { constants, openSync } from 'node:fs'
import { constants as systemConstants } from 'node:os'
import { HoldfastError } from '../../lib/errors.ts'
import { type NativeFunction, nativeLibrary } from '../../lib/native.ts'
import { libc } from './libc.ts'

/** Memory, places in files and lengths of direct writes are multiples of this; no file system in use asks for more. */
export const DIRECT_BLOCK_BYTES = 4096

/** `struct iocb` and `struct io_event` of linux/aio_abi.h. */
const REQUEST_BYTES = 64
const EVENT_BYTES = 32
const WRITE = 1
const SYNC = 2

/** Numbers of the calls, which the C library does not export. */
interface Calls {
  readonly setup: number
  readonly destroy: number
  readonly getEvents: number
  readonly submit: number
}

const callsOf: Partial<Record<NodeJS.Architecture, Calls>> = {
  x64: { setup: 206, destroy: 207, getEvents: 208, submit: 209 },
  arm64: { setup: 0, destroy: 1, submit: 2, getEvents: 4 },
}

/** What is told of a request when it has ended: bytes written, fewer than asked for where the disk is full; 0 of a sync; a negated errno. */
export type OnEnd = (result: number) => void

interface Request {
  /** Kept reachable while the system reads it. */
  readonly bytes: Uint8Array | undefined
  readonly onEnd: OnEnd
}

/** How to reach the system. */
interface Access {
  readonly syscall: NativeFunction
  readonly calls: Calls
  readonly context: number
  readonly addressOf: (view: Uint8Array) => number
}

/**
 * Writes and syncs that the system works on while the thread goes on (Linux's asynchronous I/O). Belongs to one thread. Writes go from our
 * memory to the disk, past the system's cache. What is refused is to be done in the ordinary way; so is a write that fails, which tells what
 * is wrong.
 */
export class AsyncIo implements Disposable {
  readonly #access: Access
  readonly #depth: number
  readonly #running: (Request | undefined)[]
  readonly #free: number[]
  readonly #requests: DataView
  readonly #requestPointer = new BigUint64Array(1)
  readonly #events: DataView
  /** A `struct timespec` of zeros. */
  readonly #noTime = new Uint8Array(16)

  private constructor(access: Access, depth: number) {
    this.#access = access
    this.#depth = depth
    this.#running = new Array<Request | undefined>(depth)
    this.#free = Array.from({ length: depth }, (_, slot) => slot)
    this.#requests = new DataView(new ArrayBuffer(depth * REQUEST_BYTES))
    this.#events = new DataView(new ArrayBuffer(depth * EVENT_BYTES))
  }

  /**
   * Undefined where the system has none to give.
   * @param depth requests that may be under way at a time
   */
  static create(depth: number): AsyncIo | undefined {
    const library = nativeLibrary()
    const calls = callsOf[process.arch]
    if (library === undefined || libc() === undefined || calls === undefined) return undefined
    const address = 'uintptr_t'
    const syscall = library.func('syscall', 'intptr_t', ['intptr_t', address, 'intptr_t', 'intptr_t', address, address])
    if (syscall === undefined) return undefined
    const context = new BigUint64Array(1)
    const addressOf = (view: Uint8Array): number => library.addressOf(view)
    if (syscall(calls.setup, depth, addressOf(bytesOf(context)), 0, 0, 0) !== 0) return undefined
    return new AsyncIo({ syscall, calls, context: Number(context[0]), addressOf }, depth)
  }

  /** Requests of which nobody has been told yet that they have ended. */
  get pending(): number {
    return this.#depth - this.#free.length
  }

  /**
   * Begins to write whole blocks. They must not change until `onEnd` has been called, which only `waitForOne`, `collect` and a later request
   * do. What a failure was is told by writing in the ordinary way.
   * @param fd as of `openDirectly`
   * @returns false when nothing was begun
   */
  write(fd: number, bytes: Uint8Array, offset: number, onEnd: OnEnd): boolean {
    const address = this.#access.addressOf(bytes)
    if ([address, bytes.length, offset].some((number) => number % DIRECT_BLOCK_BYTES !== 0)) return false
    return this.#begin(WRITE, fd, address, bytes.length, offset, { bytes, onEnd })
  }

  /** Begins to bring a file, or the names in a folder, to the disk. @returns false when nothing was begun */
  sync(fd: number, onEnd: OnEnd): boolean {
    return this.#begin(SYNC, fd, 0, 0, 0, { bytes: undefined, onEnd })
  }

  /** Waits until at least one request has ended, and tells of all that have. Does nothing when none is under way. */
  waitForOne(): void {
    if (this.pending > 0) this.#tell(1, 0)
  }

  /** Tells of all requests that have ended, without waiting. */
  collect(): void {
    if (this.pending > 0) this.#tell(0, this.#access.addressOf(this.#noTime))
  }

  /** Waits for what is under way, and tells nobody of it. */
  close(): void {
    const { syscall, calls, context } = this.#access
    syscall(calls.destroy, context, 0, 0, 0, 0)
    this.#running.fill(undefined)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #begin(operation: number, fd: number, address: number, length: number, offset: number, request: Request): boolean {
    while (this.#free.length === 0) this.waitForOne()
    const { syscall, calls, context, addressOf } = this.#access
    const slot = this.#free.at(-1)!
    const at = slot * REQUEST_BYTES
    const requests = this.#requests
    requests.setBigUint64(at, BigInt(slot), true)
    requests.setUint16(at + 16, operation, true)
    requests.setInt32(at + 20, fd, true)
    requests.setBigUint64(at + 24, BigInt(address), true)
    requests.setBigUint64(at + 32, BigInt(length), true)
    requests.setBigInt64(at + 40, BigInt(offset), true)
    this.#requestPointer[0] = BigInt(addressOf(bytesOf(requests)) + at)
    if (syscall(calls.submit, context, 1, addressOf(bytesOf(this.#requestPointer)), 0, 0) !== 1) return false
    this.#free.pop()
    this.#running[slot] = request
    return true
  }

  #tell(least: number, timeout: number): void {
    const { syscall, calls, context, addressOf } = this.#access
    const events = this.#events
    const count = syscall(calls.getEvents, context, least, this.#depth, addressOf(bytesOf(events)), timeout)
    if (count < 0 && libc()!.errno() !== systemConstants.errno.EINTR)
      throw new HoldfastError('HF_INTERNAL', 'the system does not tell what became of asynchronous requests')
    const ended: { readonly request: Request; readonly result: number }[] = []
    for (let i = 0; i < count; i++) {
      const slot = Number(events.getBigUint64(i * EVENT_BYTES, true))
      ended.push({ request: this.#running[slot]!, result: Number(events.getBigInt64(i * EVENT_BYTES + 16, true)) })
      this.#running[slot] = undefined
      this.#free.push(slot)
    }
    for (const { request, result } of ended) request.onEnd(result)
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

/**
 * Another descriptor of a file that is open for writing, for direct writes alone; undefined when its file system, or who may write to it,
 * does not allow one.
 */
export function openDirectly(fd: number): number | undefined {
  if (constants.O_DIRECT === undefined) return undefined
  try {
    // The file itself, whatever its name is by now.
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_DIRECT | constants.O_NONBLOCK)
  } catch {
    return undefined
  }
}

/** Memory for direct writes. */
export function directMemory(bytes: number): Uint8Array {
  const library = nativeLibrary()
  if (library === undefined) return new Uint8Array(bytes)
  const memory = new Uint8Array(bytes + DIRECT_BLOCK_BYTES)
  const beyond = library.addressOf(memory) % DIRECT_BLOCK_BYTES
  return memory.subarray(beyond === 0 ? 0 : DIRECT_BLOCK_BYTES - beyond).subarray(0, bytes)
}
