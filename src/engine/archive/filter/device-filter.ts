import { HoldfastError } from '../../../lib/errors.ts'
import { lstat } from '../../posix/attributes.ts'
import { type ByteString, byteStringToText } from '../../repository/tree/node.ts'
import { fromByteString } from './byte-string.ts'
import { directoryOf } from './clean-path.ts'

/** st_dev; a bigint only above Number.MAX_SAFE_INTEGER, so that `===` compares. */
export type Device = number | bigint

/** Says which paths stay on the file systems of the backup's targets. */
export interface DeviceFilter {
  /** `device` is that of the path itself, as lstat gives it. */
  accepts(path: ByteString, isDirectory: boolean, device: number | bigint): boolean
}

/**
 * The filter of `--one-file-system`: a path must be on the device of the nearest target above it. A directory another file system is
 * mounted on is kept, what is in it is not.
 *
 * @param targets clean absolute paths that exist.
 * @throws HF_PATH_NOT_FOUND when a target cannot be looked at.
 */
export function createDeviceFilter(targets: readonly ByteString[]): DeviceFilter {
  const devices = new Map(targets.map((target) => [target, deviceOfTarget(target)]))
  let lastDirectory: string | undefined
  let lastDevice: Device = 0

  const allowedDevice = (path: string): Device => {
    const own = devices.get(path)
    if (own !== undefined) return own
    const directory = directoryOf(path)
    if (directory === path)
      throw new HoldfastError('HF_INTERNAL', `${byteStringToText(path)} is below none of the targets of the backup`)
    if (directory !== lastDirectory) {
      lastDevice = allowedDevice(directory)
      lastDirectory = directory
    }
    return lastDevice
  }

  return {
    accepts: (path, isDirectory, device) => {
      if (allowedDevice(path) === device) return true
      if (!isDirectory || devices.has(path)) return false
      const parent = directoryOf(path)
      return deviceOf(parent) === allowedDevice(parent)
    },
  }
}

function deviceOfTarget(target: string): Device {
  const device = deviceOf(target)
  if (device === undefined)
    throw new HoldfastError('HF_PATH_NOT_FOUND', `${byteStringToText(target)} is not there or cannot be looked at`, {
      context: { path: byteStringToText(target) },
    })
  return device
}

/** undefined when the path cannot be looked at. */
function deviceOf(path: string): Device | undefined {
  try {
    return lstat(fromByteString(path)).device
  } catch {
    return undefined
  }
}
