import { describe, expect, test } from 'vitest'
import type { ServerReport } from './server-error.ts'
import { readColumns, readValues, Wire } from './wire.ts'

const place = {
  server: 'PostgreSQL at db1:5432',
  role: 'backup',
  database: 'postgres',
  kind: 'replication',
  hbaType: 'host',
  clientAddress: undefined,
} as const

function message(type: string, body: Buffer | string, length = Buffer.from(body).length): Buffer {
  const header = Buffer.alloc(5)
  header.write(type, 'latin1')
  header.writeUInt32BE(length + 4, 1)
  return Buffer.concat([header, Buffer.from(body)])
}

const report = (severity: string, code: string, text: string): string =>
  `S${severity}\0V${severity}\0C${code}\0M${text}\0\0`

async function* inPieces(bytes: Buffer, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

function wireOver(bytes: Buffer, pieceBytes = 7): { readonly wire: Wire; readonly notices: ServerReport[] } {
  const notices: ServerReport[] = []
  return { wire: new Wire(inPieces(bytes, pieceBytes), place, (notice) => notices.push(notice)), notices }
}

describe('messages of the server', () => {
  test.each([1, 7, 1000])('are told apart in pieces of %i bytes, notices and parameters aside', async (pieceBytes) => {
    const { wire, notices } = wireOver(
      Buffer.concat([
        message('d', 'skipped'),
        message('N', report('WARNING', '01000', 'careful')),
        message('S', 'a\0b\0'),
        message('d', 'dcontent'),
        message('c', ''),
      ]),
      pieceBytes,
    )
    expect((await wire.next()).type).toBe('d')
    expect((await wire.next()).type).toBe('d')
    expect(await wire.byte()).toBe('d'.charCodeAt(0))
    const pieces: Uint8Array[] = []
    for await (const piece of wire.pieces()) pieces.push(Buffer.from(piece))
    expect(Buffer.concat(pieces).toString()).toBe('content')
    expect(await wire.byte()).toBeUndefined()
    await wire.expect('c')
    expect(notices).toMatchObject([{ severity: 'WARNING', message: 'careful' }])
    await expect(wire.next()).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE' })
  })

  test('that report an error fail with its meaning', async () => {
    const { wire } = wireOver(message('E', report('FATAL', '53300', 'sorry, too many clients already')))
    await expect(wire.next()).rejects.toMatchObject({
      code: 'HF_SOURCE_UNREACHABLE',
      message: 'PostgreSQL at db1:5432: sorry, too many clients already',
      hint: expect.stringContaining('max_wal_senders'),
    })
  })

  test.each<{ readonly what: string; readonly bytes: Buffer; readonly code: string }>([
    { what: 'end within a header', bytes: message('d', '').subarray(0, 3), code: 'HF_SOURCE_UNREACHABLE' },
    { what: 'end within a body', bytes: message('T', 'body').subarray(0, 7), code: 'HF_SOURCE_UNREACHABLE' },
    { what: 'have a negative length', bytes: message('T', '', -4), code: 'HF_SOURCE_DAMAGED' },
    { what: 'claim more than anybody sends', bytes: message('T', '', 2 ** 31), code: 'HF_SOURCE_DAMAGED' },
    { what: 'are an error of absurd size', bytes: message('E', '', 2 ** 31), code: 'HF_SOURCE_DAMAGED' },
  ])('that $what are refused', async ({ bytes, code }) => {
    const { wire } = wireOver(bytes)
    await expect(wire.next().then(() => wire.body())).rejects.toMatchObject({ code })
  })

  test('of rows that are malformed give what there is and read no further', () => {
    expect(readColumns(Buffer.from('\0\x02name'))).toEqual([])
    expect(readValues(Buffer.from([0, 1, 0, 0, 0, 200, 65]))).toEqual(['A'])
    expect(readValues(Buffer.from([0, 1, 255, 255, 255, 255]))).toEqual([undefined])
  })
})
