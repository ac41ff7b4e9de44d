import type { Floor } from './floors.ts'
import type { Machine } from './machine.ts'
import { type StageShares, stages } from './stages.ts'
import type { ToolName } from './tools.ts'
import type { Objection, Run, StoredSize } from './workbench.ts'

/** Everything one run of the benchmark found; this is what bench/results/*.json holds. */
export interface BenchResult {
  readonly name: string
  /** ISO 8601, UTC. */
  readonly date: string
  readonly machine: Machine
  readonly versions: Readonly<Record<ToolName, string>>
  readonly tree: string
  readonly titles: Readonly<Record<string, string>>
  readonly runs: readonly Run[]
  readonly sizes: readonly StoredSize[]
  readonly floors: readonly Floor[]
  /** Of a first backup; absent when none was profiled. */
  readonly stages?: StageShares | undefined
  readonly objections: readonly Objection[]
}

/** How many times faster than restic a case has to be, and should be. */
export const bars: Readonly<Record<string, { readonly must: number; readonly aim: number }>> = {
  first: { must: 1.6, aim: 2.2 },
  unchanged: { must: 2.5, aim: 4 },
  changed: { must: 2, aim: 3 },
  restore: { must: 1.3, aim: 2 },
  check: { must: 1.5, aim: 3 },
  'large-first': { must: 1.8, aim: 2.5 },
  'large-restore': { must: 1.5, aim: 2.5 },
  prune: { must: 1.5, aim: 3 },
  copy: { must: 1.5, aim: 2 },
  'copy-unchanged': { must: 1, aim: 2 },
}
const MOST_STORED = 1.03
const MOST_PEAK_BYTES = 400e6

export interface CaseSummary {
  readonly case: string
  readonly wallMs: Readonly<Record<ToolName, number>>
  readonly cpuMs: Readonly<Record<ToolName, number>>
  readonly peakBytes: Readonly<Record<ToolName, number>>
  /** restic's median divided by Holdfast's: above 1 Holdfast is faster. */
  readonly wallRatio: number
  readonly cpuRatio: number
  readonly counts: boolean
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Medians and ratios of each case both tools ran, in the order they ran. */
export function summarise(result: Pick<BenchResult, 'runs' | 'objections'>): readonly CaseSummary[] {
  const names = [...new Set(result.runs.map((run) => run.case))]
  return names.map((name) => {
    const of = (tool: ToolName, figure: 'wallMs' | 'cpuMs' | 'peakBytes'): number =>
      median(result.runs.filter((run) => run.case === name && run.tool === tool).map((run) => run[figure]))
    const both = (figure: 'wallMs' | 'cpuMs' | 'peakBytes'): Record<ToolName, number> => ({
      restic: of('restic', figure),
      holdfast: of('holdfast', figure),
    })
    const [wallMs, cpuMs, peakBytes] = [both('wallMs'), both('cpuMs'), both('peakBytes')]
    return {
      case: name,
      wallMs,
      cpuMs,
      peakBytes,
      wallRatio: wallMs.restic / wallMs.holdfast,
      cpuRatio: cpuMs.restic / cpuMs.holdfast,
      counts: !result.objections.some((objection) => objection.case === name),
    }
  })
}

/** The result for people: GitHub's Markdown. */
export function toMarkdown(result: BenchResult): string {
  const summaries = summarise(result)
  const { machine } = result
  const rounds = Math.max(...result.runs.map((run) => run.round)) + 1
  const steal = result.runs.reduce((sum, run) => sum + run.stealMs, 0)
  const wall = result.runs.reduce((sum, run) => sum + run.wallMs, 0)
  return [
    `# ${result.name}, ${result.date.slice(0, 10)}`,
    '',
    `${result.versions.holdfast} against ${result.versions.restic}, in turn, ${rounds} rounds, medians. Tree: ${result.tree}. Warm cache.`,
    '',
    `${machine.processors} x ${machine.processor} (${machine.instructions.join(' ')}), ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ` +
      `${machine.fileSystem}, Linux ${machine.kernel}, Node ${machine.node}. Load before: ${machine.load.toFixed(1)}. The hypervisor took ${percent(steal / machine.processors / wall)} of the time.`,
    '',
    ...table(
      ['work', 'must', 'aim', 'restic', 'Holdfast', 'wall ratio', 'CPU ratio', 'peak restic', 'peak Holdfast', ''],
      summaries.map((summary) => [
        result.titles[summary.case] ?? summary.case,
        times(bars[summary.case]?.must),
        times(bars[summary.case]?.aim),
        seconds(summary.wallMs.restic),
        seconds(summary.wallMs.holdfast),
        times(summary.wallRatio),
        times(summary.cpuRatio),
        megabytes(summary.peakBytes.restic),
        megabytes(summary.peakBytes.holdfast),
        verdict(summary, isWholeTree(result.tree)),
      ]),
    ),
    '',
    ...(isWholeTree(result.tree) ? [] : ['The bars are for the whole tree; on another one they are only named.', '']),
    ...sizeLines(result),
    ...memoryLines(summaries),
    '## Floors of this machine, same tree, one thread',
    '',
    ...table(
      ['work', 'wall', 'CPU'],
      result.floors.map((floor) => [floor.what, seconds(floor.wallMs), seconds(floor.cpuMs)]),
    ),
    '',
    ...stageLines(result.stages),
    ...(result.objections.length > 0 ? ['## What does not count', ''] : []),
    ...result.objections.map((objection) => `- ${objection.case}: ${objection.reason}`),
    '',
  ].join('\n')
}

/** Whether the tree is the one the bars are for. */
function isWholeTree(tree: string): boolean {
  return tree.includes('scale 1, large 1')
}

function verdict(summary: CaseSummary, isWhole: boolean): string {
  const bar = bars[summary.case]
  if (!summary.counts) return 'does not count'
  if (bar === undefined || !isWhole) return ''
  return summary.wallRatio >= bar.aim ? 'aim reached' : summary.wallRatio >= bar.must ? 'reached' : 'MISSED'
}

function sizeLines(result: BenchResult): readonly string[] {
  const subjects = [...new Set(result.sizes.map((size) => size.subject))]
  const bytesOf = (subject: string, tool: ToolName): number =>
    result.sizes.find((size) => size.subject === subject && size.tool === tool)?.bytes ?? Number.NaN
  return subjects.flatMap((subject) => {
    const ratio = bytesOf(subject, 'holdfast') / bytesOf(subject, 'restic')
    return [
      `Stored (${subject}): restic ${megabytes(bytesOf(subject, 'restic'))}, Holdfast ${megabytes(bytesOf(subject, 'holdfast'))}: ` +
        `${ratio.toFixed(3)} of restic's, at most ${MOST_STORED} allowed: ${ratio <= MOST_STORED ? 'reached' : 'MISSED'}.`,
      '',
    ]
  })
}

function memoryLines(summaries: readonly CaseSummary[]): readonly string[] {
  const first = summaries.find((summary) => summary.case === 'first')
  if (first === undefined) return []
  const reached = first.peakBytes.holdfast <= MOST_PEAK_BYTES ? 'reached' : 'MISSED'
  return [
    `Peak memory of a first backup: ${megabytes(first.peakBytes.holdfast)}, at most ${megabytes(MOST_PEAK_BYTES)} allowed: ${reached}.`,
    '',
  ]
}

function stageLines(shares: StageShares | undefined): readonly string[] {
  if (shares === undefined) return []
  return [
    '## Where the time of a first backup goes',
    '',
    'Shares of what all threads do, from a run of its own under a profiler. `verify` is the decompression of everything that was compressed.',
    '',
    ...table(stages, [stages.map((stage) => percent(shares[stage]))]),
    '',
  ]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)]
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
const times = (ratio: number | undefined): string => (ratio === undefined ? '' : `${ratio.toFixed(2)} x`)
