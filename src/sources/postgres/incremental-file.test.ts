import { describe, expect, test } from 'vitest'
import { noise } from '../../../test/support/storage-victims.ts'
import { incrementalTarget, isVisibilityMap, readIncrementalFile } from './incremental-file.ts'

const PAGE = 8192
const limits = { pageBytes: PAGE, segmentBytes: 1024 ** 3 }

interface Parts {
  readonly magic?: number
  readonly count?: number
  readonly cutTo?: number
  readonly pages?: readonly number[]
  readonly padding?: Uint8Array
  readonly tail?: Uint8Array
}

/** An incremental file as a server writes it, with what is asked for wrong. */
function made({ pages = [1, 4], count = pages.length, cutTo = 6, magic = 0xd3ae1f0d, padding, tail }: Parts): Buffer {
  const header = Buffer.alloc(12 + 4 * pages.length)
  header.writeUInt32LE(magic, 0)
  header.writeUInt32LE(count, 4)
  header.writeUInt32LE(cutTo, 8)
  for (const [i, page] of pages.entries()) header.writeUInt32LE(page, 12 + 4 * i)
  const zeros = pages.length === 0 ? new Uint8Array(0) : new Uint8Array(PAGE - (header.length % PAGE))
  return Buffer.concat([header, padding ?? zeros, ...pages.map((page) => noise(page, PAGE)), tail ?? new Uint8Array(0)])
}

async function* inPieces(bytes: Uint8Array, pieceBytes = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

async function readAll(bytes: Buffer, size = bytes.length): Promise<{ pages: number; changed: number[] }> {
  const file = await readIncrementalFile('base/5/1259', size, inPieces(bytes), limits)
  const page = Buffer.alloc(PAGE)
  for (const number of file.changed) {
    await file.readPage(page)
    expect(page.equals(noise(number, PAGE))).toBe(true)
  }
  await file.finish()
  return { pages: file.pages, changed: [...file.changed] }
}

test('an incremental file says what changed and how long the file is', async () => {
  expect(await readAll(made({}))).toEqual({ pages: 6, changed: [1, 4] })
  expect(await readAll(made({ cutTo: 2 }))).toEqual({ pages: 5, changed: [1, 4] })
  expect(await readAll(made({ pages: [], cutTo: 9 }))).toEqual({ pages: 9, changed: [] })
  expect(await readAll(made({ pages: [], cutTo: 0 }))).toEqual({ pages: 0, changed: [] })
  expect(await readAll(made({ pages: [131_071], cutTo: 131_072 }))).toEqual({ pages: 131_072, changed: [131_071] })
})

describe('an incremental file is refused', () => {
  test.each<{ readonly what: string; readonly bytes: Buffer; readonly size?: number }>([
    { what: 'without its magic', bytes: made({ magic: 0xd3ae1f0e }) },
    { what: 'of nothing', bytes: Buffer.alloc(0) },
    { what: 'that ends within its header', bytes: made({}).subarray(0, 11) },
    { what: 'that ends within its pages', bytes: made({}).subarray(0, -1), size: made({}).length },
    { what: 'shorter than its counts', bytes: made({ count: 3 }) },
    { what: 'longer than its counts', bytes: made({ tail: new Uint8Array(1) }) },
    { what: 'with more pages than a file can have', bytes: made({ pages: [], count: 0xffff_ffff }) },
    { what: 'of a length no file can have', bytes: made({ cutTo: 131_073 }) },
    { what: 'with a page behind the end of every file', bytes: made({ pages: [131_072] }) },
    { what: 'with a page twice', bytes: made({ pages: [4, 4] }) },
    { what: 'with pages out of order', bytes: made({ pages: [4, 1] }) },
    { what: 'with something in the padding', bytes: made({ padding: new Uint8Array(PAGE - 20).fill(1) }) },
    { what: 'in whose place more comes', bytes: made({ tail: new Uint8Array(9) }), size: made({}).length },
  ])('$what', async ({ bytes, size }) => {
    await expect(readAll(bytes, size)).rejects.toMatchObject({ code: 'HF_SOURCE_DAMAGED' })
  })
})

test('only files of relations are incremental', () => {
  expect(incrementalTarget('base/5/INCREMENTAL.1259')).toBe('base/5/1259')
  expect(incrementalTarget('global/INCREMENTAL.1262_vm')).toBe('global/1262_vm')
  expect(incrementalTarget('pg_tblspc/16384/PG_18_202506291/5/INCREMENTAL.16386.1')).toBe(
    'pg_tblspc/16384/PG_18_202506291/5/16386.1',
  )
  for (const path of [
    'INCREMENTAL.x',
    'base/INCREMENTAL.5',
    'base/5/1259',
    'pg_wal/INCREMENTAL.x',
    'base/x/INCREMENTAL.1',
  ])
    expect(incrementalTarget(path), path).toBeUndefined()
  expect(['base/5/1259_vm', 'global/INCREMENTAL.1262_vm', 'base/5/1259_vm.1'].every(isVisibilityMap)).toBe(true)
  expect(['base/5/1259', 'base/5/1259_fsm', 'base/5/INCREMENTAL.1259'].some(isVisibilityMap)).toBe(false)
})
