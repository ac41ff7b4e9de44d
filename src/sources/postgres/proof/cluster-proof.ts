import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootOf } from '../../../engine/repository/snapshot.ts'
import { isHoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { ProofJob, ProofSandbox, SourceProof } from '../../proof.ts'
import type { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { CONTROL_FILE } from '../control-file.ts'
import { ALLOW_FOLDERS, AUTO_CONF } from '../data-layout.ts'
import { loadManifest, type PostgresManifest } from '../manifest.ts'
import { planClusterRestore } from '../restore/restore.ts'
import { parseServerManifest, SERVER_MANIFEST, type ServerManifest } from '../server-manifest.ts'
import { findServerPrograms, programsRemedy, type ServerPrograms } from '../server-programs.ts'
import { sourceNameOf } from '../snapshot-content.ts'
import { CheckList, isElsewhere } from './check-list.ts'
import { ClusterSandbox } from './cluster-sandbox.ts'
import { positionOf } from './log-position.ts'
import { checkRestoredFiles } from './restored-files.ts'
import { SandboxServer } from './sandbox-server.ts'
import { SandboxRefusal, SandboxSession, type SessionPlace } from './sandbox-session.ts'
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
    checks.passed(names.restore, await restoreInto(options.source, job, folder, dataDirectory))
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
  const hasFolders = manifest.tablespaces.length > 0 && knowsFolders(dataDirectory, majorVersion)
  // What is in it was compared above. It would be read after our own configuration, and could name what is not on this machine.
  writeFileSync(join(dataDirectory, AUTO_CONF), '')
  const started = await SandboxServer.start(folder, { programs, dataDirectory, hasFolders, signal })
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

async function restoreInto(
  source: string,
  { repository, snapshot, signal }: ProofJob,
  folder: SandboxFolder,
  path: string,
): Promise<string> {
  const { uid, gid } = folder.user
  const owner = uid === undefined || gid === undefined ? undefined : { uid, gid }
  const { execute } = await planClusterRestore(
    source,
    {
      repository,
      snapshot,
      target: { kind: 'directory', path },
      include: [],
      exclude: [],
      rename: [],
      overwrite: false,
      signal,
    },
    { owner, durable: false },
  )
  const errors: string[] = []
  const { files, bytes } = await execute(
    {
      onStep: () => undefined,
      onProgress: () => undefined,
      onWarning: () => undefined,
      onError: (item, error) => void errors.push(`${item}: ${error.message}`),
    },
    signal,
  )
  if (errors.length > 0) throw new Error(errors.slice(0, 5).join('; '))
  return `${files} files and folders, ${formatSize(bytes)}`
}

/** Whether the server can be told to expect tablespaces in place: since 15, and in later releases of 13 and 14, where the snapshot says so. */
function knowsFolders(dataDirectory: string, majorVersion: number): boolean {
  return majorVersion >= 15 || readFileSync(join(dataDirectory, AUTO_CONF), 'utf8').includes(ALLOW_FOLDERS)
}

/** Somebody who may look at everything; or why there is nobody. */
async function findSuperuser(
  server: SandboxServer,
  role: string,
  signal: AbortSignal | undefined,
): Promise<SessionPlace | string> {
  const place = { host: server.socketDirectory, port: server.port, database: 'postgres' }
  const refusals: string[] = []
  for (const user of new Set([role, 'postgres']))
    for (const database of ['postgres', 'template1'])
      try {
        await using session = await SandboxSession.open({ ...place, user, database }, { isSuperuser: false, signal })
        const [found] = await session.rows(
          'SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1',
        )
        return found === undefined
          ? 'no superuser of the cluster may log in'
          : { ...place, database, user: String(found.rolname) }
      } catch (error) {
        if (!(error instanceof SandboxRefusal)) throw error
        refusals.push(error.message)
      }
  return `nobody could log in: ${[...new Set(refusals)].join('; ')}`
}

async function checkRecovery(
  checks: CheckList,
  { end, server: recorded }: PostgresManifest,
  server: SandboxServer,
  superuser: SessionPlace,
  signal: AbortSignal | undefined,
): Promise<void> {
  await using session = await SandboxSession.open(superuser, { signal })
  const [row] = await session.rows(`
    SELECT checkpoint_lsn::text AS lsn, timeline_id AS timeline, system_identifier::text AS system, pg_is_in_recovery() AS recovering
      FROM pg_control_checkpoint(), pg_control_system()`)
  const { lsn, timeline, system, recovering } = row!
  const consistent = /consistent recovery state reached at ([0-9A-F]+\/[0-9A-F]+)/.exec(server.log())?.[1]
  if (recovering === true) checks.failed(names.recovery, 'the server is still recovering')
  else if (consistent === undefined) checks.failed(names.recovery, 'its log does not say that it became consistent')
  else if (positionOf(consistent) < positionOf(end.lsn) || positionOf(String(lsn)) < positionOf(end.lsn))
    checks.failed(names.recovery, `it came to ${lsn}, consistent at ${consistent}; the backup ends at ${end.lsn}`)
  else checks.passed(names.recovery, `consistent at ${consistent}, the backup ends at ${end.lsn}`)
  if (timeline !== end.timeline || system !== recorded.systemId)
    checks.failed(
      names.timeline,
      `timeline ${timeline} of the cluster ${system}, not ${end.timeline} of ${recorded.systemId}`,
    )
  else checks.passed(names.timeline, `timeline ${timeline} of the cluster ${system}`)
}
