import { asBuffer, toHex } from '../../../lib/bytes.ts'
import { ID_BYTES, type Id } from '../../../lib/id.ts'
import type { PackToCheck } from './pack-checker.ts'
import type { PackQueueMemory } from './read-messages.ts'

const NEXT = 0
const STOP = 1

/** Packs that several threads read, each one once. */
export class PackQueue {
  readonly memory: PackQueueMemory
  readonly count: number
  readonly #ids: Uint8Array
  readonly #sizes: Float64Array
  readonly #dropped: Uint8Array
  readonly #control: Int32Array

  constructor(memory: PackQueueMemory) {
    this.memory = memory
    this.#ids = new Uint8Array(memory.ids)
    this.#sizes = new Float64Array(memory.sizes)
    this.#dropped = new Uint8Array(memory.dropped)
    this.#control = new Int32Array(memory.control)
    this.count = this.#sizes.length
  }

  /** A queue of the packs of `sizes` (id and size of the file), the largest first so that threads end together. */
  static of(sizes: ReadonlyMap<Id, number>): PackQueue {
    const queue = new PackQueue({
      ids: new SharedArrayBuffer(sizes.size * ID_BYTES),
      sizes: new SharedArrayBuffer(sizes.size * 8),
      dropped: new SharedArrayBuffer(sizes.size),
      control: new SharedArrayBuffer(8),
    })
    for (const [i, [id, size]] of [...sizes].sort((a, b) => b[1] - a[1]).entries()) {
      asBuffer(queue.#ids).write(id, i * ID_BYTES, 'hex')
      queue.#sizes[i] = size
    }
    return queue
  }

  get(pack: number): PackToCheck {
    return { id: toHex(this.#ids.subarray(pack * ID_BYTES, (pack + 1) * ID_BYTES)), sizeBytes: this.#sizes[pack]! }
  }

  /** The place of a pack nobody has taken yet, which is now the caller's; undefined when there is none, or all shall stop. */
  take(): number | undefined {
    for (;;) {
      if (this.isStopped) return undefined
      const pack = Atomics.add(this.#control, NEXT, 1)
      if (pack >= this.count) return undefined
      if (Atomics.load(this.#dropped, pack) === 0) return pack
    }
  }

  /** Leaves out those packs that `isMeant` gives true for, as far as nobody has taken them. */
  drop(isMeant: (id: Id) => boolean): void {
    for (let pack = Atomics.load(this.#control, NEXT); pack < this.count; pack++)
      if (isMeant(this.get(pack).id)) Atomics.store(this.#dropped, pack, 1)
  }

  get isStopped(): boolean {
    return Atomics.load(this.#control, STOP) === 1
  }

  stop(): void {
    Atomics.store(this.#control, STOP, 1)
  }
}
