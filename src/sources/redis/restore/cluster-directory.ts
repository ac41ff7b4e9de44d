import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { PlannedRestore, SourceRestoreResult } from '../../restore.ts'
import type { SourceProblem } from '../../source.ts'
import { parseRange, slotOf } from '../cluster/slots.ts'
import type { ShardRecord } from '../cluster/transfer.ts'
import { NOTHING_SELECTED } from '../plan-text.ts'
import type { Selection } from '../selection.ts'
import { survey } from '../survey.ts'
import { type DirectoryRestore, planDirectory } from './directory.ts'

export interface ClusterDirectoryRestore
  extends Pick<DirectoryRestore, 'snapshot' | 'selection' | 'path' | 'overwrite'> {
  readonly shards: readonly ShardRecord[]
}

/**
 * Plans a data folder for a master of each shard, below `path`: `shard-1` and so on, by slots. A node that is started on such a folder without a
 * `nodes.conf` takes the slots of which it has keys (verifyClusterConfigWithData in cluster.c of Redis 7.0).
 */
export async function planClusterDirectory(
  { snapshot, selection, shards, path, overwrite }: ClusterDirectoryRestore,
  signal?: AbortSignal,
): Promise<PlannedRestore> {
  const plans: PlannedRestore[] = []
  let keys = 0
  for (const [i, { slots }] of shards.entries()) {
    const ofShard = onlySlots(selection, slots)
    const found = await survey(snapshot, ofShard, signal)
    const folder = join(path, `shard-${i + 1}`)
    keys += found.keys
    plans.push(planDirectory({ snapshot, selection: ofShard, survey: found, path: folder, overwrite, isNode: true }))
  }
  const all = plans.map(({ plan }) => plan)
  const sum = (of: 'files' | 'bytes'): number => all.reduce((total, plan) => total + plan[of], 0)
  return {
    plan: {
      steps: all.flatMap(({ steps }) => steps),
      files: sum('files'),
      bytes: sum('bytes'),
      overwrites: all.flatMap(({ overwrites }) => overwrites),
      problems: [
        ...placeProblems(path, overwrite),
        ...(selection.isPartial && keys === 0 ? [NOTHING_SELECTED] : []),
        ...distinct(all.flatMap(({ problems }) => problems)),
      ],
      afterwards: [
        ...new Set(all.flatMap(({ afterwards }) => afterwards)),
        'the nodes take the slots of their keys when they start without a nodes.conf; then make them one cluster: redis-cli -h HOST -p PORT CLUSTER MEET OTHER_HOST OTHER_PORT, from one to each other, and have the slots without keys assigned: redis-cli --cluster fix HOST:PORT --cluster-yes',
      ],
    },
    execute: async (observer, executeSignal) => {
      const results: SourceRestoreResult[] = []
      for (const { execute } of plans) results.push(await execute(observer, executeSignal))
      return {
        files: results.reduce((total, { files }) => total + files, 0),
        bytes: results.reduce((total, { bytes }) => total + bytes, 0),
        errors: results.reduce((total, { errors }) => total + errors, 0),
        facts: {
          shards: String(results.length),
          keys: String(results.reduce((total, { facts }) => total + Number(facts.keys), 0)),
        },
      }
    },
  }
}

function onlySlots(selection: Selection, slots: readonly string[]): Selection {
  const ranges = slots.map((slot) => parseRange(slot)!)
  return {
    ...selection,
    isPartial: true,
    wants: (key) => {
      const slot = slotOf(key)
      return ranges.some(([first, last]) => slot >= first && slot <= last) && selection.wants(key)
    },
  }
}

function placeProblems(path: string, overwrite: boolean): readonly SourceProblem[] {
  if (overwrite || !existsSync(path) || readdirSync(path).length === 0) return []
  return [
    {
      severity: 'error',
      what: `${path} is not empty`,
      remedy: 'restore into a new folder, or allow it with --overwrite',
    },
  ]
}

const distinct = (problems: readonly SourceProblem[]): readonly SourceProblem[] => [
  ...new Map(problems.map((problem) => [problem.what, problem])).values(),
]
