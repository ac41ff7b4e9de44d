import { describe, expect, test } from 'vitest'
import type { PackTask, Placements } from './content-plan.ts'
import type { DataBlobs } from './data-blobs.ts'
import { planFetches } from './fetch-plan.ts'

const MIB = 1024 * 1024

/** Blobs by offset and length; each is a placement, and each list of numbers a task of the pack. */
function plan(
  blobs: readonly (readonly [offset: number, length: number])[],
  tasks: readonly { readonly pack: number; readonly blobs: readonly number[] }[],
): { pack: number; offset: number; length: number; tasks: number }[] {
  const row = Uint32Array.from(tasks.flatMap((task) => task.blobs))
  const placements: Placements = { row, entry: new Uint32Array(row.length), offset: new Float64Array(row.length) }
  const rows = { offset: (at: number) => blobs[at]![0], length: (at: number) => blobs[at]![1] } as unknown as DataBlobs
  let from = 0
  const cut = tasks.map((task): PackTask => {
    const to = from + task.blobs.length
    const made = { pack: task.pack, from, to, shared: [] }
    from = to
    return made
  })
  return planFetches(cut, placements, rows).map((fetch) => ({ ...fetch, tasks: fetch.tasks.length }))
}

describe('which requests the tasks of a restore need', () => {
  test('neighbours in a pack share one, as long as it is not too long', () => {
    const blobs = [0, 1, 2, 3, 4, 5].map((i) => [i * 3 * MIB, 3 * MIB] as const)
    const tasks = blobs.map((_, i) => ({ pack: 7, blobs: [i] }))
    expect(plan(blobs, tasks)).toEqual([
      { pack: 7, offset: 0, length: 6 * MIB, tasks: 2 },
      { pack: 7, offset: 6 * MIB, length: 6 * MIB, tasks: 2 },
      { pack: 7, offset: 12 * MIB, length: 6 * MIB, tasks: 2 },
    ])
  })

  test('a short gap is read along, a long one is not, and packs stay apart', () => {
    const blobs = [
      [0, 1000],
      [MIB, 1000],
      [2 * MIB + 1001, 1000],
      [3 * MIB + 2002, 1000],
    ] as const
    const tasks = [
      { pack: 1, blobs: [0] },
      { pack: 1, blobs: [1] },
      { pack: 1, blobs: [2] },
      { pack: 2, blobs: [3] },
    ]
    expect(plan(blobs, tasks)).toEqual([
      { pack: 1, offset: 0, length: MIB + 1000, tasks: 2 },
      { pack: 1, offset: 2 * MIB + 1001, length: 1000, tasks: 1 },
      { pack: 2, offset: 3 * MIB + 2002, length: 1000, tasks: 1 },
    ])
  })

  test('a blob that two tasks write to many places is fetched once, however large', () => {
    const blobs = [[500, 20 * MIB]] as const
    const tasks = [0, 1, 2].map(() => ({ pack: 3, blobs: [0, 0, 0] }))
    expect(plan(blobs, tasks)).toEqual([{ pack: 3, offset: 500, length: 20 * MIB, tasks: 3 }])
  })
})
