import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { systemErrorCode } from '../../lib/errors.ts'

/** Free bytes of the file system a folder lies on, or would lie on; undefined where the system does not tell. */
export function freeBytes(folder: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  } catch (error) {
    const above = dirname(folder)
    return systemErrorCode(error) === 'ENOENT' && above !== folder ? freeBytes(above) : undefined
  }
}
