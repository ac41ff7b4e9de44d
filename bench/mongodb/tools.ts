import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type Measurement, measure } from '../compare/measure.ts'

/** Reads or writes all of a database, in a process of its own. */
export interface MongoTool {
  readonly name: string
  readonly version: string
  /** Begins with nothing stored. */
  begin(): Promise<void>
  dump(database: string): Promise<Measurement>
  /** Writes what `dump` last read of `from`, into a database that is not there. */
  restore(from: string, to: string): Promise<Measurement>
}

/** Collections that are worked on at the same time, by every tool. */
export const WORKERS = 2

async function run(command: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Measurement> {
  const measured = await measure(command, { environment: { ...process.env, ...environment } })
  if (measured.exitCode !== 0)
    throw new Error(`${command[0]} ended with ${measured.exitCode}:\n${measured.stdout}${measured.stderr}`)
  return measured
}

/** The driver alone: what it reads is thrown away, what it writes lies ready in files. */
export function driverTool(url: string, files: readonly string[]): MongoTool {
  const program = [process.execPath, join(import.meta.dirname, 'baseline.ts')]
  const { version } = createRequire(import.meta.url)('mongodb/package.json') as { readonly version: string }
  return {
    name: 'driver alone',
    version: `mongodb ${version} with node ${process.version}`,
    begin: async () => undefined,
    dump: (database) => run([...program, 'read', url, database, String(WORKERS)]),
    restore: (_, to) => run([...program, 'insert', url, to, String(WORKERS), ...files]),
  }
}

/** MongoDB's own tools: a folder of plain files, neither compressed nor encrypted. */
export function mongoTools(url: string, programs: string, work: string): MongoTool {
  const [mongodump, mongorestore] = [join(programs, 'mongodump'), join(programs, 'mongorestore')]
  const folder = join(work, 'mongodump')
  const jobs = ['--quiet', '--uri', url, `--numParallelCollections=${WORKERS}`]
  const version = /version:? ?(\S+)/.exec(spawnSync(mongodump, ['--version'], { encoding: 'utf8' }).stdout)?.[1]
  return {
    name: 'mongodump',
    version: version ?? 'unknown',
    begin: async () => rmSync(folder, { recursive: true, force: true }),
    dump: (database) => run([mongodump, ...jobs, '--db', database, '--out', folder]),
    restore: (from, to) =>
      run([mongorestore, ...jobs, '--nsFrom', `${from}.*`, '--nsTo', `${to}.*`, '--nsInclude', `${from}.*`, folder]),
  }
}

export function holdfastTool(url: string, database: string, work: string): MongoTool {
  const program = join(import.meta.dirname, '../../bin/holdfast')
  const environment = { HOLDFAST_CONFIG: join(work, 'holdfast.yaml') }
  let repository: string | undefined
  return {
    name: 'holdfast',
    version: spawnSync(program, ['version'], { encoding: 'utf8' }).stdout.trim(),
    async begin() {
      if (repository !== undefined) rmSync(repository, { recursive: true, force: true })
      repository = mkdtempSync(join(work, 'repository-'))
      const password = join(work, 'password')
      writeFileSync(password, randomBytes(24).toString('base64'), { mode: 0o600 })
      writeFileSync(
        environment.HOLDFAST_CONFIG,
        `version: 1
repositories: { main: { url: ${repository}/main, password: "file:${password}" } }
sources: { shop: { type: mongodb, url: "${url}", databases: [${database}], jobs: ${WORKERS} } }
defaults: { verify: none }
`,
      )
      await run([program, 'init'], environment)
    },
    dump: () => run([program, 'backup:run', 'shop'], environment),
    restore: (from, to) => run([program, 'restore:run', 'shop', '--to', url, '--rename', `${from}=${to}`], environment),
  }
}
