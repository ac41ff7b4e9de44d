import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RestoreJob, SourceRestoreObserver, SourceRestoreResult } from '../../restore.ts'
import type { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { ALLOW_FOLDERS, AUTO_CONF } from '../data-layout.ts'
import type { PostgresManifest } from '../manifest.ts'
import { planClusterRestore } from '../restore/restore.ts'
import type { ServerPrograms } from '../server-programs.ts'
import { positionOf } from './log-position.ts'
import { SandboxServer, type SandboxStart } from './sandbox-server.ts'
import { SandboxRefusal, SandboxSession, type SessionPlace } from './sandbox-session.ts'

const NAMED_ERRORS = 5

/**
 * Restores a cluster to a folder of a sandbox that does not exist yet, for the user servers run as there. Nothing of it need outlive a crash.
 * @throws Error naming files that were not restored; what restores throw
 */
export async function restoreIntoSandbox(
  source: string,
  { repository, snapshot, signal }: Pick<RestoreJob, 'repository' | 'snapshot' | 'signal'>,
  folder: SandboxFolder,
  path: string,
  observer: Partial<SourceRestoreObserver> = {},
): Promise<SourceRestoreResult> {
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
  const result = await execute(
    {
      onStep: () => undefined,
      onProgress: () => undefined,
      onWarning: () => undefined,
      ...observer,
      onError: (item, error) => void errors.push(`${item}: ${error.message}`),
    },
    signal,
  )
  if (errors.length > 0) throw new Error(errors.slice(0, NAMED_ERRORS).join('; '))
  return result
}

/** Starts a server on a restored cluster. Its own configuration is of no effect, and lost. */
export async function startRestored(
  folder: SandboxFolder,
  dataDirectory: string,
  manifest: PostgresManifest,
  programs: ServerPrograms,
  signal: AbortSignal | undefined,
): Promise<SandboxStart> {
  const hasFolders = manifest.tablespaces.length > 0 && knowsFolders(dataDirectory, manifest.server.majorVersion)
  // It would be read after our own configuration, and could name what is not on this machine.
  writeFileSync(join(dataDirectory, AUTO_CONF), '')
  return await SandboxServer.start(folder, { programs, dataDirectory, hasFolders, signal })
}

/** Whether the server can be told to expect tablespaces in place: since 15, and in later releases of 13 and 14, where the snapshot says so. */
function knowsFolders(dataDirectory: string, majorVersion: number): boolean {
  return majorVersion >= 15 || readFileSync(join(dataDirectory, AUTO_CONF), 'utf8').includes(ALLOW_FOLDERS)
}

/**
 * Somebody who may look at everything; or why there is nobody.
 * @param role one that exists in the cluster
 */
export async function findSuperuser(
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

/** How far a restored cluster has come. */
export interface Recovery {
  readonly lsn: string
  readonly timeline: number
  readonly systemId: string
  readonly isRecovering: boolean
  /** Where its log says it became consistent. */
  readonly consistent: string | undefined
}

export async function readRecovery(
  server: SandboxServer,
  superuser: SessionPlace,
  signal: AbortSignal | undefined,
): Promise<Recovery> {
  await using session = await SandboxSession.open(superuser, { signal })
  const [row] = await session.rows(`
    SELECT checkpoint_lsn::text AS lsn, timeline_id AS timeline, system_identifier::text AS system, pg_is_in_recovery() AS recovering
      FROM pg_control_checkpoint(), pg_control_system()`)
  return {
    lsn: String(row!.lsn),
    timeline: Number(row!.timeline),
    systemId: String(row!.system),
    isRecovering: row!.recovering === true,
    consistent: /consistent recovery state reached at ([0-9A-F]+\/[0-9A-F]+)/.exec(server.log())?.[1],
  }
}

/** What keeps a recovered cluster from being the one that was backed up, at the end of its backup. */
export function recoveryFaults(
  { end, server }: Pick<PostgresManifest, 'end' | 'server'>,
  { lsn, timeline, systemId, isRecovering, consistent }: Recovery,
): { readonly incomplete?: string; readonly foreign?: string } {
  const incomplete = isRecovering
    ? 'the server is still recovering'
    : consistent === undefined
      ? 'its log does not say that it became consistent'
      : positionOf(consistent) < positionOf(end.lsn) || positionOf(lsn) < positionOf(end.lsn)
        ? `it came to ${lsn}, consistent at ${consistent}; the backup ends at ${end.lsn}`
        : undefined
  const foreign =
    timeline !== end.timeline || systemId !== server.systemId
      ? `timeline ${timeline} of the cluster ${systemId}, not ${end.timeline} of ${server.systemId}`
      : undefined
  return { ...(incomplete && { incomplete }), ...(foreign && { foreign }) }
}
