import { closeSync, fstatSync, read } from 'node:fs'
import { promisify } from 'node:util'
import { openSource } from '../../engine/archive/saver/open-source.ts'
import { type FileAttributes, fstat } from '../../engine/posix/attributes.ts'
import type { ByteString } from '../../engine/repository/tree/node.ts'

const readAt = promisify(read)
const BUFFER_BYTES = 1024 * 1024

/** How reading a log ended: whole up to the size it had, or cut short, and whether anything happened to it meanwhile. */
export interface ReadEnd {
  readonly truncated: boolean
  readonly changed: boolean
  readonly error: Error | undefined
}

/** A log that is held open, so that it stays the same file whatever its name becomes. */
export class OpenLog implements Disposable {
  /** Where it lay when it was opened. */
  readonly path: ByteString
  readonly attributes: FileAttributes
  readonly #fd: number

  private constructor(path: ByteString, fd: number, attributes: FileAttributes) {
    this.path = path
    this.#fd = fd
    this.attributes = attributes
  }

  /** Undefined when there is something else than a file. @throws system errors of open */
  static open(path: ByteString): OpenLog | undefined {
    const fd = openSource(Buffer.from(path, 'latin1'), true)
    try {
      const attributes = fstat(fd)
      if (attributes.type === 'file') return new OpenLog(path, fd, attributes)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    closeSync(fd)
    return undefined
  }

  /** When the file was made, in nanoseconds since the epoch; 0 where the file system does not tell. */
  get born(): bigint {
    return fstatSync(this.#fd, { bigint: true }).birthtimeNs
  }

  /**
   * The bytes up to the size the file had when it was opened: a log that grows is not read for ever. It ends early, without failing, where
   * the file does; `onEnd` says how it was. Each piece is valid until the next one is asked for.
   */
  async *content(onEnd: (end: ReadEnd) => void): AsyncGenerator<Uint8Array> {
    const { size } = this.attributes
    const buffer = Buffer.allocUnsafe(Math.min(BUFFER_BYTES, Math.max(size, 1)))
    let bytes = 0
    let error: Error | undefined
    while (bytes < size) {
      let count: number
      try {
        count = (await readAt(this.#fd, buffer, 0, Math.min(buffer.length, size - bytes), bytes)).bytesRead
      } catch (failure) {
        error = failure as Error
        break
      }
      if (count === 0) break
      bytes += count
      yield buffer.subarray(0, count)
    }
    const now = fstat(this.#fd)
    const truncated = error === undefined && (bytes < size || now.size < size)
    // Not the ctime, which a new name changes too.
    const { mtime } = this.attributes
    const isWritten = mtime.seconds !== now.mtime.seconds || mtime.nanoseconds !== now.mtime.nanoseconds
    onEnd({ truncated, changed: isWritten || now.size !== size, error })
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}
