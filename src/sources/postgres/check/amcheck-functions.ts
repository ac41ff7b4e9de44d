import { findClientProgram } from '../logical/client-programs.ts'
import { quoted } from '../logical/names.ts'
import { FIRST_WITH_HEAP, type FunctionPlace } from './relation-checks.ts'
import type { CatalogSession } from './relations.ts'

export interface AmcheckUser {
  readonly session: CatalogSession
  readonly database: string
  readonly majorVersion: number
  readonly role: string
  readonly isSuperuser: boolean
  readonly isStandby: boolean
}

/** Functions by name, with what tells them from others of that name. */
const functions = {
  bt_index_check: { arguments: ['regclass', 'boolean'] },
  verify_heapam: { arguments: ['regclass', 'boolean', 'boolean', 'text', 'bigint', 'bigint'] },
} as const
type FunctionName = keyof typeof functions

export interface AmcheckFunctions {
  readonly heapFunction: FunctionPlace
  readonly indexFunction: FunctionPlace
}

/** Where the functions of amcheck are in a database that must not be changed, or why they cannot be called, with the statements that mend it. */
export async function findAmcheck(user: AmcheckUser): Promise<AmcheckFunctions> {
  const { session } = user
  const [extension] = await session.rows(`
    SELECT e.oid::text AS oid, nspname AS schema, pg_catalog.has_schema_privilege(n.oid, 'USAGE')::text AS usable
      FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace WHERE extname = 'amcheck'`)
  if (extension === undefined) {
    const reason = await absence(user)
    return { heapFunction: { reason }, indexFunction: { reason } }
  }
  const found = await session.rows(`
    SELECT proname AS name, pronargs::text AS count, pg_catalog.has_function_privilege(p.oid, 'EXECUTE')::text AS permitted
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_depend d ON objid = p.oid AND deptype = 'e'
     WHERE classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND refobjid = ${Number(extension.oid)}
       AND refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass`)
  const schema = quoted(String(extension.schema))
  const place = (name: FunctionName): FunctionPlace => {
    const count = String(functions[name].arguments.length)
    const one = found.find((row) => row.name === name && row.count === count)
    if (one === undefined)
      return {
        reason: `amcheck in ${user.database} is too old for it: ${where(user)}: ALTER EXTENSION amcheck UPDATE;`,
      }
    if (one.permitted === 'true' && extension.usable === 'true') return { schema }
    const usage = extension.usable === 'true' ? '' : `GRANT USAGE ON SCHEMA ${schema} TO ${quoted(user.role)}; `
    return {
      reason: `${user.role} may not call ${name}: ${where(user)}: ${usage}${executeGrant([name], user.role, `${schema}.`)}`,
    }
  }
  return { heapFunction: place('verify_heapam'), indexFunction: place('bt_index_check') }
}

/** What to do about an extension that is not there. */
async function absence(user: AmcheckUser): Promise<string> {
  const { session, database, majorVersion, role, isSuperuser } = user
  const available = await session.rows("SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'amcheck'")
  const names: readonly FunctionName[] =
    majorVersion < FIRST_WITH_HEAP ? ['bt_index_check'] : ['bt_index_check', 'verify_heapam']
  const statements = ['CREATE EXTENSION amcheck;', ...(isSuperuser ? [] : [executeGrant(names, role, '')])]
  const install =
    available.length === 0
      ? 'it comes with postgresql-contrib, on Debian with the server; when the server has it, '
      : ''
  const program =
    majorVersion < FIRST_WITH_HEAP || findClientProgram('pg_amcheck', majorVersion) === undefined
      ? ''
      : ' (the pg_amcheck of this machine could do it too: --install-missing lets it create the extension)'
  return `amcheck is not installed in ${database}: ${install}${where(user)}: ${statements.join(' ')}${program}`
}

const where = ({ database, isStandby, isSuperuser }: AmcheckUser): string =>
  `${isSuperuser ? '' : 'as a superuser, '}in ${database}${isStandby ? ' of the primary' : ''}`

const executeGrant = (names: readonly FunctionName[], role: string, prefix: string): string =>
  `GRANT EXECUTE ON FUNCTION ${names
    .map((name) => `${prefix}${name}(${functions[name].arguments.join(', ')})`)
    .join(', ')} TO ${quoted(role)};`
