import { constants, openSync } from 'node:fs'
import { asBuffer } from '../../../lib/bytes.ts'
import { systemErrorCode } from '../../../lib/errors.ts'

/** Never follows a link put in the file's place, never waits for the other end of a fifo put there. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Opens a file for reading its content; with `preserveAccessTime` without marking it as read, where the system lets us. */
export function openSource(path: Uint8Array, preserveAccessTime: boolean): number {
  const name = asBuffer(path)
  if (preserveAccessTime && constants.O_NOATIME !== undefined) {
    try {
      return openSync(name, FLAGS | constants.O_NOATIME)
    } catch (error) {
      // Only the owner of a file may ask for that.
      if (systemErrorCode(error) !== 'EPERM') throw error
    }
  }
  return openSync(name, FLAGS)
}
