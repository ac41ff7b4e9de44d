/**
 * `node scripts/record-durations.ts REPORT`: writes `test/durations.json`, by which the longest test files start first, from the report of a
 * whole run on a machine that did nothing else: `npx vitest run --reporter=json --outputFile=REPORT`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/** What is shorter does not matter at the end of a run. */
const LEAST_SECONDS = 5

interface Report {
  readonly testResults: readonly { readonly name: string; readonly startTime: number; readonly endTime: number }[]
}

const [path] = process.argv.slice(2)
if (path === undefined) {
  console.error('usage: node scripts/record-durations.ts REPORT')
  process.exit(1)
}
const root = join(import.meta.dirname, '..')
const { testResults } = JSON.parse(readFileSync(path, 'utf8')) as Report
const durations = testResults
  .map(({ name, startTime, endTime }) => [relative(root, name), Math.round((endTime - startTime) / 1000)] as const)
  .filter(([, seconds]) => seconds >= LEAST_SECONDS)
  .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
writeFileSync(join(root, 'test/durations.json'), `${JSON.stringify(Object.fromEntries(durations), null, 2)}\n`)
console.log(`${durations.length} test files take ${LEAST_SECONDS} seconds and more`)
