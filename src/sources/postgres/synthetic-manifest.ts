import { createHash } from 'node:crypto'
import { checksumText } from '../../engine/kernels/crc32c.ts'
import type { ByteString } from '../../engine/repository/tree/node.ts'
import type { ServerManifest } from './server-manifest.ts'

/** A file that is not as the server sent it. */
export interface ReplacedFile {
  readonly path: ByteString
  readonly size: number
  /** CRC-32C; undefined when it is not known: then `pg_verifybackup` compares no more than the size. */
  readonly checksum: () => number | undefined
}

const LINES_PER_PIECE = 1000

/**
 * The `backup_manifest` of a data directory that was put together from an incremental backup: what the server says, with the files in place
 * of those it sent. `replaced` is by the path that was sent. In the form PostgreSQL writes it, so that its programs take it for one of a full
 * backup.
 */
export const syntheticManifest = (
  server: ServerManifest,
  replaced: ReadonlyMap<ByteString, ReplacedFile>,
): Generator<Uint8Array> => write(server, (path) => replaced.get(path) ?? 'as sent')

/** The manifest of a server without some of the files, in the form it was. */
export const manifestWithout = (
  server: ServerManifest,
  isLeftOut: (path: ByteString) => boolean,
): Generator<Uint8Array> => write(server, (path) => (isLeftOut(path) ? 'left out' : 'as sent'))

function* write(
  { files, walRanges, systemId }: ServerManifest,
  fileOf: (sent: ByteString) => ReplacedFile | 'as sent' | 'left out',
): Generator<Uint8Array> {
  const hash = createHash('sha256')
  const hashed = (text: string): Uint8Array => {
    const bytes = Buffer.from(text)
    hash.update(bytes)
    return bytes
  }
  const head =
    systemId === undefined
      ? '{ "PostgreSQL-Backup-Manifest-Version": 1,\n'
      : `{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": ${systemId},\n`
  yield hashed(`${head}"Files": [`)
  let lines: string[] = []
  let separator = '\n'
  for (const [sent, { sizeBytes, crc32c, lastModified }] of files) {
    const file = fileOf(sent)
    if (file === 'left out') continue
    const own = file === 'as sent' ? undefined : file
    const checksum = own === undefined ? crc32c : textOf(own.checksum())
    const fields = [
      pathField(own?.path ?? sent),
      `"Size": ${own?.size ?? sizeBytes}`,
      `"Last-Modified": ${JSON.stringify(lastModified ?? '')}`,
      ...(checksum === undefined ? [] : [`"Checksum-Algorithm": "CRC32C", "Checksum": "${checksum}"`]),
    ]
    lines.push(`${separator}{ ${fields.join(', ')} }`)
    separator = ',\n'
    if (lines.length < LINES_PER_PIECE) continue
    yield hashed(lines.join(''))
    lines = []
  }
  const ranges = walRanges.map(
    ({ timeline, start, end }) => `{ "Timeline": ${timeline}, "Start-LSN": "${start}", "End-LSN": "${end}" }`,
  )
  yield hashed(`${lines.join('')}\n],\n"WAL-Ranges": [\n${ranges.join(',\n')}\n],\n`)
  yield Buffer.from(`"Manifest-Checksum": "${hash.digest('hex')}"}\n`)
}

const textOf = (checksum: number | undefined): string | undefined =>
  checksum === undefined ? undefined : checksumText(checksum)

/** A name that is not UTF-8 goes in hexadecimal. */
function pathField(path: ByteString): string {
  const bytes = Buffer.from(path, 'latin1')
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes)
    ? `"Path": ${JSON.stringify(text)}`
    : `"Encoded-Path": "${bytes.toString('hex')}"`
}
