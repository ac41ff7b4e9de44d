import { expect, test } from 'vitest'
import type { DataBlobs } from '../data-blobs.ts'
import type { EntryTable } from '../entry-table.ts'
import { isInLongRuns } from './run-lengths.ts'

const BLOCK = 32 * 1024
const rows = { plaintextLength: () => BLOCK } as unknown as DataBlobs
const tableOf = (...sizes: number[]): EntryTable =>
  ({ memory: { number: Float64Array.from(sizes) } }) as unknown as EntryTable

/** Placements of one block each: entry and block of the file. */
const at = (...places: (readonly [entry: number, block: number])[]) => ({
  row: new Uint32Array(places.length),
  entry: Uint32Array.from(places, ([entry]) => entry),
  offset: Float64Array.from(places, ([, block]) => block * BLOCK),
})

const table = tableOf(2 ** 30, 2 ** 30, 10_000)

test('blocks that follow each other in large files are long runs, single ones are not', () => {
  const following = at(...Array.from({ length: 64 }, (_, i) => [0, i] as const))
  expect(isInLongRuns(following, rows, table, 0, 64)).toBe(true)
  const apart = at(...Array.from({ length: 64 }, (_, i) => [0, 7 * i] as const))
  expect(isInLongRuns(apart, rows, table, 0, 64)).toBe(false)
  const alternating = at(...Array.from({ length: 64 }, (_, i) => [i % 2, i >> 1] as const))
  expect(isInLongRuns(alternating, rows, table, 0, 64)).toBe(false)
  const inFours = at(...Array.from({ length: 64 }, (_, i) => [0, i + 3 * (i >> 2)] as const))
  expect(isInLongRuns(inFours, rows, table, 0, 64)).toBe(true)
  expect(isInLongRuns(inFours, rows, table, 2, 6)).toBe(false)
})

test('small files do not count', () => {
  const mixed = at(...Array.from({ length: 40 }, () => [2, 0] as const), [0, 0], [0, 1], [0, 2], [0, 3])
  expect(isInLongRuns(mixed, rows, table, 0, 44)).toBe(true)
})
