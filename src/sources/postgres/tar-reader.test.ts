import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readTar } from './tar-reader.ts'

interface Fields {
  readonly name?: string
  readonly size?: number | string
  readonly type?: string
  readonly link?: string
  readonly prefix?: string
  readonly magic?: string
  readonly mode?: string
}

/** A header as PostgreSQL's tarCreateHeader writes it. */
function header({ name = 'base/1', size = 0, type = '0', link = '', prefix = '', magic, mode }: Fields): Buffer {
  const block = Buffer.alloc(512)
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')} `
  block.write(name, 0, 100, 'latin1')
  block.write(mode ?? octal(0o600, 7), 100, 'latin1')
  block.write(octal(26, 7), 108)
  block.write(octal(27, 7), 116)
  if (typeof size === 'string') block.write(size, 124, 12, 'latin1')
  else block.write(octal(size, 11), 124)
  block.write(octal(1_700_000_000, 11), 136)
  block.write(type, 156)
  block.write(link, 157, 100, 'latin1')
  block.write(magic ?? 'ustar\0' + '00', 257, 'latin1')
  block.write(prefix, 345, 155, 'latin1')
  return seal(block)
}

function seal(block: Buffer): Buffer {
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

const padded = (content: Buffer): Buffer => Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)])

const member = (fields: Fields, content: Buffer = Buffer.alloc(0)): Buffer =>
  Buffer.concat([header({ size: content.length, ...fields }), padded(content)])

const end = Buffer.alloc(1024)

async function* inPieces(bytes: Buffer, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

/** All members with their content. */
async function membersOf(archive: Buffer, pieceBytes = 1000) {
  const members = []
  for await (const { content, ...fields } of readTar(inPieces(archive, pieceBytes))) {
    const pieces: Uint8Array[] = []
    for await (const piece of content) pieces.push(Buffer.from(piece))
    members.push({ ...fields, content: Buffer.concat(pieces).toString('latin1') })
  }
  return members
}

describe('a tar archive', () => {
  const archive = Buffer.concat([
    member({ name: 'base/', type: '5', mode: '0000700 ' }),
    member({ name: 'base/1259' }, Buffer.from('x'.repeat(1300))),
    member({ name: 'empty' }),
    member({ name: 'pg_tblspc/16384', type: '2', link: '/srv/space' }),
  ])

  test.each([1, 511, 512, 513, 100_000])('is read in pieces of %i bytes', async (pieceBytes) => {
    const members = await membersOf(Buffer.concat([archive, end]), pieceBytes)
    expect(members).toMatchObject([
      { type: 'directory', path: 'base', mode: 0o700, uid: 26, gid: 27, mtime: { seconds: 1_700_000_000 } },
      { type: 'file', path: 'base/1259', mode: 0o600, size: 1300, content: 'x'.repeat(1300) },
      { type: 'file', path: 'empty', size: 0 },
      { type: 'symlink', path: 'pg_tblspc/16384', linkTarget: '/srv/space' },
    ])
  })

  test('may end without zero blocks, as those of PostgreSQL 13 and 14 do', async () => {
    expect(await membersOf(archive)).toHaveLength(4)
  })

  test('goes on behind a member whose content nobody reads', async () => {
    const paths: string[] = []
    for await (const { path } of readTar(inPieces(archive, 700))) paths.push(path)
    expect(paths).toEqual(['base', 'base/1259', 'empty', 'pg_tblspc/16384'])
  })

  test('has long names in each of the ways there are', async () => {
    const long = `base/${'n'.repeat(200)}`
    const record = (text: string): Buffer => {
      const length = [...Array(9999).keys()].find((n) => `${n} ${text}\n`.length === n)
      return Buffer.from(`${length} ${text}\n`)
    }
    const members = await membersOf(
      Buffer.concat([
        member({ name: '././@LongLink', type: 'L', magic: 'ustar  \0' }, Buffer.from(`${long}1\0`)),
        member({ name: 'cut', magic: 'ustar  \0' }, Buffer.from('gnu')),
        member({ name: 'x', type: 'x' }, Buffer.concat([record('mtime=1.5'), record(`path=${long}2`)])),
        member({ name: 'cut' }, Buffer.from('pax')),
        member({ name: 'c', prefix: 'a/b' }, Buffer.from('ustar')),
        member({ name: 'plain' }, Buffer.from('plain')),
      ]),
    )
    expect(members.map(({ path, content }) => [path, content])).toEqual([
      [`${long}1`, 'gnu'],
      [`${long}2`, 'pax'],
      ['a/b/c', 'ustar'],
      ['plain', 'plain'],
    ])
  })

  test('has sizes in base 256', async () => {
    const size = Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x02]).toString('latin1')
    const [file] = await membersOf(Buffer.concat([header({ size }), padded(Buffer.alloc(258, 'y'))]))
    expect(file).toMatchObject({ size: 258, content: 'y'.repeat(258) })
  })

  test.each<{ readonly what: string; readonly bytes: Buffer }>([
    { what: 'a wrong header checksum', bytes: Buffer.concat([header({}).fill('z', 0, 1), end]) },
    { what: 'a header that is no header', bytes: Buffer.alloc(512, 'garbage') },
    { what: 'an old format', bytes: member({ magic: '\0\0\0\0\0\0\0\0' }) },
    { what: 'an end within a header', bytes: archive.subarray(0, 300) },
    { what: 'an end within content', bytes: archive.subarray(0, 512 + 512 + 700) },
    { what: 'an end within padding', bytes: archive.subarray(0, 512 + 512 + 1400) },
    { what: 'an end behind a long name', bytes: member({ type: 'L' }, Buffer.from('long\0')) },
    { what: 'something behind its end', bytes: Buffer.concat([archive, end, archive]) },
    { what: 'a path that leaves', bytes: member({ name: '../../etc/passwd' }) },
    { what: 'a path that leaves in the middle', bytes: member({ name: 'base/../../x' }) },
    { what: 'an absolute path', bytes: member({ name: '/etc/passwd' }) },
    { what: 'no name', bytes: member({ name: '' }) },
    { what: 'a size that is no number', bytes: header({ size: '0000000zzzz ' }) },
    { what: 'a size beyond all numbers', bytes: header({ size: '\xbf'.repeat(12) }) },
    { what: 'a negative size', bytes: header({ size: '\xff'.repeat(12) }) },
    { what: 'a huge size and nothing behind', bytes: header({ size: '77777777777 ' }) },
    { what: 'a huge name', bytes: header({ type: 'L', size: '77777777777 ' }) },
    { what: 'a huge extended header', bytes: header({ type: 'x', size: '77777777777 ' }) },
    { what: 'a malformed extended header', bytes: member({ type: 'x' }, Buffer.from('99 path=x\n')) },
    {
      what: 'a zero byte in an extended path',
      bytes: Buffer.concat([member({ type: 'x' }, Buffer.from('12 path=a\0b\n')), member({})]),
    },
    { what: 'a hard link', bytes: member({ type: '1', link: 'base/2' }) },
    { what: 'a device', bytes: member({ type: '4' }) },
    { what: 'a folder with content', bytes: member({ type: '5' }, Buffer.from('x')) },
    { what: 'a link to nothing', bytes: member({ type: '2' }) },
  ])('with $what is refused', async ({ bytes }) => {
    await expect(membersOf(bytes)).rejects.toMatchObject({ code: 'HF_SOURCE_DAMAGED' })
  })

  test('with any byte of a header changed is refused or read, and never more is read than there is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(archive.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const changed = Buffer.from(archive)
        changed[at]! ^= flip
        const inHeader = at < 1024 || at >= 1024 + 1536
        const outcome = await membersOf(changed).then(
          () => 'read',
          (error: { code?: string }) => error.code,
        )
        expect(outcome).toBe(inHeader ? 'HF_SOURCE_DAMAGED' : 'read')
      }),
      { numRuns: 300 },
    )
  })
})
