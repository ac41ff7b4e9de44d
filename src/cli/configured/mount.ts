import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { HoldfastError } from '../../lib/errors.ts'

/**
 * A repository of `mount: true` has to lie on a file system of its own: when the disk is not there, its folder is an empty one on the system's
 * disk, and a backup would fill that (S4-10).
 * @throws HoldfastError HF_NOT_MOUNTED
 */
export function requireMount(name: string, location: string): void {
  const path = location.replace(/^local:/, '')
  const device = deviceOf(path)
  if (device !== undefined && device !== deviceOf(dirname(path))) return
  const what = device === undefined ? 'is not there' : 'lies on the same file system as the folder above it'
  throw new HoldfastError(
    'HF_NOT_MOUNTED',
    `repository ${name} is to lie on a mounted file system, and ${path} ${what}`,
    {
      hint: 'mount the file system, or take "mount: true" out of the configuration',
    },
  )
}

function deviceOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.dev
}
