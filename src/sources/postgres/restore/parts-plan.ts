import { join } from 'node:path'
import { HoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { RestoreJob, SourceRestorePlan } from '../../restore.ts'
import { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import type { SourceProblem } from '../../source.ts'
import { type ClientProgram, clientProgramRemedy, findClientProgram } from '../logical/client-programs.ts'
import {
  databaseNameOf,
  type Findings,
  lookInto,
  newFindings,
  planSchemasBeside,
  planWholeDatabase,
  whereTo,
} from '../logical/restore-obstacles.ts'
import { type SelectedDatabase, schemaBeside, selectDatabases } from '../logical/restore-selection.ts'
import { openTarget, readTarget, type TargetFacts, type TargetServer } from '../logical/restore-target.ts'
import type { PostgresManifest } from '../manifest.ts'
import { findServerPrograms, programsRemedy, type ServerPrograms } from '../server-programs.ts'
import { planCluster } from './restore-plan.ts'
import { snapshotProblems, spaceProblems } from './restore-problems.ts'

/** What of a cluster is to be restored into a server, as far as it is known before the cluster runs again. */
export interface PartsPlan {
  readonly plan: SourceRestorePlan
  readonly manifest: PostgresManifest
  /** Databases of the snapshot that something is wanted of. */
  readonly databases: readonly string[]
  /** Of this machine; undefined with a problem that says so. */
  readonly server: ServerPrograms | undefined
  readonly dump: ClientProgram | undefined
}

const WILD = /[*?]/
/** Nothing that is backed up for its own sake. */
const templates: ReadonlySet<string> = new Set(['template0', 'template1'])

/**
 * Thinks the restore of parts of a physical snapshot through: its cluster is restored into a sandbox, and what is asked for is copied from the
 * server there. Which tables there are is known when that server runs; what can be known before is looked at here. Changes nothing.
 *
 * @throws HoldfastError HF_USAGE, HF_PATH_NOT_FOUND for a database that is not in the snapshot, HF_TARGET_INVALID, HF_DATA_DAMAGED
 */
export async function planParts(source: string, target: TargetServer, job: RestoreJob): Promise<PartsPlan> {
  const { repository, snapshot, signal } = job
  const root = SandboxFolder.root()
  // Of a folder that is not there: what it takes to make it.
  const cluster = await planCluster(source, {
    repository,
    snapshot,
    target: { kind: 'directory', path: join(root, `holdfast-sandbox-${snapshot.id}`) },
    include: [],
    exclude: [],
    rename: [],
    overwrite: false,
    signal,
  })
  const { manifest } = cluster.snapshot
  const { version, majorVersion } = manifest.server
  const server = cluster.programs ?? findServerPrograms(majorVersion)
  const dump = findClientProgram('pg_dump', majorVersion)
  const findings = newFindings()
  const selected = selectDatabases(
    manifest.databases.filter(({ name }) => !templates.has(name)),
    job,
  )
  if (selected.length === 0) throw new HoldfastError('HF_USAGE', 'nothing is left to be restored')
  const { files, bytes } = cluster.main.totals
  findings.steps.push(
    `restore the cluster, ${files.toLocaleString('en')} files and folders, ${formatSize(bytes)}, into a sandbox in ${root}, which goes afterwards`,
    `start PostgreSQL ${version} there and let it recover to ${manifest.end.lsn}`,
  )
  findings.problems.push(
    ...snapshotProblems(cluster),
    ...spaceProblems(cluster),
    ...programProblems(majorVersion, server, dump),
  )
  if (manifest.warnings.length > 0)
    findings.problems.push({
      severity: 'warning',
      what: `the server warned when the snapshot was made: ${manifest.warnings.slice(0, 3).join('; ')}`,
      remedy: 'expect damaged pages, or choose a snapshot without',
    })
  await planTarget(target, job, selected, majorVersion, findings)
  findings.afterwards.push('run ANALYZE in each restored database: the server knows nothing of what it has yet')
  return {
    plan: { ...findings, files, bytes },
    manifest,
    databases: selected.map(({ record }) => record.name),
    server,
    dump,
  }
}

function* programProblems(
  major: number,
  server: ServerPrograms | undefined,
  dump: ClientProgram | undefined,
): Generator<SourceProblem> {
  if (server === undefined)
    yield {
      severity: 'error',
      what: `there is no PostgreSQL ${major} here, and no other major version can start the cluster of the snapshot`,
      remedy: programsRemedy(major),
    }
  if (dump === undefined)
    yield {
      severity: 'error',
      what: `there is no pg_dump of PostgreSQL ${major} or newer here`,
      remedy: clientProgramRemedy(major),
    }
  else if (findClientProgram('pg_restore', dump.majorVersion) === undefined)
    yield {
      severity: 'error',
      what: `there is no pg_restore of PostgreSQL ${dump.majorVersion} or newer here`,
      remedy: clientProgramRemedy(dump.majorVersion),
    }
}

/** What is in the way at the target, by the names that were given. */
async function planTarget(
  target: TargetServer,
  job: RestoreJob,
  selected: readonly SelectedDatabase[],
  majorVersion: number,
  findings: Findings,
): Promise<void> {
  await using session = await openTarget(target, job.signal)
  const facts = await readTarget(session)
  if (facts.majorVersion < majorVersion)
    findings.problems.push({
      severity: 'warning',
      what: `the target is PostgreSQL ${facts.majorVersion}, older than the ${majorVersion} the snapshot is of: definitions it does not know will fail`,
      remedy: undefined,
    })
  for (const one of selected) {
    const name = databaseNameOf(one.record.name, target, job.rename, selected.length)
    if (one.isWhole) {
      const { way } = await planWholeDatabase(target, facts, name, job, findings)
      findings.steps.push(`copy database ${one.record.name} ${whereTo(way, name)}`)
    } else await planBeside(target, facts, job, one, name, findings)
  }
}

async function planBeside(
  target: TargetServer,
  facts: TargetFacts,
  { rename, overwrite, signal }: RestoreJob,
  { record, include }: SelectedDatabase,
  name: string,
  findings: Findings,
): Promise<void> {
  const made = new Set<string>()
  for (const parts of include) {
    const [, schema] = parts
    const known = schema === undefined || WILD.test(schema) ? undefined : schemaBeside(rename, record.name, schema)
    if (known !== undefined && known !== schema) made.add(known)
    const where = known === undefined ? 'schemas with names of their own' : `schema ${known}`
    findings.steps.push(`copy ${parts.join('.')} into ${where} of database ${name}`)
  }
  if (include.length === 0) findings.steps.push(`copy parts of ${record.name} into schemas of database ${name}`)
  const beside = { name, from: record.name, schemas: [...made] }
  planSchemasBeside(await lookInto(target, facts, name, signal), beside, { overwrite }, findings)
}
