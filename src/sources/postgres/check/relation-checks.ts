import { literal } from '../logical/names.ts'
import type { CheckList, Fault } from '../proof/check-list.ts'
import { type Listing, listBtrees, listHeaps, listSequences, listTables, type Relation } from './relations.ts'

/** First version whose amcheck reads tables. */
export const FIRST_WITH_HEAP = 14

/** Where a function of amcheck is to be had: the schema, quoted; or why it is not. */
export type FunctionPlace = { readonly schema: string } | { readonly reason: string }

export interface RelationChecks extends Listing {
  readonly checks: CheckList
  readonly majorVersion: number
  /** `verify_heapam`. */
  readonly heapFunction: FunctionPlace
  /** `indexFunctionName`. */
  readonly indexFunction: FunctionPlace
  /** Looks through a table in place of `verify_heapam`; what is wrong with it, or an empty string. */
  readonly checkHeap?: ((relation: Relation) => Promise<string>) | undefined
  /** `bt_index_parent_check` looks at more, and keeps others from writing while it does (PostgreSQL documentation, "amcheck"). */
  readonly indexFunctionName: 'bt_index_check' | 'bt_index_parent_check'
  /** Reads the answer of `COPY relation.copied TO …`, which goes nowhere. */
  readonly readRows: (relation: Relation) => Promise<void>
  /** Why a relation cannot be read, known beforehand. */
  readonly excuse?: (relation: Relation) => string | undefined
  /** What an error means. @throws what says nothing about the relation */
  readonly judge: (error: unknown, relation: Relation) => Verdict | Promise<Verdict>
  readonly signal?: AbortSignal | undefined
}

/** `fault`: it is damaged. `skipped`: it could not be looked at. `gone`: it was dropped meanwhile. */
export type Verdict = { readonly fault: string } | { readonly skipped: string } | 'gone'

/**
 * Looks through one database: every table against the rules of its format, every B-tree against its table, every row and every sequence
 * read. Reports one check for each sort of thing, and one for each fault.
 */
export async function checkRelations(run: RelationChecks): Promise<void> {
  const { session, database, checks, majorVersion, heapFunction, indexFunction, indexFunctionName, readRows } = run
  const tables = `structure of tables in ${database}`
  const { checkHeap } = run
  if (checkHeap !== undefined) await look(run, tables, await listHeaps(run), undefined, checkHeap)
  else if (majorVersion < FIRST_WITH_HEAP)
    checks.skipped(tables, `amcheck of PostgreSQL ${majorVersion} reads indexes only`)
  else if ('reason' in heapFunction) checks.skipped(tables, heapFunction.reason)
  // All arguments are given, so that no function of another number of them can come before.
  else
    await look(run, tables, await listHeaps(run), undefined, async ({ oid }) => {
      const found = await session.rows(
        `SELECT blkno, offnum, attnum, msg FROM ${heapFunction.schema}.verify_heapam(
           ${literal(oid)}::pg_catalog.regclass, false, true, 'none'::text, NULL::bigint, NULL::bigint) LIMIT 3`,
      )
      return found.map((row) => `page ${row.blkno}, line ${row.offnum ?? '-'}: ${row.msg}`).join('; ')
    })
  const indexes = `B-tree indexes in ${database}, with every row found`
  if ('reason' in indexFunction) checks.skipped(indexes, indexFunction.reason)
  else
    await look(run, indexes, await listBtrees(run), undefined, async ({ oid }) => {
      await session.rows(
        `SELECT ${indexFunction.schema}.${indexFunctionName}(${literal(oid)}::pg_catalog.regclass, true)`,
      )
      return ''
    })
  // Values are taken out of their compressed and outlying form and written as text.
  await look(run, `every row of every table in ${database}`, await listTables(run), run.excuse, async (relation) => {
    await readRows(relation)
    return ''
  })
  await look(run, `sequences in ${database}`, await listSequences(run), run.excuse, async ({ name }) => {
    const found = await session.rows(`SELECT last_value FROM ${name}`)
    return found.length === 1 ? '' : 'it has no value'
  })
}

/** Looks at relations one by one. `work` returns what is wrong, or an empty string. Those skipped for one reason are told together. */
async function look(
  { checks, signal, judge }: RelationChecks,
  name: string,
  relations: readonly Relation[],
  excuse: RelationChecks['excuse'],
  work: (relation: Relation) => Promise<string>,
): Promise<void> {
  if (relations.length === 0) return checks.notApplicable(name, 'there are none')
  const faults: Fault[] = []
  const skipped = new Map<string, string[]>()
  let [looked, there] = [0, relations.length]
  const skip = (item: string, reason: string): void => void skipped.set(reason, [...(skipped.get(reason) ?? []), item])
  for (const relation of relations) {
    signal?.throwIfAborted()
    const { item } = relation
    const reason = excuse?.(relation)
    if (reason !== undefined) {
      skip(item, reason)
      continue
    }
    try {
      const what = await work(relation)
      looked++
      if (what !== '') faults.push({ item, what })
    } catch (error) {
      signal?.throwIfAborted()
      const verdict = await judge(error, relation)
      if (verdict === 'gone') there--
      else if ('skipped' in verdict) skip(item, verdict.skipped)
      else {
        looked++
        faults.push({ item, what: verdict.fault })
      }
    }
  }
  for (const [reason, items] of skipped) checks.skipped(`${name}: ${named(items)}`, reason)
  if (looked > 0) checks.faults(name, faults, `${looked} of ${there}`)
  else if (skipped.size === 0) checks.notApplicable(name, 'all of them were dropped meanwhile')
}

const NAMED = 8

const named = (items: readonly string[]): string =>
  `${items.slice(0, NAMED).join(', ')}${items.length > NAMED ? ` and ${items.length - NAMED} more` : ''}`

const UNDEFINED_FILE = '58P01'
const FEATURE_NOT_SUPPORTED = '0A000'
const UNDEFINED_FUNCTION = '42883'

/** Whether an error is about a library of an extension that is not on the machine, or a locale, and not about the relation. */
export function isLackOfMachine(sqlstate: string | undefined, message: string): boolean {
  if (sqlstate === FEATURE_NOT_SUPPORTED || sqlstate === UNDEFINED_FUNCTION) return true
  if (sqlstate === UNDEFINED_FILE && /could not (?:access file|load library)|\$libdir/.test(message)) return true
  return /not recognized by setlocale|could not (?:create|find) locale|could not load library/.test(message)
}

/** An index whose entries are in another order than the machine would have them. */
export const isOrderFault = (message: string): boolean =>
  /order invariant violated|high key invariant violated|down-link lower bound invariant violated/.test(message)

/** Locales whose version is another than that of the machine, so that indexes may be in another order. */
export async function changedCollations(
  session: Listing['session'],
  majorVersion: number,
): Promise<readonly { readonly name: string; readonly made: string; readonly here: string }[]> {
  const ofDatabase =
    majorVersion < 15
      ? []
      : await session.rows(`
    SELECT 'the database' AS name, datcollversion AS made, pg_catalog.pg_database_collation_actual_version(oid) AS here
      FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`)
  const ofCollations = await session.rows(`
    SELECT collname AS name, collversion AS made, pg_catalog.pg_collation_actual_version(oid) AS here
      FROM pg_catalog.pg_collation WHERE collversion IS NOT NULL`)
  return [...ofDatabase, ...ofCollations]
    .filter(({ made, here }) => typeof made === 'string' && made !== here)
    .map(({ name, made, here }) => ({ name: String(name), made: String(made), here: String(here ?? 'none') }))
}
