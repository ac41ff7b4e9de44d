import { describe, expect, test } from 'vitest'
import { cases } from './cases.ts'
import { type BenchResult, bars, median, summarise, toMarkdown } from './report.ts'
import type { ToolName } from './tools.ts'
import type { Run } from './workbench.ts'

const run = (name: string, tool: ToolName, round: number, wallMs: number, peakBytes = 1e8): Run => ({
  case: name,
  tool,
  round,
  wallMs,
  cpuMs: wallMs * 2,
  peakBytes,
  stealMs: 0,
  exitCode: 0,
})

const result: BenchResult = {
  name: 'trial',
  date: '2026-11-21T10:00:00.000Z',
  machine: {
    processor: 'P',
    processors: 2,
    instructions: ['aes'],
    memoryBytes: 2 ** 34,
    kernel: '6',
    fileSystem: 'ext4',
    node: 'v24',
    load: 0.1,
  },
  versions: { restic: 'restic 0.19.1', holdfast: 'holdfast 0.1.0' },
  tree: 'version 1, seed 1, scale 1, large 1, 3 files',
  titles: { first: 'first backup, mixed tree' },
  runs: [
    run('first', 'restic', 0, 9000),
    run('first', 'holdfast', 0, 4000, 4.1e8),
    run('first', 'holdfast', 1, 3000, 4.1e8),
    run('first', 'restic', 1, 30_000),
    run('first', 'restic', 2, 8000),
    run('first', 'holdfast', 2, 5000, 4.1e8),
  ],
  sizes: [
    { subject: 'tree', tool: 'restic', bytes: 1e9 },
    { subject: 'tree', tool: 'holdfast', bytes: 1.04e9 },
  ],
  floors: [{ what: 'cp -a', wallMs: 2000, cpuMs: 1000 }],
  objections: [],
}

test('medians are those of each tool, and ratios say how many times faster Holdfast is', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 2, 3])).toBe(2.5)
  expect(summarise(result)).toEqual([
    {
      case: 'first',
      wallMs: { restic: 9000, holdfast: 4000 },
      cpuMs: { restic: 18_000, holdfast: 8000 },
      peakBytes: { restic: 1e8, holdfast: 4.1e8 },
      wallRatio: 2.25,
      cpuRatio: 2.25,
      counts: true,
    },
  ])
})

test('each case has a bar', () => {
  expect(Object.keys(bars).sort()).toEqual(Object.keys(cases).sort())
})

describe('the report', () => {
  test('says what was reached and what was missed', () => {
    const text = toMarkdown(result)
    expect(text).toContain(
      '| first backup, mixed tree | 1.60 x | 2.20 x | 9.00 s | 4.00 s | 2.25 x | 2.25 x | 100 MB | 410 MB | aim reached |',
    )
    expect(text).toContain("1.040 of restic's, at most 1.03 allowed: MISSED")
    expect(text).toContain('Peak memory of a first backup: 410 MB, at most 400 MB allowed: MISSED')
    expect(text).toContain('| cp -a | 2.00 s | 1.00 s |')
  })

  test('a slower run misses its bar', () => {
    const runs = result.runs.map((each) => (each.tool === 'holdfast' ? { ...each, wallMs: each.wallMs * 1.5 } : each))
    expect(toMarkdown({ ...result, runs })).toContain(
      '| 1.50 x | 1.50 x | 100 MB | 410 MB | MISSED |'.replace('| 1.50 x | 1.50 x', '| 1.50 x | 2.25 x'),
    )
  })

  test('passes no verdict by a tree the bars are not for', () => {
    const text = toMarkdown({ ...result, tree: 'version 1, seed 1, scale 0.1, large 1, 3 files' })
    expect(text).toContain('| 100 MB | 410 MB |  |')
    expect(text).toContain('The bars are for the whole tree')
  })

  test('nothing counts against which there is an objection', () => {
    const text = toMarkdown({ ...result, objections: [{ case: 'first', reason: 'restic check found damage' }] })
    expect(text).toContain('| does not count |')
    expect(text).toContain('- first: restic check found damage')
    expect(text).not.toContain('aim reached')
  })
})
