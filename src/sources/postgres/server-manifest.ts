import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { ByteString } from '../../engine/repository/tree/node.ts'
import { byteStringToText, textToByteString } from '../../engine/repository/tree/node.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { isWal } from './data-layout.ts'

/** Where the server's manifest lies in a data directory. */
export const SERVER_MANIFEST = 'backup_manifest'

/**
 * Where a snapshot has the manifest as the server sent it. After a full backup it is the one in the data directory; after an incremental one it
 * speaks of what was sent, not of what is in the snapshot, and is what the server wants to see before the next one.
 */
export const sentManifestPath = (source: string): string => `/${source}/.holdfast/backup_manifest`

export interface ListedFile {
  readonly sizeBytes: number
  /** CRC-32C, its bytes in hexadecimal as the server writes them; undefined when the server took none, or another kind. */
  readonly crc32c: string | undefined
  /** As the server writes it: `2026-11-21 19:00:00 GMT`. */
  readonly lastModified: string | undefined
}

/** What a server says it sent; PostgreSQL documentation, "Backup Manifest Format". */
export interface ServerManifest {
  /** By path in the data directory; WAL is not among them. */
  readonly files: ReadonlyMap<ByteString, ListedFile>
  /** WAL that recovery needs. */
  readonly walRanges: readonly { readonly timeline: number; readonly start: string; readonly end: string }[]
  /** Since PostgreSQL 17. */
  readonly systemId: string | undefined
}

/** A file as a manifest lists it. */
interface ManifestFile {
  readonly Path?: string
  /** Hexadecimal, for a name that is not UTF-8. */
  readonly 'Encoded-Path'?: string
  readonly Size: number
  readonly 'Last-Modified'?: string
  readonly 'Checksum-Algorithm'?: string
  readonly Checksum?: string
}

const textFields = ['Path', 'Encoded-Path', 'Last-Modified', 'Checksum-Algorithm', 'Checksum'] as const

/** By hand: clusters have many thousands of files, and a schema takes ten times as long for each. */
function isManifestFile(value: unknown): value is ManifestFile {
  if (typeof value !== 'object' || value === null) return false
  const fields = value as Readonly<Record<string, unknown>>
  if (!Number.isSafeInteger(fields.Size) || (fields.Size as number) < 0) return false
  return textFields.every((name) => fields[name] === undefined || typeof fields[name] === 'string')
}

const backupManifest = z.object({
  'PostgreSQL-Backup-Manifest-Version': z.int().min(1).max(2),
  Files: z.custom<readonly ManifestFile[]>((files) => Array.isArray(files) && files.every(isManifestFile)),
  'WAL-Ranges': z.array(z.object({ Timeline: z.int(), 'Start-LSN': z.string(), 'End-LSN': z.string() })),
})

const CHECKSUM_LINE = '"Manifest-Checksum"'
/** A number beyond what JSON readers keep, so it is taken from the text, where it stands before the list of files. */
const SYSTEM_ID = /^\{ "PostgreSQL-Backup-Manifest-Version": [0-9]+,\s*"System-Identifier": ([0-9]{1,20}),/

/** Reads a server's manifest. @throws HoldfastError HF_SOURCE_DAMAGED when it does not fit its own checksum, or is of no known form */
export function parseServerManifest(bytes: Buffer): ServerManifest {
  const lastLine = bytes.lastIndexOf(CHECKSUM_LINE)
  const stated = /^"Manifest-Checksum": "([0-9a-f]{64})"\}\n?$/.exec(bytes.toString('latin1', Math.max(0, lastLine)))
  const computed = createHash('sha256')
    .update(bytes.subarray(0, Math.max(0, lastLine)))
    .digest('hex')
  if (stated?.[1] !== computed) throw different('does not fit its own checksum')
  const { Files: files, 'WAL-Ranges': ranges } = parse(bytes)
  return {
    files: new Map(
      files.map(({ Path: path, 'Encoded-Path': encoded, Size: sizeBytes, ...sum }) => [
        path === undefined ? Buffer.from(encoded ?? '', 'hex').toString('latin1') : textToByteString(path),
        {
          sizeBytes,
          crc32c: sum['Checksum-Algorithm'] === 'CRC32C' ? sum.Checksum : undefined,
          lastModified: sum['Last-Modified'],
        },
      ]),
    ),
    walRanges: ranges.map(({ Timeline: timeline, 'Start-LSN': start, 'End-LSN': end }) => ({ timeline, start, end })),
    systemId: SYSTEM_ID.exec(bytes.toString('latin1', 0, 200))?.[1],
  }
}

/**
 * Compares what was received with what the server says it sent: every file with its size and none besides, and the manifest with its own
 * checksum. `received` maps paths of the data directory to sizes.
 *
 * @returns the manifest
 * @throws HoldfastError HF_SOURCE_DAMAGED naming the first difference
 */
export function checkServerManifest(manifest: Buffer, received: ReadonlyMap<ByteString, number>): ServerManifest {
  const parsed = parseServerManifest(manifest)
  const { files } = parsed
  const unlisted = new Set(received.keys())
  for (const [path, { sizeBytes }] of files) {
    const got = received.get(path)
    if (got !== sizeBytes)
      throw different(
        `lists ${JSON.stringify(byteStringToText(path))} with ${sizeBytes} bytes, and ${got ?? 'nothing'} came`,
      )
    unlisted.delete(path)
  }
  const other = [...unlisted].find((path) => !isWal(path))
  if (other !== undefined) throw different(`does not list ${JSON.stringify(byteStringToText(other))}, which came`)
  return parsed
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
