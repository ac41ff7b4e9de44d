import { readdirSync, watch } from 'node:fs'
import { join } from 'node:path'

/**
 * Counts what changes in a folder and in the folders that are in it now: names that come, go and move, and writes. It is a clock for processes
 * that are killed: what a run has done by a given number of changes is about the same however busy the machine is.
 */
export class ChangeCounter implements Disposable {
  #count = 0
  readonly #watchers: readonly { close(): void }[]

  constructor(folder: string) {
    const below = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isDirectory())
    const folders = [folder, ...below.map(({ parentPath, name }) => join(parentPath, name))]
    this.#watchers = folders.map((path) =>
      // A folder that is removed cannot be watched any longer.
      watch(path, { persistent: false }, () => this.#count++).on('error', () => undefined),
    )
  }

  get count(): number {
    return this.#count
  }

  [Symbol.dispose](): void {
    for (const watcher of this.#watchers) watcher.close()
  }
}
