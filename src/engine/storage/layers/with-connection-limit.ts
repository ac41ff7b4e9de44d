import { interruption, throwIfInterrupted } from '../interruption.ts'
import type { CallOptions, FileRef, NamedFileKind, Storage } from '../storage.ts'
import { withoutDirectory } from './without-directory.ts'

/**
 * At most `connections` calls run at the same time; the others wait in the order they came. Lock files are exempt: a lock must be renewed in
 * time however much is waiting. A listing takes its place for each step, not while its reader is busy, so that the reader may make calls.
 */
export function withConnectionLimit(storage: Storage, connections: number): Storage {
  const gate = new Gate(connections)
  const through = <T>(kind: FileRef['kind'], options: CallOptions | undefined, call: () => Promise<T>): Promise<T> =>
    kind === 'lock' ? call() : gate.run(options?.signal, call)

  return {
    location: storage.location,
    properties: { ...withoutDirectory(storage.properties), connections },
    features: storage.features,
    create: (options) => gate.run(options?.signal, () => storage.create(options)),
    put: (file, content, options) => through(file.kind, options, () => storage.put(file, content, options)),
    get: (file, range, options) => through(file.kind, options, () => storage.get(file, range, options)),
    stat: (file, options) => through(file.kind, options, () => storage.stat(file, options)),
    delete: (file, options) => through(file.kind, options, () => storage.delete(file, options)),
    list: async function* (kind: NamedFileKind, options) {
      const files = storage.list(kind, options)[Symbol.asyncIterator]()
      try {
        for (;;) {
          const next = await through(kind, options, () => files.next())
          if (next.done) return
          yield next.value
        }
      } finally {
        await files.return?.()
      }
    },
    close: () => storage.close(),
  }
}

/** Lets a number of tasks run at the same time, first come, first served. */
class Gate {
  #free: number
  /** Waiting tasks in order of arrival. */
  readonly #waiting = new Set<() => void>()

  constructor(width: number) {
    this.#free = Math.max(1, width)
  }

  async run<T>(signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
    throwIfInterrupted(signal)
    if (this.#free > 0) this.#free -= 1
    else await this.#turn(signal)
    try {
      return await task()
    } finally {
      this.#leave()
    }
  }

  /** Resolves when a place has been handed over. */
  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = (): void => {
        this.#waiting.delete(enter)
        reject(interruption(signal!))
      }
      this.#waiting.add(enter)
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  #leave(): void {
    const next = this.#waiting.values().next().value
    if (next === undefined) {
      this.#free += 1
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
