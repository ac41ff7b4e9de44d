import { HoldfastError } from '../../../lib/errors.ts'
import type { Renaming, RestoreJob } from '../../restore.ts'
import type { DatabaseRecord } from './manifest.ts'
import { decoded, matches } from './names.ts'
import { moveNames } from './sql-names.ts'
import type { Toc, TocEntry } from './toc.ts'

/** What is to be restored of one database. */
export interface SelectedDatabase {
  readonly record: DatabaseRecord
  /** `database`, `database.schema` or `database.schema.table`, with patterns, as far as they are about this database. */
  readonly include: readonly (readonly string[])[]
  readonly exclude: readonly (readonly string[])[]
  /** Whether all of it is wanted. Parts go into schemas of their own. */
  readonly isWhole: boolean
}

/** @throws HoldfastError HF_PATH_NOT_FOUND for what is not in the snapshot, HF_USAGE for what cannot be understood */
export function selectDatabases(
  databases: readonly DatabaseRecord[],
  { include, exclude }: Pick<RestoreJob, 'include' | 'exclude'>,
): readonly SelectedDatabase[] {
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
/** Kinds that need everything they depend on. */
const joints: ReadonlySet<string> = new Set(['FK CONSTRAINT', 'INDEX ATTACH', 'TABLE ATTACH'])
const neverMoved = /^(PUBLICATION|SUBSCRIPTION|EVENT TRIGGER|DATABASE|SCHEMA$|ACL$|DEFAULT ACL$|SECURITY LABEL)/
const settings: ReadonlySet<string> = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH'])

/** Tables, schemas and what belongs to them, in schemas of their own. */
export interface MovedParts {
  readonly toc: Toc
  /** New schemas by old ones. */
  readonly schemas: ReadonlyMap<string, string>
  /** What was left out though it belongs to what is restored: `FK CONSTRAINT orders_customer_fkey`. */
  readonly leftOut: readonly string[]
}

/** Longer names are cut off by the server, and may be those of others then. */
export const MAX_NAME_BYTES = 63

export const sideSchema = (schema: string): string => `${schema}_restored`

/**
 * The part of a table of contents that `include` names, moved to other schemas: those of `rename` (`database.schema`), else with
 * `_restored` behind their names.
 *
 * @throws HoldfastError HF_PATH_NOT_FOUND when there is nothing of it
 */
export function moveParts(toc: Toc, selected: SelectedDatabase, rename: readonly Renaming[]): MovedParts {
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
  const roots = toc.entries.filter(
    (entry) =>
      entry.schema !== undefined &&
      !neverMoved.test(entry.kind) &&
      (include.length === 0 || isNamed(include, entry)) &&
      !isNamed(exclude, entry),
  )
  const ids = new Set(roots.map(({ dumpId }) => String(dumpId)))
  if (roots.length === 0)
    throw new HoldfastError('HF_PATH_NOT_FOUND', `nothing of database ${record.name} is what is asked for`, {
      hint: 'the manifest of the snapshot lists its tables',
    })
  addBelongings(toc.entries, ids)
  const kept: TocEntry[] = []
  const leftOut: string[] = []
  for (const entry of toc.entries) {
    const isDependent = entry.dependencies.some((id) => ids.has(id))
    const isWhole = !joints.has(entry.kind) || entry.dependencies.every((id) => ids.has(id) || !isTableLike(toc, id))
    const isPart = (isDependent && partsOfTables.has(entry.kind)) || ids.has(String(entry.dumpId))
    if (settings.has(entry.kind) || (isPart && isWhole && !isNamed(exclude, entry))) kept.push(entry)
    else if (isDependent && !neverMoved.test(entry.kind)) leftOut.push(`${entry.kind} ${decoded(entry.tag)}`)
  }
  const renamed = new Map(rename.map(({ from, to }) => [from, to]))
  const schemas = new Map<string, string>()
  for (const { schema } of kept)
    if (schema !== undefined) {
      const plain = decoded(schema)
      schemas.set(plain, renamed.get(`${record.name}.${plain}`) ?? renamed.get(plain) ?? sideSchema(plain))
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
  return { toc: { ...toc, entries }, schemas, leftOut }
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

const isTableLike = ({ entries }: Toc, id: string): boolean =>
  entries.some(({ dumpId, kind }) => String(dumpId) === id && ['TABLE', 'CONSTRAINT', 'INDEX'].includes(kind))

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
