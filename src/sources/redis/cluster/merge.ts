import { HoldfastError } from '../../../lib/errors.ts'
import type { RdbKey } from '../rdb/entry.ts'
import { RdbSplitter } from '../rdb/splitter.ts'
import { RdbWriter } from '../rdb/writer.ts'
import type { RdbFormat } from '../rdb-versions.ts'

/** One of the files that become one. */
export interface Part {
  /** As messages name it. */
  readonly name: string
  readonly format: RdbFormat
  readonly bytes: AsyncIterable<Uint8Array>
}

/** A longer value is written as it comes, while the other files wait. */
const MAX_HELD_BYTES = 1024 * 1024
const OF_ALL = 'used-mem'
const IS_ORIGIN = /^repl-/

/**
 * The RDB file with the keys of several, which have none in common. All are read at the same time, since a server gives up a replica that
 * takes nothing; memory does not grow with them.
 *
 * @throws HoldfastError HF_SOURCE_DAMAGED, HF_SOURCE_UNSUPPORTED for files of two products, and for data of modules outside of keys, which
 *   no file of several could have
 */
export async function* mergeRdb(parts: readonly Part[]): AsyncGenerator<Uint8Array> {
  const { dialect } = parts[0]!.format
  const other = parts.find(({ format }) => format.dialect !== dialect)
  if (other !== undefined)
    throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `${other.name} is another product than ${parts[0]!.name}`, {
      hint: 'wait until all nodes of the cluster are upgraded',
    })
  const merger = new Merger(new RdbWriter(dialect, Math.max(...parts.map(({ format }) => format.version))))
  const reading = Promise.all(parts.map((part, i) => merger.read(part, i === 0))).then(
    () => merger.end(),
    (error) => merger.fail(error),
  )
  try {
    yield* merger.output()
    await reading
  } finally {
    // Whoever still reads ends when its connection is closed.
    merger.fail(new Error('nobody takes the file any more'))
  }
}

interface Entry {
  readonly key: RdbKey
  readonly value: Uint8Array[]
  heldBytes: number
}

class Merger {
  readonly #writer: RdbWriter
  readonly #libraries = new Set<string>()
  #usedMemory = 0
  /** Whose long value is being written. */
  #pen: symbol | undefined
  #isOver = false
  #error: unknown
  /** Resolved and replaced at every change of the above, and when output is taken. */
  #change = Promise.withResolvers<void>()
  #ready: Buffer[] = []

  constructor(writer: RdbWriter) {
    this.#writer = writer
  }

  /** Writes all keys of a part, and of the first one what the file says of itself. */
  async read({ name, bytes }: Part, isFirst: boolean): Promise<void> {
    const me = Symbol(name)
    /** Entries, and what stands between them, in their order. */
    let done: (Entry | (() => void))[] = []
    let open: Entry | undefined
    const splitter = new RdbSplitter({
      onAux: (field, value) => {
        const text = field.toString('latin1')
        if (text === OF_ALL) this.#usedMemory += Number(value) || 0
        else if (isFirst && !IS_ORIGIN.test(text)) done.push(() => this.#writer.aux(field, value))
      },
      onLibrary: (code) => {
        done.push(() => {
          const text = code.toString('latin1')
          if (!this.#libraries.has(text)) this.#writer.library(code)
          this.#libraries.add(text)
        })
      },
      onModuleData: () => {
        throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `modules of ${name} keep data outside of keys`, {
          hint: 'such clusters cannot be backed up as one yet',
        })
      },
      onKey: (key) => {
        open = { key, value: [], heldBytes: 0 }
        return true
      },
      onValue: (piece) => {
        open!.value.push(piece)
        open!.heldBytes += piece.length
      },
      onEntry: () => {
        done.push(open!)
        open = undefined
      },
    })
    for await (const chunk of bytes) {
      // From here to the next pause nobody else writes.
      while (this.#pen !== undefined && this.#pen !== me) await this.#wait()
      splitter.push(chunk)
      for (const entry of done) {
        if (typeof entry === 'function') {
          entry()
          continue
        }
        if (this.#pen !== me) this.#begin(entry)
        for (const piece of entry.value) this.#writer.value(piece)
        this.#pen = undefined
      }
      done = []
      // Assigned in callbacks, which the compiler does not follow.
      const unfinished = open as Entry | undefined
      if (unfinished !== undefined && unfinished.heldBytes > MAX_HELD_BYTES) {
        if (this.#pen !== me) this.#begin(unfinished)
        this.#pen = me
        for (const piece of unfinished.value.splice(0)) this.#writer.value(piece)
      }
      const written = this.#writer.take()
      if (written.length > 0) this.#ready.push(written)
      this.#changed()
      while (this.#ready.length > 0) await this.#wait()
    }
    splitter.end()
  }

  #begin({ key }: Entry): void {
    this.#writer.key(key.db, key)
  }

  /** All parts have been read. */
  end(): void {
    this.#writer.aux(Buffer.from(OF_ALL), Buffer.from(String(this.#usedMemory)))
    this.#writer.end()
    this.#ready.push(this.#writer.take())
    this.#isOver = true
    this.#changed()
  }

  fail(error: unknown): void {
    this.#error ??= error
    this.#changed()
  }

  async *output(): AsyncGenerator<Uint8Array> {
    for (;;) {
      while (this.#ready.length === 0 && !this.#isOver && this.#error === undefined) await this.#change.promise
      if (this.#error !== undefined) throw this.#error
      const ready = this.#ready
      this.#ready = []
      yield* ready
      if (ready.length === 0 && this.#isOver) return
      this.#changed()
    }
  }

  async #wait(): Promise<void> {
    if (this.#error === undefined) await this.#change.promise
    if (this.#error !== undefined) throw this.#error
  }

  #changed(): void {
    const { resolve } = this.#change
    this.#change = Promise.withResolvers<void>()
    resolve()
  }
}
