import { constants, openSync } from 'node:fs'
import { constants as systemConstants } from 'node:os'
import { HoldfastError } from '../../lib/errors.ts'
import { type NativeFunction, nativeLibrary } from '../../lib/native.ts'
import { libc } from './libc.ts'

/** Memory, places in files and lengths of direct writes are multiples of this; no file system in use asks for more. */
export const DIRECT_BLOCK_BYTES = 4096

/** Writes of one thread that may be under way at a time. */
const DEPTH = 32

/** `struct iocb` and `struct io_event` of linux/aio_abi.h. */
const REQUEST_BYTES = 64
const EVENT_BYTES = 32
const WRITE = 1

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

/** What is told of a write when it has ended: bytes written, fewer than asked for where the disk is full, or a negated errno. */
export type OnWritten = (written: number) => void

interface Write {
  /** Kept reachable while the system reads it. */
  readonly bytes: Uint8Array
  readonly onWritten: OnWritten
}

/**
 * Writes that go from our memory to the disk, past the system's cache, while the thread goes on (Linux's asynchronous I/O). Belongs to one
 * thread. Who uses it keeps an ordinary descriptor at hand: any write may be refused or fail, and is then to be done in the ordinary way,
 * which also tells what is wrong.
 */
export class DirectWrites implements Disposable {
  readonly #syscall: NativeFunction
  readonly #calls: Calls
  readonly #context: number
  readonly #writes: (Write | undefined)[] = new Array<Write | undefined>(DEPTH)
  readonly #free: number[] = Array.from({ length: DEPTH }, (_, slot) => slot)
  readonly #requests = new DataView(new ArrayBuffer(DEPTH * REQUEST_BYTES))
  readonly #requestPointer = new BigUint64Array(1)
  readonly #events = new DataView(new ArrayBuffer(DEPTH * EVENT_BYTES))
  readonly #addressOf: (view: Uint8Array) => number

  private constructor(syscall: NativeFunction, calls: Calls, context: number, addressOf: (view: Uint8Array) => number) {
    this.#syscall = syscall
    this.#calls = calls
    this.#context = context
    this.#addressOf = addressOf
  }

  /** Undefined where the system has none to give. */
  static create(): DirectWrites | undefined {
    const library = nativeLibrary()
    const calls = callsOf[process.arch]
    if (library === undefined || libc() === undefined || calls === undefined) return undefined
    const address = 'uintptr_t'
    const syscall = library.func('syscall', 'intptr_t', ['intptr_t', address, 'intptr_t', 'intptr_t', address, address])
    if (syscall === undefined) return undefined
    const context = new BigUint64Array(1)
    if (syscall(calls.setup, DEPTH, library.addressOf(bytesOf(context)), 0, 0, 0) !== 0) return undefined
    return new DirectWrites(syscall, calls, Number(context[0]), (view) => library.addressOf(view))
  }

  /** Writes that have not ended. */
  get pending(): number {
    return DEPTH - this.#free.length
  }

  /**
   * Begins to write whole blocks. They must not change until `onWritten` has been called, which only `waitForOne` does.
   * @param fd as of `openDirectly`
   * @returns false when nothing was begun
   */
  begin(fd: number, bytes: Uint8Array, offset: number, onWritten: OnWritten): boolean {
    const address = this.#addressOf(bytes)
    if ([address, bytes.length, offset].some((number) => number % DIRECT_BLOCK_BYTES !== 0)) return false
    if (this.#free.length === 0) this.waitForOne()
    const slot = this.#free.at(-1)!
    const at = slot * REQUEST_BYTES
    const requests = this.#requests
    requests.setBigUint64(at, BigInt(slot), true)
    requests.setUint16(at + 16, WRITE, true)
    requests.setInt32(at + 20, fd, true)
    requests.setBigUint64(at + 24, BigInt(address), true)
    requests.setBigUint64(at + 32, BigInt(bytes.length), true)
    requests.setBigInt64(at + 40, BigInt(offset), true)
    this.#requestPointer[0] = BigInt(this.#addressOf(bytesOf(requests)) + at)
    const pointer = this.#addressOf(bytesOf(this.#requestPointer))
    if (this.#syscall(this.#calls.submit, this.#context, 1, pointer, 0, 0) !== 1) return false
    this.#free.pop()
    this.#writes[slot] = { bytes, onWritten }
    return true
  }

  /** Waits until at least one write has ended, and tells of all that have. Does nothing when none is under way. */
  waitForOne(): void {
    if (this.pending === 0) return
    const events = this.#events
    const count = this.#syscall(this.#calls.getEvents, this.#context, 1, DEPTH, this.#addressOf(bytesOf(events)), 0)
    if (count < 0 && libc()!.errno() !== systemConstants.errno.EINTR)
      throw new HoldfastError('HF_INTERNAL', 'the system does not tell what became of asynchronous writes')
    for (let i = 0; i < count; i++) {
      const slot = Number(events.getBigUint64(i * EVENT_BYTES, true))
      const { onWritten } = this.#writes[slot]!
      this.#writes[slot] = undefined
      this.#free.push(slot)
      onWritten(Number(events.getBigInt64(i * EVENT_BYTES + 16, true)))
    }
  }

  /** Waits for what is under way, and tells nobody of it. */
  close(): void {
    this.#syscall(this.#calls.destroy, this.#context, 0, 0, 0, 0)
    this.#writes.fill(undefined)
  }

  [Symbol.dispose](): void {
    this.close()
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
