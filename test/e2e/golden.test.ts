import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { differences } from '../golden/differences.ts'
import { compareRecordings, playScenario, readRecordings } from '../support/golden.ts'
import { resticScenarios } from '../support/restic-cases.ts'

test.concurrent.for(resticScenarios)(
  'does and prints what restic 0.19.1 does: $name',
  { timeout: 10 * 60_000 },
  async (scenario) => {
    const recordings = new Map(readRecordings(scenario.name).map((recording) => [recording.name, recording]))
    const expected = differences[scenario.name] ?? {}
    const report: string[] = []
    const played = new Set<string>()
    await playScenario(scenario, ({ name }, ours) => {
      played.add(name)
      const restic = recordings.get(name)
      const problems =
        restic === undefined ? ['restic was never recorded'] : compareRecordings(restic, ours, expected[name])
      if (problems.length > 0) report.push(`${name} (${ours.arguments.join(' ')}):\n${problems.join('\n')}`)
      else if (expected[name] !== undefined && compareRecordings(restic!, ours).length === 0)
        report.push(`${name}: a difference is listed, and there is none`)
    })
    const unknown = Object.keys(expected).filter((name) => !played.has(name))
    expect(unknown, 'differences are listed for cases that do not exist').toEqual([])
    expect(report.join('\n\n')).toBe('')
  },
)

test('each difference is explained', () => {
  const guide = readFileSync(new URL('../../docs/guide/from-restic.md', import.meta.url), 'utf8')
  const explained = Object.values(differences).flatMap((cases) => Object.values(cases).map(({ see }) => see))
  expect(explained.filter((words) => !guide.includes(`**${words}`))).toEqual([])
})
