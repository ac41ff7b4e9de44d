import type { Machine } from '../compare/machine.ts'
import { median } from '../compare/report.ts'
import type { PostgresCase, PostgresRun } from './compare.ts'

export interface PostgresBenchResult {
  readonly date: string
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  readonly server: string
  readonly clusterBytes: number
  readonly updates: number
  readonly runs: readonly PostgresRun[]
}

/** What the time, and the stored bytes, of Holdfast may be of pgBackRest's. */
const bars: Readonly<Record<PostgresCase, { readonly time: number; readonly stored?: number }>> = {
  full: { time: 1 },
  incremental: { time: 0.55, stored: 0.9 },
  restore: { time: 1 },
}

const titles: Readonly<Record<PostgresCase, string>> = {
  full: 'full backup',
  incremental: 'incremental after random updates',
  restore: 'restore into an empty folder',
}

export function toMarkdown(result: PostgresBenchResult): string {
  const { date, machine, versions, server, clusterBytes, updates, runs } = result
  const of = (tool: PostgresRun['tool'], name: PostgresCase): readonly PostgresRun[] =>
    runs.filter((run) => run.tool === tool && run.case === name)
  const middle = (list: readonly PostgresRun[], key: 'wallMs' | 'cpuMs' | 'peakBytes' | 'storedBytes'): number =>
    median(list.map((run) => run[key]))
  const seconds = (list: readonly PostgresRun[]): string => {
    const times = list.map(({ wallMs }) => wallMs / 1000)
    return `${(middle(list, 'wallMs') / 1000).toFixed(2)} (${Math.min(...times).toFixed(2)}–${Math.max(...times).toFixed(2)})`
  }
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
  const rows = (Object.keys(titles) as PostgresCase[]).map((name) => {
    const [ours, theirs] = [of('holdfast', name), of('pgbackrest', name)]
    const time = middle(ours, 'wallMs') / middle(theirs, 'wallMs')
    const stored = middle(ours, 'storedBytes') / middle(theirs, 'storedBytes')
    const bar = bars[name]
    return [
      titles[name],
      seconds(ours),
      seconds(theirs),
      `${time.toFixed(2)} (<= ${bar.time})`,
      name === 'restore' ? '' : mib(middle(ours, 'storedBytes')),
      name === 'restore' ? '' : mib(middle(theirs, 'storedBytes')),
      name === 'restore' ? '' : `${stored.toFixed(2)}${bar.stored === undefined ? '' : ` (<= ${bar.stored})`}`,
      `${(middle(ours, 'cpuMs') / 1000).toFixed(1)} / ${(middle(theirs, 'cpuMs') / 1000).toFixed(1)}`,
      mib(middle(ours, 'peakBytes')),
    ]
  })
  const steal = Math.max(...runs.map(({ stealMs, wallMs }) => stealMs / wallMs / machine.processors))
  return `# PostgreSQL: Holdfast and pgBackRest

${date.slice(0, 10)}, ${machine.processors} x ${machine.processor} (${machine.instructions.join(' ')}), ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${machine.fileSystem}, Linux ${machine.kernel}, load before ${machine.load.toFixed(1)}, given to others at most ${(steal * 100).toFixed(1)} %.

PostgreSQL ${server}, a cluster of ${mib(clusterBytes)} MiB; ${updates} random updates between two backups. ${Object.entries(
    versions,
  )
    .map(([name, version]) => `${name}: ${version}`)
    .join(
      '; ',
    )}. pgBackRest with zst level 1, process-max 2, bundles, block increments, on the machine of the server, unencrypted; Holdfast over the replication protocol, encrypted. Medians of ${of('holdfast', 'full').length} rounds, in turn.

| case | Holdfast s | pgBackRest s | time | Holdfast MiB | pgBackRest MiB | stored | CPU s | peak MiB |
|---|---|---|---|---|---|---|---|---|
${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}

In brackets behind times: the fastest and the slowest run; behind ratios: what they must be.
`
}
