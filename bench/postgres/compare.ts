import type { Measurement } from '../compare/measure.ts'
import { settle } from '../compare/settle.ts'
import type { BenchCluster } from './cluster.ts'
import type { PostgresTool } from './tools.ts'

export type PostgresCase = 'full' | 'incremental' | 'restore'

export interface PostgresRun extends Pick<Measurement, 'wallMs' | 'cpuMs' | 'peakBytes' | 'stealMs'> {
  readonly tool: PostgresTool['name']
  readonly case: PostgresCase
  readonly round: number
  /** What the repository grew by. */
  readonly storedBytes: number
}

/** Runs the tools in turn, A B then B A, through all cases of each round. */
export async function compare(
  cluster: BenchCluster,
  tools: readonly PostgresTool[],
  options: { readonly rounds: number; readonly updates: number; readonly say: (text: string) => void },
): Promise<readonly PostgresRun[]> {
  const runs: PostgresRun[] = []
  const note = (tool: PostgresTool, name: PostgresCase, round: number, before: number, measured: Measurement): void => {
    const { wallMs, cpuMs, peakBytes, stealMs } = measured
    const storedBytes = tool.storedBytes() - before
    runs.push({ tool: tool.name, case: name, round, wallMs, cpuMs, peakBytes, stealMs, storedBytes })
    options.say(
      `${name} ${tool.name}: ${(wallMs / 1000).toFixed(2)} s, ${(storedBytes / 2 ** 20).toFixed(1)} MiB stored`,
    )
  }
  for (let round = 0; round < options.rounds; round++) {
    const order = round % 2 === 0 ? tools : tools.toReversed()
    for (const tool of tools) await tool.begin()
    for (const tool of order) {
      await cluster.drainArchive()
      await settle()
      note(tool, 'full', round, 0, await tool.backUp('full'))
    }
    await cluster.update(options.updates)
    for (const tool of order) {
      await cluster.drainArchive()
      await settle()
      const before = tool.storedBytes()
      note(tool, 'incremental', round, before, await tool.backUp('incremental'))
    }
    for (const tool of order) {
      const target = cluster.folder('restored')
      await settle()
      const before = tool.storedBytes()
      note(tool, 'restore', round, before, await tool.restore(target))
      // It stays until the end: ext4 without a journal looks for inodes it has not just freed, for a second of the next restore.
    }
  }
  return runs
}
