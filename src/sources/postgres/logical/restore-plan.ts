import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { RestoreJob, SourceRestorePlan } from '../../restore.ts'
import type { SourceProblem } from '../../source.ts'
import { clientProgramRemedy, findClientProgram } from './client-programs.ts'
import { CopySession } from './copy-session.ts'
import type { DatabaseRecord } from './manifest.ts'
import { decoded, quoted } from './names.ts'
import { tasksOf } from './restore-database.ts'
import {
  MAX_NAME_BYTES,
  type MovedParts,
  moveParts,
  type SelectedDatabase,
  schemasToMake,
  selectDatabases,
} from './restore-selection.ts'
import {
  openTarget,
  readTarget,
  readTargetDatabase,
  type TargetDatabase,
  type TargetFacts,
  type TargetServer,
} from './restore-target.ts'
import type { LogicalSnapshot } from './snapshot.ts'
import type { Toc } from './toc.ts'

/** One database, as it will be restored. */
export interface PlannedDatabase {
  readonly record: DatabaseRecord
  /** Name of the database it goes to. */
  readonly target: string
  /**
   * `new`: made under another name and renamed when it is whole. `replaced`: so too, and the one that is there is dropped. `filled`: it is
   * there and empty. `beside`: parts go into schemas of their own.
   */
  readonly way: 'new' | 'replaced' | 'filled' | 'beside'
  readonly toc: Toc | undefined
  readonly newSchemas: readonly string[]
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

interface Findings {
  readonly problems: SourceProblem[]
  readonly steps: string[]
  readonly overwrites: string[]
  readonly afterwards: string[]
}

/** Thinks a restore to a server through. @throws HoldfastError when there is nothing to plan with */
export async function planServerRestore(
  snapshot: LogicalSnapshot,
  target: TargetServer,
  job: RestoreJob,
): Promise<LogicalPlan> {
  await using session = await openTarget(target, job.signal)
  const facts = await readTarget(session)
  const selected = selectDatabases(snapshot.manifest.databases, job)
  const findings: Findings = { problems: [], steps: [], overwrites: [], afterwards: [] }
  programProblems(snapshot, facts, findings)
  const databases: PlannedDatabase[] = []
  for (const one of selected)
    databases.push(await planDatabase(snapshot, target, job, facts, one, selected.length, findings))
  const missing = missingRoles(databases, snapshot, facts, ['owner', 'ACL', 'DEFAULT ACL'])
  for (const role of missingRoles(databases, snapshot, facts, ['POLICY']))
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
  if (snapshot.manifest.globals !== undefined && missing.length > 0)
    findings.afterwards.push('roles are in globals.sql of the snapshot; read it before you run it with psql')
  const { steps, overwrites, problems, afterwards } = findings
  const files = databases.reduce((sum, one) => sum + one.tables, 0)
  return { plan: { steps, files, bytes, overwrites, problems, afterwards }, databases, keepOwners, facts }
}

function programProblems({ manifest }: LogicalSnapshot, facts: TargetFacts, { problems }: Findings): void {
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
  snapshot: LogicalSnapshot,
  target: TargetServer,
  job: RestoreJob,
  facts: TargetFacts,
  selected: SelectedDatabase,
  count: number,
  findings: Findings,
): Promise<PlannedDatabase> {
  const { record, isWhole } = selected
  const renamed = job.rename.find(({ from }) => from === record.name)?.to
  const name = renamed ?? (count === 1 ? target.namedDatabase : undefined) ?? record.name
  if (Buffer.byteLength(name) > MAX_NAME_BYTES)
    throw new HoldfastError('HF_USAGE', `the name ${name} is too long for a database`)
  const toc = snapshot.manifest.dumpFormat === 'directory' ? await snapshot.toc(record, job.signal) : undefined
  extensionProblems(record, facts, toc, findings)
  if (!isWhole) return await planParts(target, job, facts, selected, name, toc, findings)
  const rows = record.tables.reduce((sum, table) => sum + table.bytes, 0)
  const bytes = toc === undefined ? record.dump.bytes : rows + (record.largeObjects?.bytes ?? 0)
  const found = facts.databases.has(name) ? await lookInto(target, name, job.signal) : undefined
  const isEmpty =
    found === undefined || [...found.schemas].every(([schema, objects]) => schema === 'public' && objects === 0)
  const way = found === undefined ? 'new' : isEmpty ? 'filled' : 'replaced'
  const { steps, problems, overwrites } = findings
  if (way === 'replaced') {
    if (!job.overwrite)
      problems.push({
        severity: 'error',
        what: `database ${name} of the target is not empty`,
        remedy: 'name another one in the URL, or allow it to be overwritten',
      })
    overwrites.push(`database ${name} with ${[...found!.schemas.values()].reduce((sum, n) => sum + n, 0)} objects`)
  }
  if (way !== 'filled' && !facts.mayCreateDatabases)
    problems.push({
      severity: 'error',
      what: `${facts.role} may not create databases`,
      remedy: `ALTER ROLE ${quoted(facts.role)} CREATEDB; or name an empty database that is there`,
    })
  if (way === 'filled' && found!.encoding !== record.encoding)
    problems.push({
      severity: 'warning',
      what: `database ${name} has encoding ${found!.encoding}, the dump ${record.encoding}`,
      remedy: undefined,
    })
  const where =
    way === 'new'
      ? `into the new database ${name}`
      : way === 'replaced'
        ? `in place of database ${name}`
        : `into the empty database ${name}`
  steps.push(`restore ${record.tables.length} tables, ${formatSize(bytes)}, ${where}`)
  const newSchemas = toc === undefined ? [] : schemasToMake(toc)
  return { record, target: name, way, toc, newSchemas, droppedSchemas: [], tables: record.tables.length, bytes }
}

async function planParts(
  target: TargetServer,
  job: RestoreJob,
  facts: TargetFacts,
  selected: SelectedDatabase,
  name: string,
  toc: Toc | undefined,
  { problems, steps, overwrites }: Findings,
): Promise<PlannedDatabase> {
  const { record } = selected
  if (toc === undefined)
    throw new HoldfastError('HF_USAGE', `database ${record.name} is one file, of which Holdfast restores no parts`, {
      hint: 'restore it to a directory; pg_restore --use-list restores parts of a file in format custom',
    })
  const parts: MovedParts = moveParts(toc, selected, job.rename)
  const tasks = tasksOf(record, parts.toc)
  const bytes = tasks.reduce((sum, { table }) => sum + table.bytes, 0)
  const newSchemas = [...parts.schemas.values()]
  const found = facts.databases.has(name) ? await lookInto(target, name, job.signal) : undefined
  if (found === undefined)
    problems.push({
      severity: 'error',
      what: `the target has no database ${name}`,
      remedy: `CREATE DATABASE ${quoted(name)}; or name one in the URL`,
    })
  // A schema whose name was asked for may have what is not in the way; one that is made here may not be there at all.
  const own = newSchemas.filter((schema) => ![...parts.schemas.keys()].includes(schema))
  const droppedSchemas = own.filter((schema) => found?.schemas.has(schema) === true)
  for (const schema of droppedSchemas) {
    overwrites.push(`schema ${schema} of database ${name} with ${found!.schemas.get(schema)} objects`)
    if (!job.overwrite)
      problems.push({
        severity: 'error',
        what: `database ${name} has a schema ${schema} already`,
        remedy: `give another name with --rename ${record.name}.SCHEMA=NAME, or allow it to be overwritten`,
      })
  }
  for (const [from, to] of parts.schemas)
    steps.push(
      `restore ${tasks.filter(({ table }) => table.schema === from).length} tables of schema ${from} into schema ${to} of database ${name}`,
    )
  if (parts.leftOut.length > 0)
    problems.push({
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
    droppedSchemas,
    tables: tasks.length,
    bytes,
  }
}

/** Missing extensions are what restores fail of most. */
function extensionProblems(
  record: DatabaseRecord,
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
  { manifest }: LogicalSnapshot,
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

async function lookInto(target: TargetServer, database: string, signal?: AbortSignal): Promise<TargetDatabase> {
  await using session = await CopySession.open({ ...target.endpoint, database }, target.password, { signal })
  try {
    return await readTargetDatabase(session)
  } catch (error) {
    if (isHoldfastError(error)) throw new HoldfastError('HF_TARGET_INVALID', error.message, { cause: error })
    throw error
  }
}
