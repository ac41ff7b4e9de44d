import type { Machine } from '../compare/machine.ts'
import { median } from '../compare/report.ts'
import type { RedisCase, RedisRun } from './cases.ts'

export interface RedisBenchResult {
  readonly date: string
  readonly machine: Machine
  readonly holdfast: string
  readonly server: string
  readonly items: number
  readonly runs: readonly RedisRun[]
}

const titles: Readonly<Record<RedisCase, string>> = {
  raw: 'raw read of the file from a socket',
  'redis-cli': 'redis-cli --rdb',
  backup: 'backup, every value decoded',
  restore: 'restore into a folder',
  proof: 'proof, to level data',
}

/** What the peak memory of Holdfast may be. */
const MAX_PEAK_MIB = 400

export function toMarkdown({ date, machine, holdfast, server, items, runs }: RedisBenchResult): string {
  const of = (name: RedisCase): readonly RedisRun[] => runs.filter((run) => run.case === name)
  const middle = (name: RedisCase, key: 'wallMs' | 'cpuMs'): number => median(of(name).map((run) => run[key]))
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
  const rows = (Object.keys(titles) as RedisCase[]).map((name) => {
    const times = of(name).map(({ wallMs }) => wallMs / 1000)
    const wall = middle(name, 'wallMs')
    const peak = Math.max(...of(name).map(({ peakBytes }) => peakBytes))
    return [
      titles[name],
      `${(wall / 1000).toFixed(2)} (${Math.min(...times).toFixed(2)}–${Math.max(...times).toFixed(2)})`,
      (runs[0]!.bytes / 2 ** 20 / (wall / 1000)).toFixed(0),
      (wall / middle('raw', 'wallMs')).toFixed(2),
      (wall / middle('redis-cli', 'wallMs')).toFixed(2),
      (middle(name, 'cpuMs') / 1000).toFixed(1),
      name === 'redis-cli' ? '' : name === 'raw' ? mib(peak) : `${mib(peak)} (<= ${MAX_PEAK_MIB})`,
    ]
  })
  const steal = Math.max(...runs.map(({ stealMs, wallMs }) => stealMs / wallMs / machine.processors))
  return `# Redis: Holdfast, redis-cli and a raw read

${date.slice(0, 10)}, ${machine.processors} x ${machine.processor} (${machine.instructions.join(' ')}), ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${machine.fileSystem}, Linux ${machine.kernel}, load before ${machine.load.toFixed(1)}, given to others at most ${(steal * 100).toFixed(1)} %.

Redis ${server}, ${items} items, an RDB file of ${mib(runs[0]!.bytes)} MiB; ${holdfast}, into a new repository each time. Medians of ${of('raw').length} rounds, in turn.

| case | s | MiB/s | of a raw read | of redis-cli | CPU s | peak MiB |
|---|---|---|---|---|---|---|
${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}

In brackets behind times: the fastest and the slowest run. Start of the process and derivation of the key are in all of them. The CPU time of a
proof has that of its throw-away server; peak memory is of Holdfast alone, the most of all rounds.
`
}
