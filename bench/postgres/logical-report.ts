import type { Machine } from '../compare/machine.ts'
import { median } from '../compare/report.ts'
import { type FingerprintCost, type LogicalCase, type LogicalRun, logicalCases } from './logical-cases.ts'

export interface LogicalBenchResult {
  readonly date: string
  readonly machine: Machine
  readonly server: string
  readonly version: string
  readonly jobs: number
  readonly tables: number
  /** Of all rows as COPY writes them. */
  readonly bytes: number
  readonly fingerprints: FingerprintCost
  readonly runs: readonly LogicalRun[]
}

/** What the rate of a dump must be of that of COPY alone. */
const bars: Readonly<Partial<Record<LogicalCase, number>>> = { first: 0.35, again: 0.55 }
const MAX_FINGERPRINT = 0.03
const MAX_PEAK_BYTES = 400e6

const titles: Readonly<Record<LogicalCase, string>> = {
  raw: "COPY TO '/dev/null' by the server alone",
  first: 'first dump',
  again: 'again, unchanged',
  'first with sums': 'first dump, `fingerprint: rows`',
  'again with sums': 'again, `fingerprint: rows`',
}

export function toMarkdown(result: LogicalBenchResult): string {
  const { date, machine, server, version, jobs, tables, bytes, fingerprints, runs } = result
  const of = (name: LogicalCase): readonly LogicalRun[] => runs.filter((run) => run.case === name)
  const middle = (name: LogicalCase, key: 'wallMs' | 'cpuMs' | 'peakBytes' | 'storedBytes'): number =>
    median(of(name).map((run) => run[key]))
  const mib = (count: number): string => (count / 2 ** 20).toFixed(0)
  const rows = logicalCases.map((name) => {
    const times = of(name).map(({ wallMs }) => wallMs / 1000)
    const wall = middle(name, 'wallMs')
    const isRaw = name === 'raw'
    const bar = bars[name] === undefined ? '' : ` (>= ${bars[name]})`
    return [
      titles[name],
      `${(wall / 1000).toFixed(2)} (${Math.min(...times).toFixed(2)}–${Math.max(...times).toFixed(2)})`,
      `${(bytes / 2 ** 20 / (wall / 1000)).toFixed(0)}`,
      isRaw ? '' : `${(middle('raw', 'wallMs') / wall).toFixed(2)}${bar}`,
      isRaw ? '' : (middle(name, 'cpuMs') / 1000).toFixed(1),
      isRaw ? '' : mib(Math.max(...of(name).map(({ peakBytes }) => peakBytes))),
      isRaw ? '' : mib(middle(name, 'storedBytes')),
    ]
  })
  const share = (kind: keyof FingerprintCost): string =>
    `${fingerprints[kind].toFixed(kind === 'rows' ? 2 : 4)} ns a byte, ${((100 * fingerprints[kind] * bytes) / 1e6 / middle('first', 'cpuMs')).toFixed(2)} % of the CPU of a first dump`
  const steal = Math.max(...runs.map(({ stealMs, wallMs }) => stealMs / wallMs / machine.processors))
  return `# PostgreSQL: logical dumps beside COPY alone

${date.slice(0, 10)}, ${machine.processors} x ${machine.processor} (${machine.instructions.join(' ')}), ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${machine.fileSystem}, Linux ${machine.kernel}, load before ${machine.load.toFixed(1)}, given to others at most ${(steal * 100).toFixed(1)} %.

PostgreSQL ${server} on the same machine, ${mib(bytes)} MiB of rows in ${tables} tables, ${jobs} at a time; ${version}. COPY alone has the processors to itself, the dump shares them with the server. Medians of ${of('first').length} rounds, in turn.

| case | s | MiB/s | rate of COPY alone | CPU s | peak MiB (<= ${mib(MAX_PEAK_BYTES)}) | stored MiB |
|---|---|---|---|---|---|---|
${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}

In brackets behind times: the fastest and the slowest run. CPU is that of Holdfast, without the server's.

Fingerprints alone: of streams, which are always taken, ${share('stream')} (<= ${MAX_FINGERPRINT * 100} %); sums of rows, on request and for slices, ${share('rows')}.
`
}
