import { afterAll, beforeAll, expect, test } from 'vitest'
import { type CheckSizes, storageChecks } from '../../src/engine/storage/contract.ts'
import { listFiles } from '../../src/engine/storage/list-files.ts'
import type { Storage } from '../../src/engine/storage/storage.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'

/** Tests a store, which is made once and closed afterwards: it keeps each promise of the contract, and nothing is left of any check. */
export function testContract(open: () => Storage | Promise<Storage>, sizes: CheckSizes): void {
  let storage: Storage
  beforeAll(async () => {
    storage = await open()
    await storage.create()
  })
  afterAll(() => storage?.close())

  test.each(storageChecks)('$name', { timeout: 10 * 60_000 }, async ({ run }) => {
    await run(storage, sizes)
    for (const kind of ['data', 'index', 'key', 'lock', 'snapshot'] as const)
      expect(await listFiles(storage, kind)).toEqual([])
  })
}

/** Tests that a store finds out when the clock of this machine is wrong. */
export function testClockIsFound(open: (clock: Clock) => Storage): void {
  test('a clock that is wrong is found', async () => {
    const state = async (clock: Clock): Promise<string | undefined> => {
      const storage = open(clock)
      await storage.create()
      const findings = await storage.features.examine!()
      await storage.close()
      return findings.find(({ what }) => what === 'clock')?.state
    }
    expect(await state(systemClock)).toBe('good')
    expect(await state({ ...systemClock, now: () => systemClock.now() + 1_200_000_000_000n })).toBe('bad')
  })
}
