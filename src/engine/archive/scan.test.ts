import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { scratchFolder } from '../../../test/support/test-repository.ts'
import { createSelector } from './filter/selector.ts'
import { type ScanTotals, scanTargets } from './scan.ts'

const selectorFor = (targets: readonly string[], exclude: readonly string[] = []) =>
  createSelector({
    targets: targets.map((target) => Buffer.from(target)),
    exclude: exclude.map((text) => ({ text })),
    warn: () => undefined,
  })

test('counts what a backup would read: each file once, without what is excluded, links not at all', async () => {
  using scratch = scratchFolder()
  const data = scratch.join('data')
  mkdirSync(join(data, 'sub', 'deep'), { recursive: true })
  for (const name of ['a', 'b.tmp', 'sub/c', 'sub/deep/d']) writeFileSync(join(data, name), 'four')
  symlinkSync('a', join(data, 'link'))
  const scan = (targets: readonly string[], exclude: readonly string[] = []): Promise<ScanTotals> =>
    scanTargets(targets, { selector: selectorFor(targets, exclude), signal: new AbortController().signal })
  expect(await scan([data])).toEqual({ files: 4, folders: 3, bytes: 16 })
  expect(await scan([data], ['*.tmp', 'deep'])).toEqual({ files: 2, folders: 2, bytes: 8 })
  // A target inside another one counts once, and is in although it is excluded; what is in it is not.
  expect(await scan([data, join(data, 'sub', 'deep'), join(data, 'a')], ['deep'])).toEqual({
    files: 3,
    folders: 3,
    bytes: 12,
  })
})

test('tells how far it is and what it cannot look at, and ends when it is told to', async () => {
  using scratch = scratchFolder()
  const missing = scratch.join('missing')
  const errors: string[] = []
  const seen: ScanTotals[] = []
  const controller = new AbortController()
  const totals = await scanTargets([missing], {
    selector: selectorFor([missing]),
    signal: controller.signal,
    onError: (item) => errors.push(item),
    onTotals: (now) => seen.push({ ...now }),
  })
  expect(errors).toEqual([missing])
  expect(seen.at(-1)).toEqual(totals)
  controller.abort()
  const none = await scanTargets([scratch.path], { selector: selectorFor([scratch.path]), signal: controller.signal })
  expect(none).toEqual({ files: 0, folders: 0, bytes: 0 })
})
