import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromHex } from '../../lib/bytes.ts'
import { BlobTableBuilder } from '../repository/index/blob-table.ts'
import { remoteRanges } from '../repository/pack/read-ranges.ts'
import { planContent } from './content-plan.ts'
import { DataBlobs } from './data-blobs.ts'
import { type EntryTable, EntryTableBuilder, ROOT } from './entry-table.ts'
import { planFetches } from './fetch-plan.ts'
import { readWindows } from './threads/read-windows.ts'

const MIB = 1024 * 1024
const never = { seconds: 0, nanoseconds: 0 }

interface Blob {
  readonly pack: number
  readonly length: number
}

/** Blobs one after the other in their packs, with a gap before some. */
function makeBlobs(blobs: readonly Blob[], gaps: readonly number[]): DataBlobs {
  const builder = new BlobTableBuilder()
  const ends = new Map<number, number>()
  for (const [i, { pack, length }] of blobs.entries()) {
    const offset = (ends.get(pack) ?? 0) + (gaps[i % gaps.length] ?? 0)
    // Ids ascend, so that the row of a blob is its number.
    builder.append(fromHex(i.toString(16).padStart(64, '0')), 0, pack, offset, length, 0)
    ends.set(pack, offset + length)
  }
  return new DataBlobs(builder.build().memory)
}

function makeTable(files: readonly (readonly number[])[]): { table: EntryTable; content: Uint32Array } {
  const builder = new EntryTableBuilder()
  const add = (name: string, kind: 'dir' | 'file', contentEnd: number): number =>
    builder.append({
      parent: ROOT,
      name,
      kind,
      action: 'create',
      mode: 0,
      uid: 0,
      gid: 0,
      modified: never,
      accessed: never,
      number: 0,
      contentEnd,
      linkTarget: '',
      extendedAttributes: [],
    })
  add('', 'dir', 0)
  const content = files.flat()
  let end = 0
  for (const [i, file] of files.entries()) {
    end += file.length
    add(`file ${i}`, 'file', end)
  }
  return { table: builder.build(), content: Uint32Array.from(content) }
}

const lengths = fc.oneof(fc.integer({ min: 32, max: 5000 }), fc.integer({ min: MIB, max: 9 * MIB }))
const cases = fc
  .array(fc.record({ pack: fc.integer({ min: 0, max: 4 }), length: lengths }), { minLength: 1, maxLength: 30 })
  .chain((blobs) =>
    fc.record({
      blobs: fc.constant(blobs),
      gaps: fc.array(fc.integer({ min: 0, max: 3 * MIB }), { minLength: 1, maxLength: 5 }),
      files: fc.array(fc.array(fc.integer({ min: 0, max: blobs.length - 1 }), { maxLength: 8 }), { maxLength: 20 }),
      updates: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
    }),
  )

test('every missing place is written once, each pack is read forwards, and shared files are known', () => {
  fc.assert(
    fc.property(cases, ({ blobs, gaps, files, updates }) => {
      const rows = makeBlobs(blobs, gaps)
      const { table, content } = makeTable(files)
      const present = new Map<number, Uint8Array>()
      const expected: string[] = []
      for (const [i, file] of files.entries()) {
        const entry = i + 1
        const isUpdate = updates[i % updates.length]!
        const matches = Uint8Array.from(file, (blob) => (isUpdate && blob % 2 === 0 ? 1 : 0))
        if (isUpdate) {
          table.setAction(entry, 'update')
          present.set(entry, matches)
        }
        let offset = 0
        for (const [at, blob] of file.entries()) {
          if (matches[at] === 0) expected.push(`${blob} to ${entry} at ${offset}`)
          offset += blobs[blob]!.length - 32
        }
      }
      const { placements, tasks, tasksOfShared } = planContent(table, content, rows, 5, present)
      const found: string[] = []
      const tasksOf = new Map<number, Set<number>>()
      for (const [t, { pack, from, to, shared }] of tasks.entries()) {
        let previous = -1
        for (let at = from; at < to; at++) {
          const row = placements.row[at]!
          const entry = placements.entry[at]!
          expect(rows.pack(row)).toBe(pack)
          expect(rows.offset(row)).toBeGreaterThanOrEqual(previous)
          previous = rows.offset(row)
          found.push(`${row} to ${entry} at ${placements.offset[at]}`)
          tasksOf.set(entry, (tasksOf.get(entry) ?? new Set()).add(t))
        }
        for (const entry of shared) expect(tasksOf.get(entry)!.has(t)).toBe(true)
      }
      expect(found.sort()).toEqual(expected.sort())
      for (const [entry, inTasks] of tasksOf) {
        const isShared = inTasks.size > 1 || table.action(entry) === 'update'
        expect(tasksOfShared.get(entry) ?? 0).toBe(isShared ? inTasks.size : 0)
        expect(tasks.filter(({ shared }) => shared.includes(entry)).length).toBe(isShared ? inTasks.size : 0)
      }
    }),
    { numRuns: 150 },
  )
})

test('a pack is read in pieces that hold every blob, leave large gaps out and stay small', () => {
  fc.assert(
    fc.property(cases, ({ blobs, gaps, files }) => {
      const rows = makeBlobs(blobs, gaps)
      const { table, content } = makeTable(files)
      const { placements, tasks } = planContent(table, content, rows, 5, new Map())
      for (const { from, to } of tasks) {
        let next = from
        let end = -1
        for (const window of readWindows(placements, rows, from, to)) {
          expect(window.from).toBe(next)
          expect(window.to).toBeGreaterThan(window.from)
          expect(window.offset).toBeGreaterThanOrEqual(end)
          next = window.to
          end = window.offset + window.length
          const used = new Set<number>()
          for (let at = window.from; at < window.to; at++) {
            const row = placements.row[at]!
            used.add(row)
            expect(rows.offset(row)).toBeGreaterThanOrEqual(window.offset)
            expect(rows.offset(row) + rows.length(row)).toBeLessThanOrEqual(end)
          }
          expect(used.size === 1 || window.length <= 8 * MIB).toBe(true)
          const bytes = [...used].reduce((sum, row) => sum + rows.length(row), 0)
          expect(window.length - bytes).toBeLessThanOrEqual(MIB * (used.size - 1))
        }
        expect(next).toBe(to)
      }
    }),
    { numRuns: 100 },
  )
})

test('a pack that is far away is fetched in stretches that hold every blob, leave large gaps out, stay small and do not overlap', () => {
  const { requestBytes, gapBytes } = remoteRanges
  fc.assert(
    fc.property(cases, ({ blobs, gaps, files }) => {
      const rows = makeBlobs(blobs, gaps)
      const { table, content } = makeTable(files)
      const reach = { bytes: requestBytes, gapBytes }
      const { placements, tasks } = planContent(table, content, rows, 5, new Map(), reach)
      const fetches = planFetches(tasks, placements, rows)
      expect(fetches.flatMap((fetch) => fetch.tasks)).toEqual(tasks)
      let previous = { pack: -1, end: 0 }
      for (const { pack, offset, length, tasks } of fetches) {
        if (pack === previous.pack) expect(offset).toBeGreaterThanOrEqual(previous.end)
        previous = { pack, end: offset + length }
        const used = new Set<number>()
        for (const { from, to } of tasks) for (let at = from; at < to; at++) used.add(placements.row[at]!)
        for (const row of used) {
          expect(rows.offset(row)).toBeGreaterThanOrEqual(offset)
          expect(rows.offset(row) + rows.length(row)).toBeLessThanOrEqual(offset + length)
        }
        expect(used.size === 1 || length <= requestBytes).toBe(true)
        const bytes = [...used].reduce((sum, row) => sum + rows.length(row), 0)
        expect(length - bytes).toBeLessThanOrEqual(gapBytes * (used.size - 1))
      }
    }),
    { numRuns: 150 },
  )
})

test('much work in one pack is cut so that threads can share it', () => {
  const blobs = Array.from({ length: 100 }, (_, i) => ({ pack: 0, length: i < 3 ? 100 : MIB }))
  const { table, content } = makeTable(blobs.map((_, i) => [i]))
  const { tasks, tasksOfShared } = planContent(table, content, makeBlobs(blobs, [0]), 1, new Map())
  expect(tasks).toHaveLength(7)
  expect(tasksOfShared.size).toBe(0)
  const many = makeTable(Array.from({ length: 10_000 }, (_, i) => [i % 3]))
  expect(planContent(many.table, many.content, makeBlobs(blobs, [0]), 1, new Map()).tasks.length).toBeGreaterThan(4)
})
