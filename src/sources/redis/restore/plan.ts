import { resolve } from 'node:path'
import type { PlannedRestore, RestoreJob } from '../../restore.ts'
import type { SourceServices } from '../../source.ts'
import { selectionOf } from '../selection.ts'
import { readFacts } from '../server.ts'
import type { RedisSettings } from '../settings.ts'
import { openSnapshot } from '../snapshot.ts'
import { type Survey, survey } from '../survey.ts'
import { planClusterDirectory } from './cluster-directory.ts'
import { planCluster } from './cluster-server.ts'
import { planDirectory } from './directory.ts'
import { planServer } from './server.ts'
import { type Target, targetServer } from './target.ts'

/** The source a restore is planned for. */
export interface RestoringSource {
  readonly name: string
  readonly settings: RedisSettings
  readonly services: SourceServices
}

/**
 * Plans a restore into a data folder, a running server, or a running cluster.
 * @throws HoldfastError HF_USAGE for a selection or target that is none, HF_TARGET_INVALID, what opening the snapshot or reaching the
 *   server throws, HF_DATA_DAMAGED
 */
export async function planRestore(
  job: RestoreJob,
  { name, settings, services }: RestoringSource,
): Promise<PlannedRestore> {
  const { repository, target, overwrite, signal } = job
  const selection = selectionOf(job)
  const snapshot = await openSnapshot(repository, job.snapshot, signal)
  const look = (): Promise<Survey> => survey(snapshot, selection, signal)
  if (target.kind === 'directory') {
    const { shards } = snapshot.manifest
    if (shards !== undefined)
      return await planClusterDirectory({ snapshot, selection, shards, path: resolve(target.path), overwrite }, signal)
    const found = selection.isPartial ? await look() : undefined
    return planDirectory({ snapshot, selection, survey: found, path: resolve(target.path), overwrite })
  }
  const server = await targetServer(target.url, settings, services)
  const common = { source: name, snapshot, selection, overwrite, clock: services.clock }
  if (await isInCluster(server, signal)) {
    const found = await survey(snapshot, selection, signal, { bySlot: true })
    return await planCluster({ ...common, survey: found, target: server }, signal)
  }
  return await planServer({ ...common, survey: await look(), target: server }, signal)
}

async function isInCluster({ open }: Target, signal: AbortSignal | undefined): Promise<boolean> {
  using client = await open(signal)
  return (await readFacts(client)).mode === 'cluster'
}
