import { closeSync } from 'node:fs'
import { willRead } from '../../posix/advice.ts'
import { type FileBatch, pathInBatch, sizeInBatch } from './file-batch.ts'
import { openSource } from './open-source.ts'

/**
 * The files of a batch, all opened, and all announced to the system: it fetches those that are not in memory side by side, where reading one
 * after the other would wait for the disk each time.
 */
export class OpenSources implements Disposable {
  /** A descriptor until it is taken, or why there is none. */
  readonly #opened: (number | Error | undefined)[] = []

  constructor(batch: FileBatch, preserveAccessTimes: boolean) {
    for (let file = 0; file < batch.count; file++) {
      try {
        const fd = openSource(pathInBatch(batch, file), preserveAccessTimes)
        this.#opened.push(fd)
        if (batch.count > 1) willRead(fd, 0, sizeInBatch(batch, file))
      } catch (error) {
        this.#opened.push(error as Error)
      }
    }
  }

  /** The descriptor of a file, to be closed by whoever takes it; once. Throws what opening it threw. */
  take(file: number): number {
    const opened = this.#opened[file]
    this.#opened[file] = undefined
    if (typeof opened !== 'number') throw opened ?? new RangeError(`file ${file} of a batch was taken twice`)
    return opened
  }

  /** Closes what nobody has taken. */
  [Symbol.dispose](): void {
    for (const opened of this.#opened) if (typeof opened === 'number') closeSync(opened)
  }
}
