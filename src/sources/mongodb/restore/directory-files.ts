import { mkdirSync } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { throwIfInterrupted } from '../../../engine/storage/interruption.ts'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'

/** Where everything is prepared before it takes its place; what a restore that was killed leaves behind. */
export const STAGING = '.holdfast-restore'

const FOLDER_MODE = 0o700
const FILE_MODE = 0o600

/**
 * A folder that is filled out of sight: what was written takes its place when all of it is there. A restore that was killed leaves a folder
 * of its own in it, which the next one removes.
 */
export class StagedFolder implements AsyncDisposable {
  readonly #path: string
  readonly #staging: string
  readonly #signal: AbortSignal | undefined

  private constructor(path: string, signal: AbortSignal | undefined) {
    this.#path = path
    this.#staging = join(path, STAGING)
    this.#signal = signal
  }

  /** @throws HoldfastError HF_RESTORE_FAILED */
  static async create(path: string, signal: AbortSignal | undefined): Promise<StagedFolder> {
    const folder = new StagedFolder(path, signal)
    try {
      await mkdir(path, { recursive: true, mode: FOLDER_MODE })
      await rm(folder.#staging, { recursive: true, force: true })
      mkdirSync(folder.#staging, { mode: FOLDER_MODE })
    } catch (error) {
      throw failed(path, error)
    }
    return folder
  }

  /** Writes and syncs one file. `name` is a path below the folder, of plain names. @returns its length */
  async write(name: string, input: AsyncIterable<Uint8Array>): Promise<number> {
    const path = join(this.#staging, name)
    let bytes = 0
    await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE }).catch((error: unknown) => {
      throw failed(path, error)
    })
    const file = await open(path, 'wx', FILE_MODE).catch((error: unknown) => {
      throw failed(path, error)
    })
    try {
      for await (const piece of input) {
        throwIfInterrupted(this.#signal)
        await file.writeFile(piece).catch((error: unknown) => {
          throw failed(path, error)
        })
        bytes += piece.length
      }
      await file.sync()
    } finally {
      await file.close()
    }
    return bytes
  }

  /** Puts everything in its place. What has the same name there is replaced. */
  async publish(): Promise<void> {
    try {
      for (const name of await readdir(this.#staging)) {
        const place = join(this.#path, name)
        await rm(place, { recursive: true, force: true })
        await rename(join(this.#staging, name), place)
      }
      const folder = await open(this.#path)
      try {
        await folder.sync()
      } finally {
        await folder.close()
      }
    } catch (error) {
      throw failed(this.#path, error)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#staging, { recursive: true, force: true })
  }
}

function failed(path: string, error: unknown): HoldfastError {
  const isFull = systemErrorCode(error) === 'ENOSPC'
  return new HoldfastError('HF_RESTORE_FAILED', `${path} cannot be written: ${(error as Error).message}`, {
    cause: error,
    hint: isFull ? 'make room, or name another folder' : 'name a folder that you may write to',
  })
}
