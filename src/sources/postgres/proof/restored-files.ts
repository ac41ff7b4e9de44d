import { lstatSync } from 'node:fs'
import { advance, checksumText, INITIAL_REGISTER } from '../../../engine/kernels/crc32c.ts'
import { byteStringToText } from '../../../engine/repository/tree/node.ts'
import { systemErrorCode } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import { AUTO_CONF, signals } from '../data-layout.ts'
import type { ServerManifest } from '../server-manifest.ts'
import type { CheckList, Fault } from './check-list.ts'
import { FileReader, pathBelow } from './file-reader.ts'

const NAME = 'bytes of every file, as the server sent them'

/** Reads every restored file and compares it with the checksum the server took when it sent it. */
export async function checkRestoredFiles(
  checks: CheckList,
  dataDirectory: string,
  { files }: ServerManifest,
  signal?: AbortSignal,
): Promise<void> {
  const faults: Fault[] = []
  let bytes = 0
  let unsealed = 0
  const reader = new FileReader(signal)
  for (const [path, { sizeBytes, crc32c }] of files) {
    if (signals.has(path)) continue
    const item = byteStringToText(path)
    if (crc32c === undefined) unsealed++
    try {
      const found = await checksumOf(reader, dataDirectory, path, sizeBytes)
      bytes += sizeBytes
      if (found.sizeBytes !== sizeBytes)
        faults.push({ item, what: `it has ${found.sizeBytes} bytes, and the server sent ${sizeBytes}` })
      else if (crc32c !== undefined && found.crc32c !== crc32c)
        faults.push({ item, what: `it has the checksum ${found.crc32c}, and the server sent it with ${crc32c}` })
    } catch (error) {
      signal?.throwIfAborted()
      faults.push({ item, what: systemErrorCode(error) === 'ENOENT' ? 'it is missing' : (error as Error).message })
    }
  }
  checks.faults(NAME, faults, `${files.size} files, ${formatSize(bytes)}`)
  if (unsealed > 0) checks.skipped(`${NAME}: without checksum`, `the server took no CRC-32C of ${unsealed} files`)
}

/** Our own line at the end of one file is left out. */
async function checksumOf(
  reader: FileReader,
  dataDirectory: string,
  path: string,
  listedBytes: number,
): Promise<{ readonly sizeBytes: number; readonly crc32c: string }> {
  let register = INITIAL_REGISTER
  let sizeBytes = 0
  const mayBeLonger = path === AUTO_CONF
  const place = pathBelow(dataDirectory, path)
  // The list is as hostile as everything else in a snapshot, and nothing in a restored directory is a link.
  if (path.split('/').includes('..') || !lstatSync(place).isFile()) throw new Error('it is no file of the cluster')
  for await (const piece of reader.pieces(place)) {
    const part = mayBeLonger ? piece.subarray(0, Math.max(0, listedBytes - sizeBytes)) : piece
    register = advance(register, part)
    sizeBytes += part.length
  }
  return { sizeBytes, crc32c: checksumText(~register >>> 0) }
}
