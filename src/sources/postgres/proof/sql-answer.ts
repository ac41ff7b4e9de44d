import type { Assertion } from '../../../config/assertion.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { AssertionAnswer } from '../../proof.ts'
import { SandboxRefusal, SandboxSession, type SessionPlace } from './sandbox-session.ts'

const STATEMENT_TIMEOUT_MS = 10 * 60 * 1000
/** An assertion says something about data; it does not take it along. */
const MAX_ROWS = 10_000

/**
 * What an assertion asks of a server in a sandbox. It can change nothing.
 * @throws HoldfastError HF_ASSERTION_INVALID when it is no SQL, or the server refuses it
 */
export async function answerSql(
  superuser: SessionPlace,
  assertion: Assertion,
  usualDatabase: () => Promise<string>,
  signal: AbortSignal | undefined,
): Promise<AssertionAnswer> {
  const { name } = assertion
  if (assertion.kind !== 'sql')
    throw new HoldfastError('HF_ASSERTION_INVALID', `assertion ${JSON.stringify(name)} is no SQL`, {
      hint: 'assertions about PostgreSQL have the key `sql`',
    })
  try {
    const database = assertion.database ?? (await usualDatabase())
    await using session = await SandboxSession.open({ ...superuser, database }, { signal })
    await session.rows('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await session.rows(`SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS}`)
    await session.rows(`DECLARE answer NO SCROLL CURSOR FOR ${assertion.sql.trim().replace(/;\s*$/, '')}`)
    const rows = await session.rows(`FETCH ${MAX_ROWS + 1} FROM answer`)
    if (rows.length > MAX_ROWS)
      throw new HoldfastError('HF_ASSERTION_INVALID', `assertion ${JSON.stringify(name)} has over ${MAX_ROWS} rows`, {
        hint: 'let the server count or sum up',
      })
    const [first] = rows
    return { value: first && Object.values(first)[0], rows }
  } catch (error) {
    if (!(error instanceof SandboxRefusal)) throw error
    throw new HoldfastError(
      'HF_ASSERTION_INVALID',
      `the server refuses assertion ${JSON.stringify(name)}: ${error.message}`,
      { hint: 'it has to be one SELECT, VALUES or TABLE that changes nothing; try it in psql', cause: error },
    )
  }
}
