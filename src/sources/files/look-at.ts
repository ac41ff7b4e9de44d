import { type BigIntStats, lstatSync } from 'node:fs'
import { systemErrorCode } from '../../lib/errors.ts'

/** What is at a path, links not followed; undefined when nothing is there, or a file where a folder would have to be. @throws other system errors */
export function lookAt(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true })
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}
