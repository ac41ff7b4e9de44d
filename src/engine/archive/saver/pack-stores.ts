import { HoldfastError } from '../../../lib/errors.ts'
import { waitForMainThread } from '../../../lib/task-thread.ts'
import type { FinishedPack } from '../../repository/pack/pack-writer.ts'
import { type PackDirectory, writePackFile } from '../../storage/local/pack-files.ts'
import type { SaverNotice } from './messages.ts'
import type { PackStore } from './saver.ts'

/** Writes packs into a directory of this machine, each before the next is begun. */
export const packDirectory = (directory: PackDirectory, notify: (notice: SaverNotice) => void): PackStore => ({
  store: ({ id, bytes, rows }) => {
    writePackFile(directory, id, bytes)
    notify({ kind: 'stored', pack: id, rows, packBytes: bytes.length })
    return undefined
  },
  settle: () => undefined,
})

/** Packs of one thread on their way while it makes the next: enough to hide the time that a far store takes to answer. */
const ON_THEIR_WAY = 2

interface Upload {
  readonly pack: string
  /** The whole of the memory that the pack lies in. */
  readonly memory: Uint8Array
  /** 0 on its way, 1 stored, 2 failed. */
  readonly done: Int32Array
}

/** Has the main thread store packs, which reads them from the shared memory they lie in, while this thread goes on with other memory. */
export class PackUploads implements PackStore {
  readonly #notify: (notice: SaverNotice) => void
  readonly #uploads: Upload[] = []

  constructor(notify: (notice: SaverNotice) => void) {
    this.#notify = notify
  }

  /** @throws HoldfastError HF_STORAGE_IO when an earlier pack could not be stored; the main thread knows why */
  store({ id, bytes, rows }: FinishedPack, newMemory: () => Uint8Array): Uint8Array {
    const done = new Int32Array(new SharedArrayBuffer(4))
    this.#notify({ kind: 'store', pack: id, rows, bytes, done })
    this.#uploads.push({ pack: id, memory: new Uint8Array(bytes.buffer), done })
    return this.#uploads.length <= ON_THEIR_WAY ? newMemory() : this.#await(this.#uploads.shift()!)
  }

  settle(): void {
    for (const upload of this.#uploads.splice(0)) this.#await(upload)
  }

  /** The memory, which is free then. */
  #await({ pack, memory, done }: Upload): Uint8Array {
    if (!waitForMainThread(done)) throw new HoldfastError('HF_STORAGE_IO', `pack ${pack} could not be stored`)
    return memory
  }
}
