import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ChangeCounter } from './change-counter.ts'
import { scratchFolder } from './test-repository.ts'

test('names that come and move are counted, in folders below, too', async () => {
  using scratch = scratchFolder()
  mkdirSync(scratch.join('a/b'), { recursive: true })
  const counter = new ChangeCounter(scratch.path)
  expect(counter.count).toBe(0)
  writeFileSync(scratch.join('a/b/new'), '')
  await expect.poll(() => counter.count, { timeout: 30_000 }).toBeGreaterThan(0)
  const before = counter.count
  renameSync(scratch.join('a/b/new'), scratch.join('moved'))
  await expect.poll(() => counter.count, { timeout: 30_000 }).toBeGreaterThan(before)
  counter[Symbol.dispose]()
})
