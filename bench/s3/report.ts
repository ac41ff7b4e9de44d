import { formatSize } from '../../src/lib/sizes.ts'
import type { Machine } from '../compare/machine.ts'
import { median } from '../compare/report.ts'

export interface Run {
  readonly place: string
  readonly tool: 'restic' | 'holdfast'
  readonly what: 'backup' | 'restore'
  readonly wallSeconds: number
  /** Of the processors, by the tool. */
  readonly ownSeconds: number
  /** Of the processors, by the server meanwhile. */
  readonly serverSeconds: number
  readonly peakBytes: number
}

export interface S3BenchResult {
  readonly date: string
  readonly machine: Machine
  readonly treeBytes: number
  readonly runs: readonly Run[]
}

/** Medians for each place and work, and how many times as long restic takes; a rate beside that of the local disk, without the server's time. */
export function toMarkdown({ date, machine, treeBytes, runs }: S3BenchResult): string {
  const lines = [
    `${date.slice(0, 10)}, ${machine.processors} × ${machine.processor}, ${formatSize(treeBytes)}`,
    '',
    '| place | work | Holdfast | restic | ratio | beside local disk | CPU Holdfast | CPU restic | server | peak Holdfast | peak restic |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
  ]
  const own = (place: string, what: Run['what']): number =>
    median(
      runs
        .filter((run) => run.place === place && run.what === what && run.tool === 'holdfast')
        // What the server computes keeps from us one of the processors for as long.
        .map(({ wallSeconds, serverSeconds }) => wallSeconds - serverSeconds / machine.processors),
    )
  for (const place of new Set(runs.map((run) => run.place)))
    for (const what of ['backup', 'restore'] as const) {
      const of = (tool: Run['tool'], field: 'wallSeconds' | 'ownSeconds' | 'serverSeconds' | 'peakBytes'): number =>
        median(
          runs.filter((run) => run.place === place && run.what === what && run.tool === tool).map((run) => run[field]),
        )
      const seconds = (value: number): string => (Number.isFinite(value) ? `${value.toFixed(1)} s` : '–')
      const number = (value: number): string => (Number.isFinite(value) ? value.toFixed(2) : '–')
      const bytes = (value: number): string => (Number.isFinite(value) ? formatSize(value) : '–')
      const ratio = of('restic', 'wallSeconds') / of('holdfast', 'wallSeconds')
      const besideLocal = place === 'local disk' ? Number.NaN : own('local disk', what) / own(place, what)
      const cells = [
        place,
        what,
        seconds(of('holdfast', 'wallSeconds')),
        seconds(of('restic', 'wallSeconds')),
        number(ratio),
        number(besideLocal),
        seconds(of('holdfast', 'ownSeconds')),
        seconds(of('restic', 'ownSeconds')),
        seconds(of('holdfast', 'serverSeconds')),
        bytes(of('holdfast', 'peakBytes')),
        bytes(of('restic', 'peakBytes')),
      ]
      lines.push(`| ${cells.join(' | ')} |`)
    }
  return `${lines.join('\n')}\n`
}
