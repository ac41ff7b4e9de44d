import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootOf } from '../../../engine/repository/snapshot.ts'
import { isHoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { ProofJob, ProofSandbox, SourceProof } from '../../proof.ts'
import type { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { CONTROL_FILE } from '../control-file.ts'
import { loadManifest, type PostgresManifest } from '../manifest.ts'
import { parseServerManifest, SERVER_MANIFEST, type ServerManifest } from '../server-manifest.ts'
import { findServerPrograms, programsRemedy, type ServerPrograms } from '../server-programs.ts'
import { sourceNameOf } from '../snapshot-content.ts'
import { CheckList, isElsewhere } from './check-list.ts'
import { ClusterSandbox } from './cluster-sandbox.ts'
import { checkRestoredFiles } from './restored-files.ts'
import type { SandboxServer } from './sandbox-server.ts'
import type { SessionPlace } from './sandbox-session.ts'
import { findSuperuser, readRecovery, recoveryFaults, restoreIntoSandbox, startRestored } from './scratch-cluster.ts'
import { checkClusterStructure } from './structure.ts'

export interface ClusterProofOptions {
  /** The configured name. */
  readonly source: string
  /** The role backups are made as, which exists in the cluster. */
  readonly role: string
  /** Instead of what is found on this machine; undefined when there is none. */
  readonly findPrograms?: (majorVersion: number) => ServerPrograms | undefined
}

const names = {
  restore: 'restore to a data directory',
  start: 'start of a server on it',
  recovery: 'recovery to the end of the backup',
  timeline: 'timeline and system id',
} as const

/** How physical snapshots are proved: by restoring them, and starting a server that nobody else can reach. */
export function clusterProof(options: ClusterProofOptions): SourceProof {
  return {
    checkStructure: (job) => checkClusterStructure(options.source, job),
    openSandbox: (job, folder) => openClusterSandbox(options, job, folder),
  }
}

async function openClusterSandbox(
  options: ClusterProofOptions,
  job: ProofJob,
  folder: SandboxFolder,
): Promise<ProofSandbox | undefined> {
  const { repository, snapshot, signal } = job
  const checks = new CheckList(job, 'restore')
  const dataDirectory = join(folder.path, 'data')
  const source = sourceNameOf(snapshot, options.source)
  let manifest: PostgresManifest | undefined
  try {
    manifest = await loadManifest(repository, rootOf(snapshot), source, signal)
    const { files, bytes } = await restoreIntoSandbox(options.source, job, folder, dataDirectory)
    checks.passed(names.restore, `${files} files and folders, ${formatSize(bytes)}`)
  } catch (error) {
    signal?.throwIfAborted()
    if (isElsewhere(error)) throw error
    const isMachine = isHoldfastError(error, 'HF_TARGET_INVALID') || isHoldfastError(error, 'HF_RESTORE_FAILED')
    if (isMachine) checks.skipped(names.restore, error.message)
    else checks.failed(names.restore, (error as Error).message)
  }
  if (!existsSync(join(dataDirectory, CONTROL_FILE)) || manifest === undefined) {
    checks.skipped(names.start, 'the snapshot could not be restored')
    return undefined
  }
  await checkAgainstServer(checks, dataDirectory, signal)
  const { majorVersion } = manifest.server
  const programs = (options.findPrograms ?? findServerPrograms)(majorVersion)
  if (programs === undefined) {
    checks.skipped(names.start, `no PostgreSQL ${majorVersion} on this machine: ${programsRemedy(majorVersion)}`)
    return undefined
  }
  const started = await startRestored(folder, dataDirectory, manifest, programs, signal)
  if (!('server' in started)) {
    if (started.isMachine) checks.skipped(names.start, started.failure)
    else checks.failed(names.start, started.failure)
    return undefined
  }
  const { server } = started
  try {
    checks.passed(names.start, `PostgreSQL ${programs.version}`)
    const superuser = await findSuperuser(server, options.role, signal)
    if (typeof superuser === 'string') {
      checks.skipped(names.recovery, superuser)
      await server.stop()
      return undefined
    }
    await checkRecovery(checks, manifest, server, superuser, signal)
    return new ClusterSandbox({ job, manifest, programs, server, dataDirectory, superuser })
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function checkAgainstServer(
  checks: CheckList,
  dataDirectory: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  let listed: ServerManifest | undefined
  await checks.check('backup manifest of the server', async () => {
    listed = parseServerManifest(readFileSync(join(dataDirectory, SERVER_MANIFEST)))
    return `${listed.files.size} files`
  })
  if (listed !== undefined) await checkRestoredFiles(checks, dataDirectory, listed, signal)
}

async function checkRecovery(
  checks: CheckList,
  manifest: PostgresManifest,
  server: SandboxServer,
  superuser: SessionPlace,
  signal: AbortSignal | undefined,
): Promise<void> {
  const recovery = await readRecovery(server, superuser, signal)
  const { incomplete, foreign } = recoveryFaults(manifest, recovery)
  if (incomplete !== undefined) checks.failed(names.recovery, incomplete)
  else checks.passed(names.recovery, `consistent at ${recovery.consistent}, the backup ends at ${manifest.end.lsn}`)
  if (foreign !== undefined) checks.failed(names.timeline, foreign)
  else checks.passed(names.timeline, `timeline ${recovery.timeline} of the cluster ${recovery.systemId}`)
}
