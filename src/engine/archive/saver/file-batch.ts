import type { FileAttributes } from '../../posix/attributes.ts'
import type { FileTask } from './messages.ts'

/**
 * Files to be read whole by one thread. In flat memory, because a batch crosses threads and cloning an object per file costs more than
 * reading a small file.
 */
export interface FileBatch {
  readonly count: number
  /** All paths, one behind the other. */
  readonly paths: Uint8Array
  /** Per file FACTS: end of its path, size, mtime, ctime (seconds, nanoseconds), inode as far as a double holds it. */
  readonly facts: Float64Array
}

const FACTS = 7

/** Numbers per file in a batch's results. */
export const RESULT_FIELDS = 5

export function packBatch(files: readonly FileTask[]): FileBatch {
  const paths = new Uint8Array(files.reduce((sum, { path }) => sum + path.length, 0))
  const facts = new Float64Array(files.length * FACTS)
  let end = 0
  for (const [i, { path, attributes }] of files.entries()) {
    paths.set(path, end)
    end += path.length
    facts[i * FACTS] = end
    writeFacts(facts, i * FACTS + 1, attributes)
  }
  return { count: files.length, paths, facts }
}

export const pathInBatch = ({ paths, facts }: FileBatch, file: number): Uint8Array =>
  paths.subarray(file === 0 ? 0 : facts[(file - 1) * FACTS], facts[file * FACTS])

export const sizeInBatch = ({ facts }: FileBatch, file: number): number => facts[file * FACTS + 1]!

const now = new Float64Array(FACTS - 1)

/** Whether a file is as the batch says it was when it was listed, as far as its content goes. */
export function isAsListed({ facts }: FileBatch, file: number, attributes: FileAttributes): boolean {
  if (attributes.type !== 'file') return false
  writeFacts(now, 0, attributes)
  for (let i = 0; i < FACTS - 1; i++) if (now[i] !== facts[file * FACTS + 1 + i]) return false
  return true
}

function writeFacts(target: Float64Array, at: number, { size, mtime, ctime, inode }: FileAttributes): void {
  target[at] = size
  target[at + 1] = mtime.seconds
  target[at + 2] = mtime.nanoseconds
  target[at + 3] = ctime.seconds
  target[at + 4] = ctime.nanoseconds
  target[at + 5] = Number(inode)
}
