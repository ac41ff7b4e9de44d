import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { CopySession } from '../logical/copy-session.ts'
import { literal } from '../logical/names.ts'
import { SQLSTATE_LOCK_NOT_AVAILABLE } from '../logical/snapshot-session.ts'
import type { CheckList } from '../proof/check-list.ts'
import { type changedCollations, isLackOfMachine, isOrderFault, type Verdict } from './relation-checks.ts'
import type { Relation } from './relations.ts'

/** PostgreSQL documentation, appendix "PostgreSQL Error Codes". */
const QUERY_CANCELED = '57014'
const SERIALIZATION_FAILURE = '40001'

/**
 * Classes of SQLSTATE that tell of the state of the server or of rights, and nothing of what is stored: 0A what it cannot do, 40 a rollback
 * (on a standby: recovery was in need of what is read), 42 names and rights, 53 resources, 54 limits, 55 objects in use, 57014 a cancel.
 */
const circumstances = /^(?:0A|40|42|53|54|55|57014)/
/** PostgreSQL documentation, same place: XX an internal error or corruption, 58 an error of the system below, as a file that is not there. */
const damage = /^(?:XX|58)/
const NO_DATABASE = '3D000'

/** Reports what kept a whole database from being looked at. @throws what is about something else: an interruption, a bug */
export function tellObstacle(checks: CheckList, name: string, error: unknown): void {
  if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
  const sqlstate = String(error.context.sqlstate ?? '')
  if (sqlstate === NO_DATABASE) checks.notApplicable(name, 'it was dropped meanwhile')
  else if (damage.test(sqlstate)) checks.failed(name, error.message)
  else checks.skipped(name, error.hint === undefined ? error.message : `${error.message}; ${error.hint}`)
}

/**
 * What an error of a live server means for a relation.
 * @throws HoldfastError that names the relation, when the session is over
 */
export async function judgeLive(
  session: CopySession,
  error: unknown,
  relation: Relation,
  changed: Awaited<ReturnType<typeof changedCollations>>,
): Promise<Verdict> {
  if (!isHoldfastError(error)) throw error
  const { sqlstate } = error.context
  if (typeof sqlstate !== 'string') throw overAt(error, relation)
  if (await isGone(session, relation, error)) return 'gone'
  const prefix = `${session.place.server}: `
  const message = error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message
  if (sqlstate === SQLSTATE_LOCK_NOT_AVAILABLE)
    return {
      skipped:
        'somebody else has it locked (ALTER TABLE, TRUNCATE, VACUUM FULL and the like): try again when that is done',
    }
  if (sqlstate === SERIALIZATION_FAILURE)
    return { skipped: `${message}; with hot_standby_feedback = on, a standby can read for long` }
  if (sqlstate === QUERY_CANCELED) return { skipped: `${message}: somebody ended it on the server` }
  if (circumstances.test(sqlstate) || isLackOfMachine(sqlstate, message)) return { skipped: message }
  const [first] = changed
  if (first !== undefined && relation.isCollated && isOrderFault(message))
    return {
      fault: `${message}; the order of ${first.name} was of version ${first.made} and is of ${first.here} now: REINDEX INDEX ${relation.name};`,
    }
  return { fault: message }
}

/** Asked once a relation made trouble: an answer that is an error says nothing of it. */
async function isGone(session: CopySession, relation: Relation, trouble: HoldfastError): Promise<boolean> {
  try {
    return (await session.rows(`SELECT FROM pg_catalog.pg_class WHERE oid = ${literal(relation.oid)}`)).length === 0
  } catch (error) {
    if (isHoldfastError(error) && error.context.sqlstate === undefined) throw overAt(trouble, relation)
    return false
  }
}

const overAt = (error: HoldfastError, { item }: Relation): HoldfastError =>
  new HoldfastError(error.code, `${error.message}, while ${item} was looked at`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    context: error.context,
    cause: error,
  })
