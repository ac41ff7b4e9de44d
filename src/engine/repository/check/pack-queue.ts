import { asBuffer, toHex } from '../../../lib/bytes.ts'
import { ID_BYTES, type Id } from '../../../lib/id.ts'
import type { MasterIndex } from '../index/master-index.ts'
import type { PackToCheck } from './pack-checker.ts'
import type { PackQueueMemory } from './read-messages.ts'

const NEXT = 0
const STOP = 1

/** Packs that several threads read, each one once. */
export class PackQueue {
  readonly memory: PackQueueMemory
  readonly count: number
  readonly #ids: Uint8Array
  readonly #numbers: Uint32Array
  readonly #sizes: Float64Array
  readonly #control: Int32Array

  constructor(memory: PackQueueMemory) {
    this.memory = memory
    this.#ids = new Uint8Array(memory.ids)
    this.#numbers = new Uint32Array(memory.numbers)
    this.#sizes = new Float64Array(memory.sizes)
    this.#control = new Int32Array(memory.control)
    this.count = this.#numbers.length
  }

  /** A queue of the packs of `sizes` (id and size of the file), the largest first so that threads end together. */
  static of(sizes: ReadonlyMap<Id, number>, index: MasterIndex): PackQueue {
    const queue = new PackQueue({
      ids: new SharedArrayBuffer(sizes.size * ID_BYTES),
      numbers: new SharedArrayBuffer(sizes.size * 4),
      sizes: new SharedArrayBuffer(sizes.size * 8),
      control: new SharedArrayBuffer(8),
    })
    for (const [i, [id, size]] of [...sizes].sort((a, b) => b[1] - a[1]).entries()) {
      asBuffer(queue.#ids).write(id, i * ID_BYTES, 'hex')
      queue.#numbers[i] = index.packFacts(id)!.number
      queue.#sizes[i] = size
    }
    return queue
  }

  get(pack: number): PackToCheck {
    return {
      id: toHex(this.#ids.subarray(pack * ID_BYTES, (pack + 1) * ID_BYTES)),
      number: this.#numbers[pack]!,
      sizeBytes: this.#sizes[pack]!,
    }
  }

  /** The place of a pack nobody has taken yet, which is now the caller's; undefined when there is none, or all shall stop. */
  take(): number | undefined {
    if (this.isStopped) return undefined
    const pack = Atomics.add(this.#control, NEXT, 1)
    return pack < this.count ? pack : undefined
  }

  get isStopped(): boolean {
    return Atomics.load(this.#control, STOP) === 1
  }

  stop(): void {
    Atomics.store(this.#control, STOP, 1)
  }
}
