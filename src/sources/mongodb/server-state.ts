import { HoldfastError } from '../../lib/errors.ts'
import type { MongoConnection } from './connection.ts'
import type { MongoManifest } from './manifest.ts'
import type { MemberFacts } from './member.ts'
import { Code, codeOf } from './server-error.ts'

/** What a server is besides its version. Absent is what it does not know, or the user may not see. */
export interface ServerState {
  readonly fcv: string | undefined
  /** Of the replica set: stays the same when its name and members change. */
  readonly setId: string | undefined
}

/** @throws HoldfastError HF_SOURCE_UNSUPPORTED while the feature compatibility version changes, or a collection is resharded */
export async function readState(connection: MongoConnection, facts: MemberFacts): Promise<ServerState> {
  const { featureCompatibilityVersion: fcv } = await ask(connection, {
    getParameter: 1,
    featureCompatibilityVersion: 1,
  })
  const { version, targetVersion } = (fcv ?? {}) as Record<string, unknown>
  if (targetVersion !== undefined)
    throw new HoldfastError(
      'HF_SOURCE_UNSUPPORTED',
      `${connection.place.server} is being changed to version ${targetVersion}`,
      {
        hint: 'run the backup again when setFeatureCompatibilityVersion is done',
        retry: 'later',
      },
    )
  const { config } = facts.topology === 'replica set' ? await ask(connection, { replSetGetConfig: 1 }) : {}
  const { settings } = (config ?? {}) as { settings?: { replicaSetId?: unknown } }
  return {
    fcv: typeof version === 'string' ? version : undefined,
    setId: settings?.replicaSetId === undefined ? undefined : String(settings.replicaSetId),
  }
}

async function ask(connection: MongoConnection, command: Record<string, unknown>): Promise<Record<string, unknown>> {
  try {
    return await connection.command('admin', command)
  } catch (error) {
    // What it is good for can be done without.
    if (codeOf(error) === undefined) throw error
    return {}
  }
}

/** Resharding moves documents between shards; the copy of one shard would lack, or have twice, some of them. */
export async function refuseResharding(connection: MongoConnection): Promise<void> {
  const { cursor } = await connection
    .command('config', { listCollections: 1, nameOnly: true, filter: { name: /^localReshardingOperations\./ } })
    .catch((error: unknown) => {
      if (codeOf(error) === Code.unauthorized) return { cursor: undefined }
      throw error
    })
  const { firstBatch = [] } = (cursor ?? {}) as { firstBatch?: readonly unknown[] }
  if (firstBatch.length === 0) return
  throw new HoldfastError(
    'HF_SOURCE_UNSUPPORTED',
    `${connection.place.server} takes part in the resharding of a collection`,
    {
      hint: 'run the backup again when it is done',
      retry: 'later',
    },
  )
}

/** A set that is another one must not continue the row of snapshots: retention would let the old one's go. */
export function checkSameSet(
  source: string,
  before: MongoManifest['server'] | undefined,
  setId: string | undefined,
): void {
  if (before?.setId === undefined || setId === undefined || before.setId === setId) return
  throw new HoldfastError(
    'HF_SOURCE_CHANGED',
    `source ${source} is another replica set than in its last snapshot: id ${setId}, then ${before.setId}`,
    {
      hint: `if this is meant, back it up as a source of another name, so that the snapshots of ${source} so far stay what they are; otherwise correct \`url\``,
      context: { source, before: before.setId, now: setId },
    },
  )
}
