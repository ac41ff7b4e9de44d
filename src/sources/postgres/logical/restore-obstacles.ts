import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { RestoreJob } from '../../restore.ts'
import type { SourceProblem } from '../../source.ts'
import { CopySession } from './copy-session.ts'
import { quoted } from './names.ts'
import { MAX_NAME_BYTES } from './restore-selection.ts'
import { readTargetDatabase, type TargetDatabase, type TargetFacts, type TargetServer } from './restore-target.ts'

/** What a plan is made of, as it is found. */
export interface Findings {
  readonly problems: SourceProblem[]
  readonly steps: string[]
  readonly overwrites: string[]
  readonly afterwards: string[]
}

export const newFindings = (): Findings => ({ problems: [], steps: [], overwrites: [], afterwards: [] })

/**
 * `new`: made under another name and renamed when it is whole. `replaced`: so too, and the one that is there is dropped. `filled`: it is
 * there and empty.
 */
export type WayIntoDatabase = 'new' | 'replaced' | 'filled'

/** For steps of a plan. */
export const whereTo = (way: WayIntoDatabase, name: string): string =>
  way === 'new'
    ? `into the new database ${name}`
    : way === 'replaced'
      ? `in place of database ${name}`
      : `into the empty database ${name}`

/**
 * The database that one of `count` databases goes to: a name that was asked for, the one of the URL when there is but one, else its own.
 * @throws HoldfastError HF_USAGE when no database can have the name
 */
export function databaseNameOf(
  database: string,
  target: Pick<TargetServer, 'namedDatabase'>,
  rename: RestoreJob['rename'],
  count: number,
): string {
  const renamed = rename.find(({ from }) => from === database)?.to
  const name = renamed ?? (count === 1 ? target.namedDatabase : undefined) ?? database
  if (Buffer.byteLength(name) > MAX_NAME_BYTES)
    throw new HoldfastError('HF_USAGE', `the name ${name} is too long for a database`)
  return name
}

/** How a whole database gets into the target, with what speaks against it. */
export async function planWholeDatabase(
  target: TargetServer,
  facts: TargetFacts,
  name: string,
  { overwrite, signal }: Pick<RestoreJob, 'overwrite' | 'signal'>,
  { problems, overwrites }: Findings,
): Promise<{ readonly way: WayIntoDatabase; readonly found: TargetDatabase | undefined }> {
  const found = await lookInto(target, facts, name, signal)
  const isEmpty =
    found === undefined || [...found.schemas].every(([schema, objects]) => schema === 'public' && objects === 0)
  const way = found === undefined ? 'new' : isEmpty ? 'filled' : 'replaced'
  if (way === 'replaced') {
    if (!overwrite)
      problems.push({
        severity: 'error',
        what: `database ${name} of the target is not empty`,
        remedy: 'give it another name with --rename NAME=OTHER, or allow it to be overwritten with --overwrite',
      })
    overwrites.push(`database ${name} with ${[...found!.schemas.values()].reduce((sum, n) => sum + n, 0)} objects`)
  }
  if (way !== 'filled' && !facts.mayCreateDatabases)
    problems.push({
      severity: 'error',
      what: `${facts.role} may not create databases`,
      remedy: `ALTER ROLE ${quoted(facts.role)} CREATEDB; or name an empty database that is there`,
    })
  return { way, found }
}

/** Schemas that are made for parts of a database. */
export interface SchemasBeside {
  /** The database they are made in. */
  readonly name: string
  /** The database the parts are of. */
  readonly from: string
  readonly schemas: readonly string[]
}

/**
 * @param found what the database has; undefined when there is none
 * @returns those that are there already, and go
 */
export function planSchemasBeside(
  found: TargetDatabase | undefined,
  { name, from, schemas }: SchemasBeside,
  { overwrite }: Pick<RestoreJob, 'overwrite'>,
  { problems, overwrites }: Findings,
): readonly string[] {
  if (found === undefined)
    problems.push({
      severity: 'error',
      what: `the target has no database ${name}`,
      remedy: `CREATE DATABASE ${quoted(name)}; or name one in the URL`,
    })
  const dropped = schemas.filter((schema) => found?.schemas.has(schema) === true)
  for (const schema of dropped) {
    overwrites.push(`schema ${schema} of database ${name} with ${found!.schemas.get(schema)} objects`)
    if (!overwrite)
      problems.push({
        severity: 'error',
        what: `database ${name} has a schema ${schema} already`,
        remedy: `give another name with --rename ${from}.SCHEMA=NAME, or allow it to be overwritten with --overwrite`,
      })
  }
  return dropped
}

/** What a database of the target has; undefined when there is none of the name. */
export async function lookInto(
  target: TargetServer,
  { databases }: TargetFacts,
  database: string,
  signal?: AbortSignal,
): Promise<TargetDatabase | undefined> {
  if (!databases.has(database)) return undefined
  await using session = await CopySession.open({ ...target.endpoint, database }, target.password, { signal })
  try {
    return await readTargetDatabase(session)
  } catch (error) {
    if (isHoldfastError(error)) throw new HoldfastError('HF_TARGET_INVALID', error.message, { cause: error })
    throw error
  }
}
