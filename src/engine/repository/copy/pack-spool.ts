import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Id } from '../../../lib/id.ts'
import { processExists } from '../../posix/process.ts'
import { pathOf } from '../../storage/local/layout.ts'
import type { PackDirectory } from '../../storage/local/pack-files.ts'
import type { FinishedPack } from '../pack/pack-writer.ts'

const NAME = /^holdfast-spool-([0-9]+)-/

interface KeptPack {
  readonly sizeBytes: number
  /** How many have still to read it; undefined while nobody was told of it. */
  readers: number | undefined
}

/**
 * Packs of a repository on a remote store, kept on this machine's disk until they have been copied to all others: sealed as they are there, and
 * never more than `capacityBytes`. Who would keep more waits.
 *
 * The folder goes with `close`, and one whose process was killed with the next spool.
 */
export class PackSpool {
  readonly directory: PackDirectory
  readonly #capacityBytes: number
  readonly #packs = new Map<Id, KeptPack>()
  #usedBytes = 0
  #isClosed = false
  #waiting: (() => void)[] = []

  /** Makes the folder in `root`. @throws system errors */
  constructor(root: string, capacityBytes: number) {
    removeLeftovers(root)
    this.directory = {
      path: mkdtempSync(join(root, `holdfast-spool-${process.pid}-`)),
      fileMode: 0o600,
      directoryMode: 0o700,
    }
    this.#capacityBytes = capacityBytes
  }

  /** Keeps a pack until it is released; waits for room. One that cannot be written is not kept. */
  async keep({ id, bytes }: FinishedPack): Promise<void> {
    while (!this.#isClosed && this.#usedBytes > 0 && this.#usedBytes + bytes.length > this.#capacityBytes)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.#isClosed || this.#packs.has(id)) return
    this.#usedBytes += bytes.length
    const path = pathOf(this.directory.path, { kind: 'data', name: id })
    try {
      await mkdir(dirname(path), { recursive: true, mode: this.directory.directoryMode })
      await writeFile(path, bytes, { mode: this.directory.fileMode, flag: 'wx' })
      this.#packs.set(id, { sizeBytes: bytes.length, readers: undefined })
    } catch {
      // A full disk, as a rule. The pack is in the repository, too.
      this.#giveBack(bytes.length)
      await rm(path, { force: true }).catch(() => undefined)
    }
  }

  /** A kept pack goes to so many readers, each of which releases it. False for one that is not kept. */
  handOut(id: Id, readers: number): boolean {
    const pack = this.#packs.get(id)
    if (pack === undefined) return false
    pack.readers = readers
    if (readers === 0) this.#remove(id, pack)
    return true
  }

  /** One reader is done with a pack. */
  release(id: Id): void {
    const pack = this.#packs.get(id)
    if (pack?.readers !== undefined && --pack.readers <= 0) this.#remove(id, pack)
  }

  /** Nobody waits any more, and nothing more is kept. */
  stop(): void {
    this.#isClosed = true
    this.#giveBack(0)
  }

  close(): void {
    this.stop()
    rmSync(this.directory.path, { recursive: true, force: true, maxRetries: 3 })
  }

  #remove(id: Id, { sizeBytes }: KeptPack): void {
    this.#packs.delete(id)
    const done = (): void => this.#giveBack(sizeBytes)
    rm(pathOf(this.directory.path, { kind: 'data', name: id }), { force: true }).then(done, done)
  }

  #giveBack(bytes: number): void {
    this.#usedBytes -= bytes
    for (const resume of this.#waiting.splice(0)) resume()
  }
}

/** Spools whose process has ended without removing them. */
function removeLeftovers(root: string): void {
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    const owner = Number(NAME.exec(entry.name)?.[1])
    if (!(owner > 0) || !entry.isDirectory() || processExists(owner)) continue
    const path = join(root, entry.name)
    // A folder somebody else put here with such a name is none of our business.
    if (lstatSync(path).uid === process.getuid?.()) rmSync(path, { recursive: true, force: true })
  }
}
