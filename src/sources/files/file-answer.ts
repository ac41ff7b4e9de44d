import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync } from 'node:fs'
import { posix } from 'node:path'
import type { Assertion } from '../../config/assertion.ts'
import { HoldfastError, systemErrorCode } from '../../lib/errors.ts'
import type { AssertionAnswer } from '../proof.ts'
import { lookAt } from './look-at.ts'
import type { SecretNames } from './secret-names.ts'

/** What an assertion learns of a file. */
export interface FileAnswer extends AssertionAnswer {
  /** The text, of a large file its first MiB; null when there is no such file, or its content is secret. */
  readonly value: string | null
  /** The lines of `value`, without line ends. */
  readonly rows: readonly string[]
  readonly exists: boolean
  /** Bytes; null when there is no such file. */
  readonly size: number | null
}

const MAX_TEXT_BYTES = 1024 * 1024
const MAX_LINKS = 40

const absent: FileAnswer = { value: null, rows: [], exists: false, size: null }

/**
 * Looks at a restored file. Links are followed as if `root` were the root of the machine, so that none leads out of it. A missing file is
 * an answer.
 * @throws HoldfastError HF_ASSERTION_INVALID for assertions that are not about files, and paths that are not absolute
 */
export async function answerAboutFile(assertion: Assertion, root: string, secrets: SecretNames): Promise<FileAnswer> {
  if (assertion.kind !== 'file')
    throw new HoldfastError('HF_ASSERTION_INVALID', `assertion ${assertion.name} is not about a file`, {
      hint: 'files are asked about as in { name: ..., file: /etc/shop.conf, expect: "value.contains(\'port\')" }',
    })
  if (!posix.isAbsolute(assertion.file))
    throw new HoldfastError('HF_ASSERTION_INVALID', `assertion ${assertion.name} names its file by a relative path`, {
      hint: 'write the path that the file has on the machine it was backed up on',
    })
  const path = resolveInside(root, assertion.file)
  if (path === undefined) return absent
  let fd: number
  try {
    fd = openSync(root + path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return absent
    throw new HoldfastError(
      'HF_ASSERTION_INVALID',
      `${secrets.show(assertion.file)} cannot be read: ${systemErrorCode(error)}`,
      { hint: 'name a file that the user who verifies may read' },
    )
  }
  try {
    const stat = fstatSync(fd)
    const size = stat.isFile() ? stat.size : 0
    // The value would be printed when the assertion does not hold.
    if (!stat.isFile() || secrets.isSecret(assertion.file) || secrets.isSecret(path))
      return { value: null, rows: [], exists: true, size }
    const value = readText(fd, Math.min(size, MAX_TEXT_BYTES))
    const lines = value.split(/\r?\n/)
    if (lines.at(-1) === '') lines.pop()
    return { value, rows: lines, exists: true, size }
  } finally {
    closeSync(fd)
  }
}

function readText(fd: number, length: number): string {
  const bytes = Buffer.alloc(length)
  let done = 0
  while (done < length) {
    const count = readSync(fd, bytes, done, length - done, done)
    if (count === 0) break
    done += count
  }
  return bytes.subarray(0, done).toString('utf8')
}

/** The path below `root` that a path comes to when all links in it are followed; undefined when it leads nowhere. */
function resolveInside(root: string, path: string): string | undefined {
  const left = posix.normalize(path).split('/').filter(Boolean)
  let at = ''
  for (let links = 0; left.length > 0; ) {
    const name = left.shift()!
    if (name === '..') {
      at = at.slice(0, Math.max(at.lastIndexOf('/'), 0))
      continue
    }
    const next = `${at}/${name}`
    const stat = lookAt(root + next)
    if (stat === undefined) return undefined
    if (!stat.isSymbolicLink()) {
      at = next
      continue
    }
    if (++links > MAX_LINKS) return undefined
    const target = readlinkSync(root + next)
    if (target.startsWith('/')) at = ''
    left.unshift(...target.split('/').filter((part) => part !== '' && part !== '.'))
  }
  return at
}
