import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { checkServerManifest } from './server-manifest.ts'

/** A manifest as PostgreSQL writes it. */
function manifest(files: string, version = 2): Buffer {
  const body = `{ "PostgreSQL-Backup-Manifest-Version": ${version},
"System-Identifier": 7710705727854220451,
"Files": [
${files}
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "0/3000028", "End-LSN": "0/3000100" }
],
`
  return Buffer.from(`${body}"Manifest-Checksum": "${createHash('sha256').update(body).digest('hex')}"}\n`)
}

const file = (path: string, size: number): string =>
  `{ "Path": "${path}", "Size": ${size}, "Last-Modified": "2026-11-21 19:00:00 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "00000000" }`

const encoded = '{ "Encoded-Path": "fffe", "Size": 1, "Last-Modified": "2026-11-21 19:00:00 GMT" }'
const whole = manifest([file('base/1/1259', 8192), file('grüße', 3), encoded].join(',\n'))
const received = [
  ['base/1/1259', 8192],
  [Buffer.from('grüße').toString('latin1'), 3],
  ['\xff\xfe', 1],
  ['pg_wal/000000010000000000000003', 16 * 1024 * 1024],
] as const

describe('what came', () => {
  test('is what the manifest lists, and WAL', () => {
    expect(() => checkServerManifest(whole, new Map(received))).not.toThrow()
  })

  test.each<{
    readonly what: string
    readonly manifest: Buffer
    readonly received: Iterable<readonly [string, number]>
  }>([
    { what: 'lacks a file', manifest: whole, received: received.slice(1) },
    { what: 'has a file of another size', manifest: whole, received: [...received, ['base/1/1259', 8191]] },
    { what: 'has a file too many', manifest: whole, received: [...received, ['base/1/1260', 0]] },
    {
      what: 'has a manifest with a changed byte',
      manifest: Buffer.from(whole.toString().replace('8192', '8191')),
      received,
    },
    { what: 'has a manifest that was cut', manifest: whole.subarray(0, -10), received },
    { what: 'has an empty manifest', manifest: Buffer.alloc(0), received },
    {
      what: 'has a manifest of a later version',
      manifest: manifest(file('base/1/1259', 8192), 3),
      received: received.slice(0, 1),
    },
    { what: 'has a manifest that is no JSON', manifest: manifest('{ nothing'), received },
    ...[
      '{ "Path": "base/1/1259", "Size": "8192" }',
      '{ "Path": "base/1/1259", "Size": -1 }',
      '{ "Path": 7, "Size": 0 }',
      'null',
      '[]',
    ].map((entry) => ({ what: `has a manifest that lists ${entry}`, manifest: manifest(entry), received: [] })),
    {
      what: 'has a manifest whose checksum of a file is none',
      manifest: manifest('{ "Path": "base/1/1259", "Size": 8192, "Checksum-Algorithm": "CRC32C", "Checksum": 0 }'),
      received: received.slice(0, 1),
    },
  ])('is refused when it $what', (fault) => {
    expect(() => checkServerManifest(fault.manifest, new Map(fault.received))).toThrow(
      expect.objectContaining({ code: 'HF_SOURCE_DAMAGED' }),
    )
  })
})
