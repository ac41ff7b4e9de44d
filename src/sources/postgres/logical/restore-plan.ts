import { HoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { RestoreJob, SourceRestorePlan } from '../../restore.ts'
import { clientProgramRemedy, findClientProgram } from './client-programs.ts'
import type { LogicalManifest } from './manifest.ts'
import { decoded, quoted } from './names.ts'
import { type DumpContent, type RestorableDatabase, tasksOf } from './restore-database.ts'
import {
  databaseNameOf,
  type Findings,
  lookInto,
  newFindings,
  planSchemasBeside,
  planWholeDatabase,
  type WayIntoDatabase,
  whereTo,
} from './restore-obstacles.ts'
import {
  type MovedParts,
  moveParts,
  type SelectedDatabase,
  schemasToMake,
  selectDatabases,
} from './restore-selection.ts'
import { objectKey, openTarget, readTarget, type TargetFacts, type TargetServer } from './restore-target.ts'
import type { Toc } from './toc.ts'

/** Databases that can be restored, and what is to be known of them before. */
export interface RestorableDump extends DumpContent {
  readonly manifest: Pick<LogicalManifest, 'dumpFormat' | 'programVersion' | 'roles'> & {
    readonly server: Pick<LogicalManifest['server'], 'majorVersion'>
    /** Statements that make the roles of the cluster, when they are kept. */
    readonly globals?: object | undefined
    readonly databases: readonly RestorableDatabase[]
  }
  /** The table of contents of a database in format `directory`. */
  toc(database: RestorableDatabase, signal?: AbortSignal): Promise<Toc>
}

/** One database, as it will be restored. */
export interface PlannedDatabase {
  readonly record: RestorableDatabase
  /** Name of the database it goes to. */
  readonly target: string
  /** `beside`: parts go into schemas of their own. */
  readonly way: WayIntoDatabase | 'beside'
  readonly toc: Toc | undefined
  readonly newSchemas: readonly string[]
  /** Of those, what is made for parts alone: nobody else has anything in them. */
  readonly ownSchemas: readonly string[]
  /** Of those, what is there and goes. */
  readonly droppedSchemas: readonly string[]
  readonly tables: number
  readonly bytes: number
}

export interface LogicalPlan {
  readonly plan: SourceRestorePlan
  readonly databases: readonly PlannedDatabase[]
  readonly keepOwners: boolean
  readonly facts: TargetFacts
}

/** What of it is to be restored, and how. */
type PartialJob = Pick<RestoreJob, 'include' | 'exclude' | 'rename' | 'overwrite' | 'signal'>

/** Thinks a restore to a server through. @throws HoldfastError when there is nothing to plan with */
export async function planServerRestore(
  dump: RestorableDump,
  target: TargetServer,
  job: PartialJob,
): Promise<LogicalPlan> {
  await using session = await openTarget(target, job.signal)
  const facts = await readTarget(session)
  const selected = selectDatabases(dump.manifest.databases, job)
  const findings = newFindings()
  programProblems(dump, facts, findings)
  const databases: PlannedDatabase[] = []
  for (const one of selected)
    databases.push(await planDatabase(dump, target, job, facts, one, selected.length, findings))
  const missing = missingRoles(databases, dump, facts, ['owner', 'ACL', 'DEFAULT ACL'])
  for (const role of missingRoles(databases, dump, facts, ['POLICY']))
    findings.problems.push({
      severity: 'error',
      what: `the target has no role ${role}, which row security is about`,
      remedy: `CREATE ROLE ${quoted(role)};`,
    })
  const keepOwners = facts.isSuperuser && missing.length === 0 && databases.every(({ way }) => way !== 'beside')
  if (!keepOwners)
    findings.problems.push({
      severity: 'note',
      what: `everything will belong to ${facts.role}, without rights of others: ${
        missing.length > 0
          ? `the server has no role ${missing.slice(0, 5).join(', ')}`
          : facts.isSuperuser
            ? 'it is beside what is there'
            : 'it is no superuser'
      }`,
      remedy: missing.length > 0 ? missing.map((role) => `CREATE ROLE ${quoted(role)};`).join(' ') : undefined,
    })
  const bytes = databases.reduce((sum, one) => sum + one.bytes, 0)
  findings.afterwards.push('run ANALYZE in each restored database: the server knows nothing of what it has yet')
  if (dump.manifest.globals !== undefined && missing.length > 0)
    findings.afterwards.push('roles are in globals.sql of the snapshot; read it before you run it with psql')
  const { steps, overwrites, problems, afterwards } = findings
  const files = databases.reduce((sum, one) => sum + one.tables, 0)
  return { plan: { steps, files, bytes, overwrites, problems, afterwards }, databases, keepOwners, facts }
}

function programProblems({ manifest }: RestorableDump, facts: TargetFacts, { problems }: Findings): void {
  const needed = Number.parseInt(manifest.programVersion, 10)
  if (manifest.dumpFormat === 'plain')
    problems.push({
      severity: 'error',
      what: 'the snapshot holds scripts, which Holdfast does not run: they could do anything',
      remedy: 'restore to a directory, read the script, and run it: psql -f FILE DATABASE',
    })
  else if (findClientProgram('pg_restore', needed) === undefined)
    problems.push({
      severity: 'error',
      what: `there is no pg_restore of PostgreSQL ${needed} or newer here`,
      remedy: clientProgramRemedy(needed),
    })
  if (facts.majorVersion < manifest.server.majorVersion)
    problems.push({
      severity: 'warning',
      what: `the target is PostgreSQL ${facts.majorVersion}, older than the ${manifest.server.majorVersion} the snapshot is of: definitions it does not know will fail`,
      remedy: undefined,
    })
}

async function planDatabase(
  dump: RestorableDump,
  target: TargetServer,
  job: PartialJob,
  facts: TargetFacts,
  selected: SelectedDatabase<RestorableDatabase>,
  count: number,
  findings: Findings,
): Promise<PlannedDatabase> {
  const { record, isWhole } = selected
  const name = databaseNameOf(record.name, target, job.rename, count)
  const toc = dump.manifest.dumpFormat === 'directory' ? await dump.toc(record, job.signal) : undefined
  if (!isWhole) return await planParts(target, job, facts, selected, name, toc, findings)
  extensionProblems(record, facts, toc, findings)
  const rows = record.tables.reduce((sum, table) => sum + table.bytes, 0)
  const bytes = toc === undefined ? record.dump.bytes : rows + (record.largeObjects?.bytes ?? 0)
  const { way, found } = await planWholeDatabase(target, facts, name, job, findings)
  if (way === 'filled' && found!.encoding !== record.encoding)
    findings.problems.push({
      severity: 'warning',
      what: `database ${name} has encoding ${found!.encoding}, the dump ${record.encoding}`,
      remedy: undefined,
    })
  findings.steps.push(`restore ${tableCount(record.tables.length)}, ${formatSize(bytes)}, ${whereTo(way, name)}`)
  const newSchemas = toc === undefined ? [] : schemasToMake(toc)
  return {
    record,
    target: name,
    way,
    toc,
    newSchemas,
    ownSchemas: [],
    droppedSchemas: [],
    tables: record.tables.length,
    bytes,
  }
}

async function planParts(
  target: TargetServer,
  job: PartialJob,
  facts: TargetFacts,
  selected: SelectedDatabase<RestorableDatabase>,
  name: string,
  toc: Toc | undefined,
  findings: Findings,
): Promise<PlannedDatabase> {
  const { record } = selected
  if (toc === undefined)
    throw new HoldfastError('HF_USAGE', `database ${record.name} is one file, of which Holdfast restores no parts`, {
      hint: 'restore it to a directory; pg_restore --use-list restores parts of a file in format custom',
    })
  const found = await lookInto(target, facts, name, job.signal)
  const parts: MovedParts = moveParts(
    toc,
    selected,
    job.rename,
    (schema, object) => found?.objects.has(objectKey(schema, object)) === true,
  )
  const tasks = tasksOf(record, parts.toc)
  const bytes = tasks.reduce((sum, { table }) => sum + table.bytes, 0)
  const newSchemas = [...parts.schemas.values()]
  // A schema whose name was asked for may have what is not in the way; one that is made here may not be there at all.
  const own = newSchemas.filter((schema) => !parts.schemas.has(schema))
  const droppedSchemas = planSchemasBeside(found, { name, from: record.name, schemas: own }, job, findings)
  for (const extension of parts.extensions)
    if (found?.extensions.has(extension) === false)
      findings.problems.push({
        severity: 'error',
        what: `database ${name} lacks the extension ${extension}, which is needed for what is restored`,
        remedy: `CREATE EXTENSION ${quoted(extension)}; in database ${name}`,
      })
  if (parts.broughtAlong.length > 0)
    findings.problems.push({
      severity: 'note',
      what: `comes along, since the target does not have it: ${parts.broughtAlong.slice(0, 20).join(', ')}`,
      remedy: undefined,
    })
  for (const [from, to] of parts.schemas)
    findings.steps.push(
      `restore ${tableCount(tasks.filter(({ table }) => table.schema === from).length)} of schema ${from} into schema ${to} of database ${name}`,
    )
  if (parts.leftOut.length > 0)
    findings.problems.push({
      severity: 'note',
      what: `left out, since it would reach beyond what is restored: ${parts.leftOut.slice(0, 20).join(', ')}`,
      remedy: undefined,
    })
  return {
    record,
    target: name,
    way: 'beside',
    toc: parts.toc,
    newSchemas,
    ownSchemas: own,
    droppedSchemas,
    tables: tasks.length,
    bytes,
  }
}

/** Missing extensions are what restores fail of most. */
function extensionProblems(
  record: RestorableDatabase,
  facts: TargetFacts,
  toc: Toc | undefined,
  { problems }: Findings,
): void {
  const wanted = toc?.entries.filter(({ kind }) => kind === 'EXTENSION').map(({ tag }) => decoded(tag))
  for (const { name, version } of record.extensions) {
    if (wanted !== undefined && !wanted.includes(name)) continue
    const available = facts.extensions.get(name)
    if (available === undefined)
      problems.push({
        severity: 'error',
        what: `database ${record.name} uses the extension ${name} ${version}, which the target does not have`,
        remedy: `install ${name} on the server of the target`,
      })
    else if (!available.has(version))
      problems.push({
        severity: 'warning',
        what: `the target has no version ${version} of the extension ${name}, but ${[...available].join(', ')}`,
        remedy: undefined,
      })
  }
}

/** Roles that own something, or that rights are given to, and that the target does not have. */
function missingRoles(
  databases: readonly PlannedDatabase[],
  { manifest }: RestorableDump,
  { roles }: TargetFacts,
  kinds: readonly string[],
): readonly string[] {
  const entries = databases.flatMap(({ toc }) => toc?.entries ?? [])
  const owners = kinds.includes('owner') ? entries.map(({ owner }) => decoded(owner ?? '')) : []
  const statements = entries
    .filter(({ kind }) => kinds.includes(kind))
    .map(({ definition }) => decoded(definition ?? ''))
  const named = manifest.roles.filter((role) => statements.some((statement) => hasName(statement, role)))
  return [...new Set([...owners, ...named])].filter((role) => role !== '' && !roles.has(role)).sort()
}

/** Whether a statement has a name in it, with quotes or without. */
const hasName = (statement: string, name: string): boolean =>
  statement.includes(quoted(name)) ||
  new RegExp(`(?<![\\w$])${name.replaceAll(/[^\w]/g, '\\$&')}(?![\\w$])`).test(statement)

const tableCount = (count: number): string => `${count} ${count === 1 ? 'table' : 'tables'}`
