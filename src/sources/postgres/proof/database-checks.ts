import {
  changedCollations,
  checkRelations,
  FIRST_WITH_HEAP,
  isLackOfMachine,
  isOrderFault,
} from '../check/relation-checks.ts'
import type { CheckList } from './check-list.ts'
import { checkHeapFiles, type HeapFiles } from './heap-check.ts'
import { quoted, SandboxRefusal, type SandboxSession } from './sandbox-session.ts'

export interface DatabaseCheck {
  readonly checks: CheckList
  readonly session: SandboxSession
  readonly database: string
  readonly majorVersion: number
  readonly files: HeapFiles
  readonly signal?: AbortSignal | undefined
}

/** Looks through one database of a restored cluster. Nobody else uses it, so indexes are looked at from their roots down. */
export async function checkDatabase(check: DatabaseCheck): Promise<void> {
  const { session, majorVersion, files, signal } = check
  await session.rows('SET search_path = pg_catalog')
  const excuse = await foreignOrder(check)
  const reason = await installAmcheck(session)
  const amcheck = reason === undefined ? { schema: await schemaOfAmcheck(session) } : { reason }
  const needsFiles = majorVersion < FIRST_WITH_HEAP
  // Files are looked at, not what the server has in memory: amcheck has just come into the catalog.
  if (needsFiles) await session.rows('CHECKPOINT')
  await checkRelations({
    ...check,
    majorVersion,
    withUnlogged: true,
    heapFunction: amcheck,
    indexFunction: amcheck,
    ...(needsFiles && { checkHeap: ({ oid }) => checkHeapFiles(session, files, oid, signal) }),
    indexFunctionName: 'bt_index_parent_check',
    readRows: async ({ copied }) => void (await session.rows(`COPY ${copied} TO '/dev/null'`)),
    judge: (error, { isCollated }) => {
      if (!(error instanceof SandboxRefusal)) throw error
      const { sqlstate, message } = error
      if (isLackOfMachine(sqlstate, message)) return { skipped: message }
      if (excuse !== undefined && isCollated && isOrderFault(message)) return { skipped: excuse }
      return { fault: message }
    },
  })
}

async function installAmcheck(session: SandboxSession): Promise<string | undefined> {
  try {
    await session.rows('CREATE EXTENSION IF NOT EXISTS amcheck')
    return undefined
  } catch (error) {
    if (!(error instanceof SandboxRefusal)) throw error
    return `the extension amcheck is not to be had: ${error.message}; it comes with postgresql-contrib, on Debian with the server`
  }
}

async function schemaOfAmcheck(session: SandboxSession): Promise<string> {
  const [row] = await session.rows(
    "SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'amcheck'",
  )
  return quoted(String(row!.nspname))
}

/** Why an index may be in another order here than where it was made; undefined when all locales are of the version they were. */
async function foreignOrder({ session, majorVersion }: DatabaseCheck): Promise<string | undefined> {
  const changed = await changedCollations(session, majorVersion)
  const [first] = changed
  return (
    first &&
    `${changed.length} collations have another version on this machine (${first.name}: ${first.made}, here ${first.here}), so its order cannot be checked here`
  )
}
