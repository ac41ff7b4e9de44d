import { createHash } from 'node:crypto'
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ContentKind, contentPieces } from './content.ts'
import { changeTree, ensureTree, removeTree } from './keep.ts'
import { planTree } from './plan.ts'

const plan = planTree({ scale: 0.004 })
let scratch: string
let root: string

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-tree-'))
  root = join(scratch, 'tree')
  ensureTree(plan, root)
})
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true })
})

/** Names, types, modes, times, link targets and contents of everything below `folder`, as one digest. */
function digestOf(folder: string): string {
  const hash = createHash('sha256')
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const facts = lstatSync(join(folder, name))
    hash.update(`${name}\0${facts.mode}\0${facts.mtimeMs}\0${facts.isFile() ? facts.nlink : 0}\0`)
    if (facts.isSymbolicLink()) hash.update(readlinkSync(join(folder, name)))
    if (facts.isFile()) hash.update(readFileSync(join(folder, name)))
  }
  return hash.digest('hex')
}

function contentOf(kind: ContentKind, sizeBytes: number, seed = 7): Uint8Array {
  return Buffer.concat(Array.from(contentPieces(kind, sizeBytes, seed), (piece) => piece.slice()))
}

describe('the tree', () => {
  // Results of different days and machines are comparable only while this digest stays. A wanted change of it raises VERSION in plan.ts.
  test('has the same bytes on every machine', () => {
    expect(digestOf(root)).toBe('c708d5782b14025ce0f8ffd58343c813a8a592996cf8e5daef864edfd957fb02')
  })

  test('another seed gives another tree of about the same size', () => {
    const [one, two] = [planTree(), planTree({ seed: 2 })]
    expect(two.files[0]!.path).not.toBe(one.files[0]!.path)
    expect(two.sizeBytes / one.sizeBytes).toBeCloseTo(1, 1)
  })

  test('in full it is what the benchmark promises', () => {
    const full = planTree()
    expect(full.files.length).toBeGreaterThan(57_000)
    expect(full.files.length).toBeLessThan(63_000)
    expect(full.sizeBytes / 2 ** 30).toBeGreaterThan(1.9)
    expect(full.sizeBytes / 2 ** 30).toBeLessThan(2.1)
    expect(full.largeFiles.map((file) => file.sizeBytes >= 500 * 2 ** 20)).toEqual([true, true])
    const folders = new Set(full.files.map((file) => file.path.slice(0, file.path.lastIndexOf('/'))))
    expect(folders.size).toBeLessThan(8000)
    const sizes = full.files.map((file) => file.sizeBytes).sort((a, b) => a - b)
    expect(sizes[sizes.length >> 1]).toBeGreaterThan(1500)
    expect(sizes[sizes.length >> 1]).toBeLessThan(6000)
  })

  test('a larger one can have as many files', () => {
    const larger = planTree({ scale: 0.004, largeScale: 10 })
    expect(larger.files.length).toBe(plan.files.length)
    expect(larger.sizeBytes).toBeGreaterThan(plan.sizeBytes * 3)
  })
})

describe('contents', () => {
  // What compressors gain on real files of these kinds and sizes, measured on source trees, logs and libraries.
  test.each<[ContentKind, number, number]>([
    ['typescript', 3, 5],
    ['python', 3, 5],
    ['c', 3, 5],
    ['json', 3, 5],
    ['log', 3, 5],
    ['csv', 2.5, 5],
    ['markdown', 2.8, 5],
    ['html', 3, 5],
    ['sql', 2.5, 5],
    ['mail', 2.2, 4],
    ['machine', 1.9, 2.7],
    ['database', 2, 3],
    ['compressed', 0.99, 1.01],
  ])('%s compresses %f to %f times', (kind, least, most) => {
    const bytes = contentOf(kind, 200_000)
    const ratio = bytes.length / zstdCompressSync(bytes).length
    expect(ratio).toBeGreaterThan(least)
    expect(ratio).toBeLessThan(most)
  })

  test('text is clean ASCII and a longer file begins like a shorter one', () => {
    const long = contentOf('html', 50_000)
    expect(contentOf('html', 20_000)).toEqual(long.subarray(0, 20_000))
    expect(long.every((byte) => byte === 9 || byte === 10 || (byte >= 32 && byte < 127))).toBe(true)
  })

  test('pieces of a large file differ', () => {
    const [first, second] = Array.from(contentPieces('sql', 9 * 2 ** 20, 1), (piece) => piece.slice(0, 4096))
    expect(first).not.toEqual(second)
  })
})

describe('a day of work', () => {
  test('changes about one file in a hundred, none of the large ones, and can be taken back exactly', () => {
    const before = digestOf(root)
    const change = changeTree(plan, root, 1)
    const edited = change.edited.length / plan.files.length
    expect(edited).toBeGreaterThan(0.002)
    expect(edited).toBeLessThan(0.03)
    const large = new Set(plan.largeFiles.map((file) => file.path))
    expect([...change.edited, ...change.removed].filter((file) => large.has(file.path))).toEqual([])
    expect(digestOf(root)).not.toBe(before)
    expect(ensureTree(plan, root)).toBe('reverted')
    expect(digestOf(root)).toBe(before)
    expect(ensureTree(plan, root)).toBe('found')
  })

  test('differs from day to day', () => {
    const [one, two] = [1, 2].map((day) => {
      const change = changeTree(plan, root, day)
      ensureTree(plan, root)
      return change.edited.map((file) => file.path)
    })
    expect(one).not.toEqual(two)
  })
})

describe('keeping a tree', () => {
  test('one that was cut off or is of another plan is written anew', () => {
    const own = join(scratch, 'own')
    const small = planTree({ scale: 0.001 })
    expect(ensureTree(small, own)).toBe('written')
    writeFileSync(`${own}.state.json`, JSON.stringify({ identity: small.identity, days: null }))
    rmSync(join(own, small.files[0]!.path))
    expect(ensureTree(small, own)).toBe('written')
    expect(lstatSync(join(own, small.files[0]!.path)).size).toBe(small.files[0]!.sizeBytes)
    expect(ensureTree(planTree({ scale: 0.001, seed: 5 }), own)).toBe('written')
    removeTree(own)
    expect(readdirSync(scratch).filter((name) => name.startsWith('own'))).toEqual([])
  })

  test("somebody's folder is not touched", () => {
    const theirs = join(scratch, 'theirs')
    mkdirSync(theirs)
    writeFileSync(join(theirs, 'thesis.txt'), 'years of work')
    expect(() => ensureTree(plan, theirs)).toThrow('not a tree of this generator')
    expect(readFileSync(join(theirs, 'thesis.txt'), 'utf8')).toBe('years of work')
  })
})
