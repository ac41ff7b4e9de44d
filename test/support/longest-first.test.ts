import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { longestFirst } from './longest-first.ts'

test('the longest test files start first, those nobody has measured at the end, in their order', () => {
  const seconds = new Map([
    ['b', 7],
    ['c', 40],
  ])
  expect(longestFirst(['a', 'b', 'c', 'd'], seconds)).toEqual([2, 1, 0, 3])
})

test('most files that durations are recorded of are there', () => {
  const root = join(import.meta.dirname, '../..')
  const paths = Object.keys(JSON.parse(readFileSync(join(root, 'test/durations.json'), 'utf8')))
  const gone = paths.filter((path) => !existsSync(join(root, path)))
  expect(gone.length, `record durations anew: ${gone.join(', ')} are gone`).toBeLessThan(paths.length / 4)
})
