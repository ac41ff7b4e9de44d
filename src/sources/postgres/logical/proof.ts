import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { isHoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { ProofJob, ProofSandbox, SourceProof } from '../../proof.ts'
import type { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import type { Endpoint } from '../endpoint.ts'
import { CheckList, isElsewhere } from '../proof/check-list.ts'
import { SandboxServer } from '../proof/sandbox-server.ts'
import { findServerPrograms, programsRemedy, type ServerPrograms } from '../server-programs.ts'
import { type ClientProgram, clientProgramRemedy, findClientProgram } from './client-programs.ts'
import { CopySession } from './copy-session.ts'
import { applyDatabaseEntries, createStatement } from './database-entries.ts'
import { LogicalSandbox } from './logical-sandbox.ts'
import type { DatabaseRecord } from './manifest.ts'
import { decoded, quoted } from './names.ts'
import { restoreDatabase } from './restore-database.ts'
import { schemasToMake } from './restore-selection.ts'
import { readTarget } from './restore-target.ts'
import { LogicalSnapshot } from './snapshot.ts'
import { checkLogicalStructure } from './structure.ts'
import type { Toc } from './toc.ts'

const SUPERUSER = 'postgres'
/** Where databases are made from; the one called postgres may have to make room. */
const ADMIN_DATABASE = 'template1'
const SERVER = 'throw-away server'

/** How logical snapshots are proved: by restoring them into a server that nobody else can reach. */
export function logicalProof(source: string, jobs: number): SourceProof {
  return {
    checkStructure: (job) => checkLogicalStructure(source, job),
    openSandbox: (job, folder) => openLogicalSandbox(source, jobs, job, folder),
  }
}

interface Programs {
  readonly server: ServerPrograms
  readonly dump: ClientProgram
  readonly restore: ClientProgram
}

async function openLogicalSandbox(
  source: string,
  jobs: number,
  job: ProofJob,
  folder: SandboxFolder,
): Promise<ProofSandbox | undefined> {
  const { repository, signal } = job
  const checks = new CheckList(job, 'restore')
  let snapshot: LogicalSnapshot
  try {
    snapshot = await LogicalSnapshot.open(repository, job.snapshot, source, signal)
  } catch (error) {
    signal?.throwIfAborted()
    if (isElsewhere(error) || !isHoldfastError(error)) throw error
    checks.failed('manifest of the snapshot', error.message)
    return undefined
  }
  if (snapshot.manifest.dumpFormat === 'plain') {
    checks.skipped('restore of scripts', 'Holdfast runs no scripts: they could do anything; use format: directory')
    return undefined
  }
  const programs = findPrograms(snapshot)
  if (typeof programs === 'string') {
    checks.skipped(SERVER, programs)
    return undefined
  }
  const server = await startServer(checks, folder, programs.server, signal)
  if (server === undefined) return undefined
  const endpoint: Endpoint = {
    host: server.socketDirectory,
    port: server.port,
    user: SUPERUSER,
    database: ADMIN_DATABASE,
    sslmode: 'disable',
  }
  try {
    const restored = await restoreAll(checks, snapshot, endpoint, programs.restore, jobs, signal)
    if (restored) {
      const { server: serverPrograms, dump } = programs
      return new LogicalSandbox({ job, snapshot, programs: serverPrograms, dumpProgram: dump, server, endpoint })
    }
    await server.stop()
    return undefined
  } catch (error) {
    await server.stop()
    throw error
  }
}

/** What this machine has, or what it lacks. */
function findPrograms({ manifest }: LogicalSnapshot): Programs | string {
  const { majorVersion } = manifest.server
  const needed = Number.parseInt(manifest.programVersion, 10)
  const server = findServerPrograms(majorVersion)
  if (server === undefined) return `no PostgreSQL ${majorVersion} on this machine: ${programsRemedy(majorVersion)}`
  if (!existsSync(join(server.folder, 'initdb')))
    return `${server.folder} has no initdb: ${programsRemedy(majorVersion)}`
  const restore = findClientProgram('pg_restore', needed)
  const dump = findClientProgram('pg_dump', needed)
  if (restore === undefined || dump === undefined)
    return `no pg_restore and pg_dump of PostgreSQL ${needed} or newer on this machine: ${clientProgramRemedy(needed)}`
  return { server, dump, restore }
}

/** An empty server. */
async function startServer(
  checks: CheckList,
  folder: SandboxFolder,
  programs: ServerPrograms,
  signal: AbortSignal | undefined,
): Promise<SandboxServer | undefined> {
  const dataDirectory = join(folder.path, 'data')
  const args = ['-D', dataDirectory, '-U', SUPERUSER, '-A', 'trust', '--no-sync', '--encoding=UTF8', '--no-locale']
  const making = folder.start('initdb', join(programs.folder, 'initdb'), args)
  const end = await making.ended
  if (end !== 'exit code 0') {
    checks.skipped(SERVER, `initdb: ${end}: ${making.log().trim().split('\n').at(-1)}`)
    return undefined
  }
  const started = await SandboxServer.start(folder, { programs, dataDirectory, hasFolders: false, signal })
  if ('server' in started) {
    checks.passed(SERVER, `PostgreSQL ${programs.version}`)
    return started.server
  }
  checks.skipped(SERVER, started.failure)
  return undefined
}

/** @returns whether all databases are there */
async function restoreAll(
  checks: CheckList,
  snapshot: LogicalSnapshot,
  endpoint: Endpoint,
  program: ClientProgram,
  jobs: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  await using admin = await CopySession.open(endpoint, undefined, { signal })
  const facts = await readTarget(admin)
  for (const role of snapshot.manifest.roles)
    if (!facts.roles.has(role)) await admin.rows(`CREATE ROLE ${quoted(role)} NOLOGIN`)
  let isWhole = true
  for (const record of snapshot.manifest.databases) {
    const name = `restore of database ${record.name}`
    const toc =
      snapshot.manifest.dumpFormat === 'directory' ? await tocOf(checks, name, snapshot, record, signal) : undefined
    if (snapshot.manifest.dumpFormat === 'directory' && toc === undefined) {
      isWhole = false
      continue
    }
    const lacking = record.extensions.filter(
      (extension) => !facts.extensions.has(extension.name) && isUsed(toc, extension.name),
    )
    if (lacking.length > 0) {
      checks.skipped(
        name,
        `this machine lacks ${lacking.map((one) => `the extension ${one.name} ${one.version}`).join(', ')}`,
      )
      isWhole = false
      continue
    }
    if (facts.databases.has(record.name)) await admin.rows(`DROP DATABASE ${quoted(record.name)}`)
    const locale = await makeDatabase(admin, record, toc, facts.majorVersion)
    const passed = await checks.check(name, async () => {
      const { tables, rows, bytes } = await restoreDatabase({
        content: snapshot,
        record,
        toc,
        newSchemas: toc === undefined ? [] : schemasToMake(toc),
        endpoint: { ...endpoint, database: record.name },
        password: undefined,
        program,
        jobs,
        keepOwners: true,
        onBytes: () => undefined,
        signal,
      })
      if (toc !== undefined) {
        await using inside = await CopySession.open({ ...endpoint, database: record.name }, undefined, { signal })
        await applyDatabaseEntries(inside, toc, true)
      }
      return `${toc === undefined ? '' : `${tables} tables, ${rows} rows, `}${formatSize(bytes)}${locale}`
    })
    if (!passed) isWhole = false
  }
  return isWhole
}

async function tocOf(
  checks: CheckList,
  name: string,
  snapshot: LogicalSnapshot,
  record: DatabaseRecord,
  signal: AbortSignal | undefined,
): Promise<Toc | undefined> {
  try {
    return await snapshot.toc(record, signal)
  } catch (error) {
    signal?.throwIfAborted()
    if (isElsewhere(error) || !isHoldfastError(error)) throw error
    checks.failed(name, error.message)
    return undefined
  }
}

/** A database with the locale of the one that was dumped or, where this machine does not have it, with none. @returns what to say of it */
async function makeDatabase(
  admin: CopySession,
  record: DatabaseRecord,
  toc: Toc | undefined,
  majorVersion: number,
): Promise<string> {
  try {
    await admin.rows(createStatement(record.name, record, toc, majorVersion))
    return ''
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    await admin.rows(createStatement(record.name, { ...record, collate: 'C', ctype: 'C' }, undefined, majorVersion))
    return `; sorted by code points, since this machine lacks the locale ${record.collate}`
  }
}

const isUsed = (toc: Toc | undefined, name: string): boolean =>
  toc === undefined || toc.entries.some(({ kind, tag }) => kind === 'EXTENSION' && decoded(tag) === name)
