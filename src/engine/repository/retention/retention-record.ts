import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { toHex } from '../../../lib/bytes.ts'
import { ID_BYTES, type Id, isId } from '../../../lib/id.ts'
import { randomBytes } from '../../../lib/random.ts'

/** An id, and the second until which its file is retained, little endian. */
const ROW_BYTES = ID_BYTES + 4

/**
 * What this machine remembers of how long files are retained, so that a store need not be asked about every pack after each backup. It is
 * kept in the repository's cache folder; when it is lost, the store is asked again.
 */
export class RetentionRecord {
  readonly #path: string | undefined
  #seconds = new Map<Id, number>()

  /** @param folder the cache folder of the repository; without one nothing is remembered */
  constructor(folder: string | undefined) {
    this.#path = folder && join(folder, 'retained')
  }

  /** Reads what was remembered; a file that is not whole counts as none. */
  async load(): Promise<void> {
    if (this.#path === undefined) return
    const bytes = await readFile(this.#path).catch(() => Buffer.alloc(0))
    if (bytes.length % ROW_BYTES !== 0) return
    for (let at = 0; at < bytes.length; at += ROW_BYTES)
      this.#seconds.set(toHex(bytes.subarray(at, at + ID_BYTES)), bytes.readUInt32LE(at + ID_BYTES))
  }

  /** Milliseconds since 1970; 0 for what is not remembered. */
  untilMs(id: Id): number {
    return (this.#seconds.get(id) ?? 0) * 1000
  }

  set(id: Id, untilMs: number): void {
    if (isId(id)) this.#seconds.set(id, Math.min(Math.floor(untilMs / 1000), 2 ** 32 - 1))
  }

  /** Writes what concerns these files, and forgets the others. Throws the system's errors. */
  async save(files: ReadonlySet<Id>): Promise<void> {
    this.#seconds = new Map([...this.#seconds].filter(([id]) => files.has(id)))
    if (this.#path === undefined) return
    const bytes = Buffer.alloc(this.#seconds.size * ROW_BYTES)
    let at = 0
    for (const [id, seconds] of this.#seconds) {
      bytes.write(id, at, 'hex')
      at = bytes.writeUInt32LE(seconds, at + ID_BYTES)
    }
    const temporary = `${this.#path}-tmp-${toHex(randomBytes(8))}`
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
    try {
      await using file = await open(temporary, 'wx', 0o600)
      await file.writeFile(bytes)
      await rename(temporary, this.#path)
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
  }
}
