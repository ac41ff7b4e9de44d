import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { utf8 } from '../../../lib/bytes.ts'
import { sha256Hex } from '../../kernels/sha256.ts'
import { choosePacks } from './choose-packs.ts'

const packs = (count: number, size = 100): ReadonlyMap<string, number> =>
  new Map(Array.from({ length: count }, (_, i) => [sha256Hex(utf8(`pack ${i}`)), size]))

describe('the packs to read', () => {
  test('t parts are all packs, each once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 1, max: 256 }), (count, parts) => {
        const all = packs(count)
        const read = Array.from({ length: parts }, (_, i) => choosePacks(all, { kind: 'part', part: i + 1, parts }))
        expect(read.flatMap((part) => [...part.keys()]).sort()).toEqual([...all.keys()].sort())
      }),
      { numRuns: 50 },
    )
  })

  test('a part is restic\u2019s: by the first byte of the name', () => {
    const all = new Map(['00', '01', '05', 'ff'].map((start) => [start.padEnd(64, '7'), 1]))
    const chosen = choosePacks(all, { kind: 'part', part: 2, parts: 4 })
    expect([...chosen.keys()].map((id) => id.slice(0, 2))).toEqual(['01', '05'])
  })

  test('a share is of the number of packs, at least one', () => {
    expect(choosePacks(packs(200), { kind: 'percent', percent: 5 }).size).toBe(10)
    expect(choosePacks(packs(3), { kind: 'percent', percent: 1 }).size).toBe(1)
    expect(choosePacks(packs(3), { kind: 'percent', percent: 100 }).size).toBe(3)
    expect(choosePacks(packs(0), { kind: 'percent', percent: 50 }).size).toBe(0)
  })

  test('an amount is reached and not passed by more than a pack', () => {
    expect(choosePacks(packs(50), { kind: 'bytes', bytes: 1001 }).size).toBe(11)
    expect(choosePacks(packs(50), { kind: 'bytes', bytes: 1 }).size).toBe(1)
    expect(choosePacks(packs(50), { kind: 'bytes', bytes: 1e9 }).size).toBe(50)
  })

  test('chance chooses others each time', () => {
    const all = packs(100)
    const tries = Array.from({ length: 5 }, () =>
      [...choosePacks(all, { kind: 'percent', percent: 10 }).keys()].sort().join(),
    )
    expect(new Set(tries).size).toBeGreaterThan(1)
  })
})
