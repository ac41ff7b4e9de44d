import { HoldfastError } from '../../../lib/errors.ts'
import type { SourceCheckJob } from '../../source.ts'
import { OLDEST_MAJOR } from '../cluster-facts.ts'
import type { Endpoint } from '../endpoint.ts'
import type { CopySession } from '../logical/copy-session.ts'
import { quoted } from '../logical/names.ts'
import { refuseTransactionPooler } from '../logical/snapshot-session.ts'
import { CheckList } from '../proof/check-list.ts'
import { findAmcheck } from './amcheck-functions.ts'
import { judgeLive, tellObstacle } from './live-errors.ts'
import { inReadOnlySession, type Login, type ServerFacts } from './live-session.ts'
import { changedCollations, checkRelations } from './relation-checks.ts'
import type { Relation } from './relations.ts'

export interface LiveServer {
  readonly endpoint: Endpoint
  readonly password: string | undefined
  /** All there are, or a choice of them. */
  readonly databases: 'all' | ((session: CopySession) => Promise<readonly string[]>)
}

/** First version with a role that may read everything. */
const FIRST_WITH_READER = 14

/**
 * Looks for damage in a server that is in use, database by database: every table and every B-tree by amcheck where it is installed, every
 * row and every sequence read, checksum failures the server has met. Changes nothing and gives up on locks soon. What the server holds in its
 * memory is looked at there, not on its disk.
 *
 * @throws HoldfastError when the server cannot be reached, or is a pooler of transactions; HF_REQUIRED_MISSING when there is none of the databases chosen
 */
export async function checkLive({ endpoint, password, databases }: LiveServer, job: SourceCheckJob): Promise<void> {
  const { signal } = job
  const checks = new CheckList({ report: ({ level: _, ...check }) => job.report(check), signal }, 'data')
  const login: Login = { endpoint, password, signal }
  // Settings of the session would become those of others.
  await refuseTransactionPooler(endpoint, password, signal)
  const names = await inReadOnlySession(login, async (session, { majorVersion, version }) => {
    if (majorVersion < OLDEST_MAJOR)
      throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `${session.place.server} is of version ${version}`, {
        hint: `PostgreSQL ${OLDEST_MAJOR} or newer can be checked`,
      })
    return databases === 'all' ? await openDatabases(session, checks) : await databases(session)
  })
  for (const database of names)
    await unlessHindered({ checks, signal }, `database ${database}`, () =>
      inReadOnlySession({ ...login, endpoint: { ...endpoint, database } }, (session, facts) =>
        checkDatabase(session, facts, database, checks, signal),
      ),
    )
  await unlessHindered({ checks, signal }, 'checksum failures in catalogs all databases share', () =>
    inReadOnlySession(login, (session) =>
      checkChecksumFailures(session, 'catalogs all databases share', 'datid = 0', checks),
    ),
  )
}

/** A database that cannot be opened or a connection that breaks keeps nobody from looking at the others. */
async function unlessHindered(
  { checks, signal }: { readonly checks: CheckList; readonly signal: AbortSignal | undefined },
  name: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    signal?.throwIfAborted()
    tellObstacle(checks, name, error)
  }
}

async function openDatabases(session: CopySession, checks: CheckList): Promise<readonly string[]> {
  const rows = await session.rows('SELECT datname AS name, datallowconn AS open FROM pg_catalog.pg_database ORDER BY 1')
  for (const { name, open } of rows)
    if (open !== 't') checks.notApplicable(`database ${name}`, 'it takes no connections')
  return rows.filter(({ open }) => open === 't').map(({ name }) => name!)
}

async function checkDatabase(
  session: CopySession,
  facts: ServerFacts,
  database: string,
  checks: CheckList,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { majorVersion, isStandby } = facts
  const { role } = session.place
  const changed = await changedCollations(session, majorVersion)
  await checkRelations({
    checks,
    session,
    database,
    majorVersion,
    withUnlogged: !isStandby,
    ...(await findAmcheck({ session, database, role, ...facts })),
    indexFunctionName: 'bt_index_check',
    readRows: async ({ copied }) => {
      for await (const _ of session.copyOut(`COPY ${copied} TO STDOUT`));
    },
    excuse: (relation) => lackOfRight(relation, role, majorVersion),
    judge: (error, relation) => judgeLive(session, error, relation, changed),
    signal,
  })
  if (isStandby) await tellUnlogged(session, database, checks)
  await checkChecksumFailures(session, database, 'datname = pg_catalog.current_database()', checks)
}

function lackOfRight({ isReadable, isFiltered }: Relation, role: string, majorVersion: number): string | undefined {
  if (!isReadable)
    return majorVersion < FIRST_WITH_READER
      ? `${role} may not read it: GRANT SELECT on it and USAGE on its schema TO ${quoted(role)};`
      : `${role} may not read it: GRANT pg_read_all_data TO ${quoted(role)};`
  return isFiltered ? `row security hides rows of it from ${role}: ALTER ROLE ${quoted(role)} BYPASSRLS;` : undefined
}

async function tellUnlogged(session: CopySession, database: string, checks: CheckList): Promise<void> {
  const { count } = await session.row(
    "SELECT pg_catalog.count(*) AS count FROM pg_catalog.pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'm', 'S')",
  )
  if (count !== '0')
    checks.notApplicable(`unlogged tables and sequences in ${database}`, `a standby has no rows of these ${count}`)
}

/** What the server itself met whenever it read a page: backups and queries included. */
async function checkChecksumFailures(
  session: CopySession,
  where: string,
  condition: string,
  checks: CheckList,
): Promise<void> {
  const name = `checksum failures in ${where}`
  const { setting, failures, last, reset } = await session.row(`
    SELECT pg_catalog.current_setting('data_checksums') AS setting, checksum_failures AS failures,
           checksum_last_failure AS last, stats_reset AS reset
      FROM pg_catalog.pg_stat_database WHERE ${condition}`)
  if (setting !== 'on')
    checks.notApplicable(
      name,
      'data checksums are off, so that changed bytes within rows go unnoticed: pg_checksums --enable, while the server is stopped',
    )
  else if (Number(failures) > 0)
    checks.failed(
      name,
      `${failures} since ${reset ?? 'statistics began'}, the last one at ${last}; when the pages are mended, SELECT pg_stat_reset(); begins anew`,
    )
  else checks.passed(name, `none since ${reset ?? 'statistics began'}`)
}
