import { HoldfastError } from '../../../lib/errors.ts'
import type { Renaming, RestoreJob } from '../../restore.ts'
import { decoded, matches } from './names.ts'
import { moveNames } from './sql-names.ts'
import type { Toc, TocEntry } from './toc.ts'

/** What is to be restored of one database. */
export interface SelectedDatabase<Database extends NamedDatabase = NamedDatabase> {
  readonly record: Database
  /** `database`, `database.schema` or `database.schema.table`, with patterns, as far as they are about this database. */
  readonly include: readonly (readonly string[])[]
  readonly exclude: readonly (readonly string[])[]
  /** Whether all of it is wanted. Parts go into schemas of their own. */
  readonly isWhole: boolean
}

export interface NamedDatabase {
  readonly name: string
}

/** @throws HoldfastError HF_PATH_NOT_FOUND for what is not in the snapshot, HF_USAGE for what cannot be understood */
export function selectDatabases<Database extends NamedDatabase>(
  databases: readonly Database[],
  { include, exclude }: Pick<RestoreJob, 'include' | 'exclude'>,
): readonly SelectedDatabase<Database>[] {
  const split = (pattern: string): readonly string[] => {
    const parts = pattern.split('.')
    if (parts.length > 3 || parts.includes(''))
      throw new HoldfastError('HF_USAGE', `${pattern} names nothing that can be restored`, {
        hint: 'write database, database.schema or database.schema.table; * and ? stand for any letters and any letter',
      })
    return parts
  }
  const wanted = include.map(split)
  const unwanted = exclude.map(split)
  for (const [i, [database]] of wanted.entries())
    if (!databases.some(({ name }) => isDatabase(database!, name)))
      throw new HoldfastError('HF_PATH_NOT_FOUND', `${include[i]} is not in the snapshot`, {
        hint: `it has ${databases.map(({ name }) => name).join(', ')}`,
      })
  return databases.flatMap((record) => {
    const about = (parts: readonly string[]): boolean => isDatabase(parts[0]!, record.name)
    const mine = wanted.filter(about)
    const others = unwanted.filter(about)
    if ((wanted.length > 0 && mine.length === 0) || others.some((parts) => parts.length === 1)) return []
    const isWhole = (mine.length === 0 || mine.some((parts) => parts.length === 1)) && others.length === 0
    return [{ record, include: mine, exclude: others, isWhole }]
  })
}

const isDatabase = (pattern: string, name: string): boolean =>
  matches(pattern.replaceAll('.', '?'), name.replaceAll('.', '?'))

/** Of a table that is restored by itself; what else depends on it points to what is not there, or does things. */
const partsOfTables: ReadonlySet<string> = new Set([
  'TABLE DATA',
  'SEQUENCE',
  'SEQUENCE OWNED BY',
  'SEQUENCE SET',
  'DEFAULT',
  'CONSTRAINT',
  'CHECK CONSTRAINT',
  'FK CONSTRAINT',
  'INDEX',
  'INDEX ATTACH',
  'TABLE ATTACH',
  'STATISTICS',
  'COMMENT',
  'MATERIALIZED VIEW DATA',
])
/** What those are parts of, or of each other. */
const wholes: ReadonlySet<string> = new Set([
  'TABLE',
  'VIEW',
  'MATERIALIZED VIEW',
  'FOREIGN TABLE',
  'CONSTRAINT',
  'INDEX',
])
/** What a table cannot be made without. */
const prerequisites: ReadonlySet<string> = new Set(['TYPE', 'DOMAIN', 'COLLATION', 'FUNCTION', 'AGGREGATE', 'SEQUENCE'])
const neverMoved = /^(PUBLICATION|SUBSCRIPTION|EVENT TRIGGER|DATABASE|SCHEMA$|ACL$|DEFAULT ACL$|SECURITY LABEL)/
const settings: ReadonlySet<string> = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH'])

/** Tables, schemas and what belongs to them, in schemas of their own. */
export interface MovedParts {
  readonly toc: Toc
  /** New schemas by old ones. */
  readonly schemas: ReadonlyMap<string, string>
  /** What was left out though it belongs to what is restored: `FK CONSTRAINT orders_customer_fkey`. */
  readonly leftOut: readonly string[]
  /** Types, functions and the like that come along, since the target does not have them: `TYPE public.mood`. */
  readonly broughtAlong: readonly string[]
  /** Extensions without which it cannot be made. */
  readonly extensions: readonly string[]
}

/** Whether the target has an object that is no table, by its schema and its name. */
export type IsThere = (schema: string, name: string) => boolean

/** Longer names are cut off by the server, and may be those of others then. */
export const MAX_NAME_BYTES = 63

/** Where parts of a schema go: a name given as `database.schema` or `schema`, else with `_restored` behind its own. */
export const schemaBeside = (rename: readonly Renaming[], database: string, schema: string): string =>
  rename.find(({ from }) => from === `${database}.${schema}`)?.to ??
  rename.find(({ from }) => from === schema)?.to ??
  `${schema}_restored`

/**
 * The part of a table of contents that `include` names, moved to other schemas: those of `rename` (`database.schema`), else with
 * `_restored` behind their names. Types and functions it needs are those of the target; what that lacks comes along.
 *
 * @throws HoldfastError HF_PATH_NOT_FOUND when there is nothing of it
 */
export function moveParts(
  toc: Toc,
  selected: SelectedDatabase,
  rename: readonly Renaming[],
  isThere: IsThere,
): MovedParts {
  const { record, include, exclude } = selected
  const namesOf = (entry: TocEntry): readonly [string, string] => [decoded(entry.schema ?? ''), decoded(entry.tag)]
  const isNamed = (lists: readonly (readonly string[])[], entry: TocEntry): boolean =>
    lists.some(([, schema, table]) => {
      const [inSchema, tag] = namesOf(entry)
      if (schema !== undefined && !matches(schema, inSchema)) return false
      return (
        table === undefined ||
        (relationKinds.has(entry.kind) && matches(table.replaceAll('.', '?'), tag.replaceAll('.', '?')))
      )
    })
  const movable = toc.entries.filter(({ schema, kind }) => schema !== undefined && !neverMoved.test(kind))
  // One name that is wrong must not be passed over because another one is right.
  const missing = include.find((parts) => !movable.some((entry) => isNamed([parts], entry)))
  if (missing !== undefined)
    throw new HoldfastError('HF_PATH_NOT_FOUND', `${missing.join('.')} is not in the snapshot`, {
      hint: tablesHint(toc),
    })
  const roots = movable.filter((entry) => (include.length === 0 || isNamed(include, entry)) && !isNamed(exclude, entry))
  if (roots.length === 0)
    throw new HoldfastError('HF_PATH_NOT_FOUND', `nothing of database ${record.name} is left to be restored`)
  const ids = new Set(roots.map(({ dumpId }) => String(dumpId)))
  addBelongings(toc.entries, ids)
  const keptIds = new Set<string>()
  const leftOut: string[] = []
  const wholeIds = new Set(toc.entries.filter(({ kind }) => wholes.has(kind)).map(({ dumpId }) => String(dumpId)))
  // In their order, in which nothing stands before what it depends on.
  for (const entry of toc.entries) {
    const { dumpId, kind, dependencies } = entry
    const isDependent = dependencies.some((id) => keptIds.has(id))
    // Never part of a table, or of a sequence, that stays where it is.
    const isWhole = (id: string): boolean => wholeIds.has(id) || kind.startsWith('SEQUENCE ')
    const isWithin = !partsOfTables.has(kind) || dependencies.every((id) => keptIds.has(id) || !isWhole(id))
    const isWanted = ids.has(String(dumpId)) || (isDependent && partsOfTables.has(kind))
    if (isWanted && isWithin && !isNamed(exclude, entry)) keptIds.add(String(dumpId))
    else if (isDependent && !neverMoved.test(kind)) leftOut.push(`${kind} ${decoded(entry.tag)}`)
  }
  const needed = whatIsNeeded(toc, keptIds)
  const absent = new Set(
    needed
      .filter(
        (entry) => prerequisites.has(entry.kind) && !isThere(decoded(entry.schema ?? ''), decoded(objectName(entry))),
      )
      .map(({ dumpId }) => String(dumpId)),
  )
  const kept = toc.entries.filter(({ dumpId, kind, dependencies }) => {
    const id = String(dumpId)
    const isValue = kind === 'SEQUENCE SET' && dependencies.some((on) => absent.has(on))
    return settings.has(kind) || keptIds.has(id) || absent.has(id) || isValue
  })
  const schemas = new Map<string, string>()
  for (const { schema } of kept)
    if (schema !== undefined) {
      const plain = decoded(schema)
      schemas.set(plain, schemaBeside(rename, record.name, plain))
    }
  for (const schema of schemas.values())
    if (Buffer.byteLength(schema) > MAX_NAME_BYTES)
      throw new HoldfastError('HF_USAGE', `the name ${schema} is too long for a schema`, {
        hint: `give another one with --rename ${record.name}.SCHEMA=NAME`,
      })
  const moved = new Set(
    kept.filter(({ schema }) => schema !== undefined).map((entry) => key(entry.schema!, objectName(entry))),
  )
  const newSchema = (schema: string): string => Buffer.from(schemas.get(decoded(schema))!).toString('latin1')
  const move = (statement: string | undefined): string | undefined =>
    statement === undefined
      ? undefined
      : moveNames(statement, (schema, name) => (moved.has(key(schema, name)) ? newSchema(schema) : undefined))
  const entries = kept.map((entry) => ({
    ...entry,
    schema: entry.schema === undefined ? undefined : newSchema(entry.schema),
    definition: settings.has(entry.kind) ? entry.definition : move(entry.definition),
    dropStatement: undefined,
    copyStatement: move(entry.copyStatement),
  }))
  const nameOf = ({ kind, schema, tag }: TocEntry): string => `${kind} ${decoded(schema ?? '')}.${decoded(tag)}`
  return {
    toc: { ...toc, entries },
    schemas,
    leftOut,
    broughtAlong: needed.filter(({ dumpId }) => absent.has(String(dumpId))).map(nameOf),
    extensions: needed.filter(({ kind }) => kind === 'EXTENSION').map(({ tag }) => decoded(tag)),
  }
}

/** Everything that entries depend on, and which is not among them; not what that in turn has tables for. */
function whatIsNeeded({ entries }: Toc, ids: ReadonlySet<string>): readonly TocEntry[] {
  const byId = new Map(entries.map((entry) => [String(entry.dumpId), entry]))
  const found = new Map<string, TocEntry>()
  const open = [...ids]
  for (let id = open.pop(); id !== undefined; id = open.pop())
    for (const other of byId.get(id)?.dependencies ?? []) {
      const entry = byId.get(other)
      if (entry === undefined || ids.has(other) || found.has(other)) continue
      if (!prerequisites.has(entry.kind) && entry.kind !== 'EXTENSION') continue
      found.set(other, entry)
      open.push(other)
    }
  return [...found.values()]
}

const NAMED_TABLES = 20

function tablesHint({ entries }: Toc): string {
  const tables = entries.filter(({ kind }) => kind === 'TABLE')
  const named = tables.slice(0, NAMED_TABLES).map(({ schema, tag }) => `${decoded(schema ?? '')}.${decoded(tag)}`)
  const more = tables.length - named.length
  return named.length === 0
    ? 'the database has no tables'
    : `its tables are ${named.join(', ')}${more > 0 ? `, and ${more} more` : ''}`
}

const relationKinds: ReadonlySet<string> = new Set(['TABLE', 'VIEW', 'MATERIALIZED VIEW', 'SEQUENCE', 'FOREIGN TABLE'])

/** Partitions of tables, and sequences that belong to their columns. */
function addBelongings(entries: readonly TocEntry[], ids: Set<string>): void {
  for (let before = -1; before !== ids.size; ) {
    before = ids.size
    // A sequence that belongs to a column depends on its table.
    for (const { dumpId, kind, dependencies } of entries)
      if (kind === 'SEQUENCE' && dependencies.some((id) => ids.has(id))) ids.add(String(dumpId))
    for (const entry of entries) {
      if (entry.kind !== 'TABLE ATTACH' || !entry.dependencies.some((id) => ids.has(id))) continue
      // The one that is attached has the entry's name.
      const partition = entries.find(
        ({ kind, schema, tag }) => kind === 'TABLE' && schema === entry.schema && tag === entry.tag,
      )
      const others = entry.dependencies.filter((id) => id !== String(partition?.dumpId))
      if (partition !== undefined && others.some((id) => ids.has(id))) ids.add(String(partition.dumpId))
    }
  }
}

/** Functions have their arguments in their tag, and what belongs to a table has the table's name before its own. */
const objectName = ({ kind, tag }: TocEntry): string =>
  /^(FUNCTION|PROCEDURE|AGGREGATE|OPERATOR)/.test(kind)
    ? tag.slice(0, tag.indexOf('(') < 0 ? undefined : tag.indexOf('('))
    : tag

const key = (schema: string, name: string): string => `${schema}\0${name}`

/** Schemas of a dump of some tables, which has the tables only. */
export function schemasToMake({ entries }: Toc): readonly string[] {
  const made = new Set(entries.filter(({ kind }) => kind === 'SCHEMA').map(({ tag }) => decoded(tag)))
  const used = entries.filter(({ kind }) => kind !== 'EXTENSION').map(({ schema }) => decoded(schema ?? ''))
  return [...new Set(used)].filter(
    (schema) => schema !== '' && schema !== 'public' && schema !== 'pg_catalog' && !made.has(schema),
  )
}
