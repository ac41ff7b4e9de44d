import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { ByteString } from '../../engine/repository/tree/node.ts'
import { byteStringToText, textToByteString } from '../../engine/repository/tree/node.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { isWal } from './data-layout.ts'

/** What we use of it; PostgreSQL documentation, "Backup Manifest Format". */
const backupManifest = z.object({
  'PostgreSQL-Backup-Manifest-Version': z.int().min(1).max(2),
  /** Since PostgreSQL 17. A number beyond what JSON readers keep, so it is taken from the text. */
  Files: z.array(
    z.object({
      Path: z.string().optional(),
      /** Hexadecimal, for a name that is not UTF-8. */
      'Encoded-Path': z.string().optional(),
      Size: z.int().min(0),
    }),
  ),
})

const CHECKSUM_LINE = '"Manifest-Checksum"'

/**
 * Compares what was received with what the server says it sent: every file with its size and none besides, and the manifest with its own
 * checksum. `received` maps paths of the data directory to sizes.
 *
 * @throws HoldfastError HF_SOURCE_DAMAGED naming the first difference
 */
export function checkServerManifest(manifest: Buffer, received: ReadonlyMap<ByteString, number>): void {
  const lastLine = manifest.lastIndexOf(CHECKSUM_LINE)
  const stated = /^"Manifest-Checksum": "([0-9a-f]{64})"\}\n?$/.exec(manifest.toString('latin1', Math.max(0, lastLine)))
  const computed = createHash('sha256')
    .update(manifest.subarray(0, Math.max(0, lastLine)))
    .digest('hex')
  if (stated?.[1] !== computed) throw different('does not fit its own checksum')
  const { Files: files } = parse(manifest)
  const unlisted = new Set(received.keys())
  for (const { Path: path, 'Encoded-Path': encoded, Size: size } of files) {
    const name = path === undefined ? Buffer.from(encoded ?? '', 'hex').toString('latin1') : textToByteString(path)
    const got = received.get(name)
    if (got !== size)
      throw different(`lists ${JSON.stringify(path ?? encoded)} with ${size} bytes, and ${got ?? 'nothing'} came`)
    unlisted.delete(name)
  }
  const other = [...unlisted].find((path) => !isWal(path))
  if (other !== undefined) throw different(`does not list ${JSON.stringify(byteStringToText(other))}, which came`)
}

function parse(manifest: Buffer): z.infer<typeof backupManifest> {
  try {
    return backupManifest.parse(JSON.parse(manifest.toString('utf8')))
  } catch (error) {
    throw different('is not of a known form', error)
  }
}

const different = (how: string, cause?: unknown): HoldfastError =>
  new HoldfastError('HF_SOURCE_DAMAGED', `the server's backup_manifest ${how}`, {
    hint: 'nothing was kept; if it happens again, something between here and the server changes the bytes',
    cause,
  })
