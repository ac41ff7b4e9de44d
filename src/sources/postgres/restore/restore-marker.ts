import { closeSync, constants, fsyncSync, writeSync } from 'node:fs'
import { z } from 'zod'
import type { DirectoryAt } from '../../../engine/posix/directory-at.ts'
import { systemErrorCode } from '../../../lib/errors.ts'

/**
 * Lies in a data directory while it is being restored. As long as it does, `global/pg_control` is missing and no server starts there; a
 * later restore knows by it what the directory is.
 */
export interface RestoreMarker {
  readonly format: 1
  readonly source: string
  /** Id of the snapshot. */
  readonly snapshot: string
  /** Of the cluster in the snapshot. */
  readonly systemId: string
  /** Where the content of tablespaces goes that do not stay in place, by oid. */
  readonly tablespaces: Readonly<Record<string, string>>
}

export const MARKER_NAME = 'holdfast-restore.json'
const OWNER_ONLY = 0o600

const restoreMarker: z.ZodType<RestoreMarker> = z.strictObject({
  format: z.literal(1),
  source: z.string(),
  snapshot: z.string(),
  systemId: z.string(),
  tablespaces: z.record(z.string(), z.string()),
})

/** The marker in a file's text; undefined when it is none: one that was being written when the machine failed says nothing. */
export function parseMarker(text: string): RestoreMarker | undefined {
  try {
    return restoreMarker.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** Writes the marker into an open data directory, and waits until it is on the disk. */
export function writeMarker(directory: DirectoryAt, marker: RestoreMarker): void {
  removeMarker(directory)
  const fd = directory.openFile(
    Buffer.from(MARKER_NAME),
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
    OWNER_ONLY,
  )
  try {
    writeSync(fd, `${JSON.stringify(marker)}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  fsyncSync(directory.fd)
}

export function removeMarker(directory: DirectoryAt): void {
  removeIfThere(directory, MARKER_NAME)
}

/** Removes anything but a directory, unless it is gone already. */
export function removeIfThere(directory: DirectoryAt, name: string): void {
  try {
    directory.removeFile(Buffer.from(name))
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}
