import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Measurement, measure } from '../compare/measure.ts'
import type { BenchCluster } from './cluster.ts'

export type BackupKind = 'full' | 'incremental'

/** One of the programs that are compared, working on repositories of its own. */
export interface PostgresTool {
  readonly name: 'pgbackrest' | 'holdfast'
  readonly version: string
  /** Begins with an empty repository. */
  begin(): Promise<void>
  backUp(kind: BackupKind): Promise<Measurement>
  restore(target: string): Promise<Measurement>
  storedBytes(): number
}

const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']

/** Runs a command as nobody in a folder of nobody's. @throws Error when it fails */
export async function run(
  command: readonly string[],
  folder: string,
  more: NodeJS.ProcessEnv = {},
): Promise<Measurement> {
  const environment = {
    PATH: process.env.PATH,
    HOME: folder,
    LC_ALL: 'C.UTF-8',
    TMPDIR: folder,
    HOLDFAST_CONFIG: join(folder, 'holdfast.yaml'),
    ...more,
  }
  const measured = await measure([...NOBODY, ...command], { folder, environment })
  if (measured.exitCode !== 0)
    throw new Error(`${command.join(' ')} ended with ${measured.exitCode}:\n${measured.stdout}${measured.stderr}`)
  return measured
}

/** Of all files below a folder. Links are not followed: one of pgBackRest's leads to the newest backup. */
export function sizeOf(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) bytes += sizeOf(path)
    else if (entry.isFile()) bytes += statSync(path).size
  }
  return bytes
}

/** With zstd at level 1, two processes, small files in bundles, and blocks of files as increments. */
export function pgbackrestTool(cluster: BenchCluster, program: string): PostgresTool {
  let repository: string | undefined
  const { work } = cluster
  const common = [program, `--config=${work}/pgbackrest.conf`, '--stanza=main', '--log-level-console=warn']
  return {
    name: 'pgbackrest',
    version: spawnSync(program, ['version'], { encoding: 'utf8' }).stdout.trim(),
    async begin() {
      if (repository !== undefined) cluster.remove(repository)
      repository = cluster.folder('pgbackrest')
      // Not in the repository: a restore removes folders of the spool that have names of the repository's.
      const beside = cluster.folder('pgbackrest-beside')
      const settings = {
        'repo1-path': repository,
        'repo1-bundle': 'y',
        'repo1-block': 'y',
        'log-path': beside,
        'lock-path': beside,
        'spool-path': beside,
        'start-fast': 'y',
        'compress-type': 'zst',
        'compress-level': '1',
        'process-max': '2',
        cmd: program,
      }
      const stanza = {
        'pg1-path': cluster.dataDirectory,
        'pg1-port': cluster.port,
        'pg1-socket-path': work,
        'pg1-user': 'postgres',
      }
      const lines = (of: object): string =>
        Object.entries(of)
          .map(([name, value]) => `${name}=${value}\n`)
          .join('')
      cluster.write('pgbackrest.conf', `[global]\n${lines(settings)}[main]\n${lines(stanza)}`)
      await run([...common, '--no-online', 'stanza-create'], work).catch(() => run([...common, 'stanza-create'], work))
      await cluster.drainArchive()
    },
    backUp: (kind) => run([...common, `--type=${kind === 'full' ? 'full' : 'incr'}`, 'backup'], work),
    restore: (target) => run([...common, `--pg1-path=${target}`, '--type=none', 'restore'], work),
    storedBytes: () => sizeOf(join(repository!, 'backup')),
  }
}

export function holdfastTool(cluster: BenchCluster): PostgresTool {
  const program = join(import.meta.dirname, '../../bin/holdfast')
  let repository: string | undefined
  const { work } = cluster
  return {
    name: 'holdfast',
    version: spawnSync(program, ['version'], { encoding: 'utf8' }).stdout.trim(),
    async begin() {
      if (repository !== undefined) cluster.remove(repository)
      repository = cluster.folder('holdfast')
      const password = cluster.write('password', randomBytes(24).toString('base64'))
      cluster.write(
        'holdfast.yaml',
        `version: 1
repositories: { main: { url: ${repository}/repository, password: "file:${password}" } }
sources: { shop: { type: postgres, url: "postgres://postgres@127.0.0.1:${cluster.port}/postgres", checkpoint: fast } }
defaults: { verify: none }
`,
      )
      await run([program, 'init'], work)
    },
    backUp: (kind) => run([program, 'backup:run', 'shop', '--type', kind], work),
    restore: (target) => run([program, 'restore:run', 'shop', '--to', target], work),
    storedBytes: () => sizeOf(join(repository!, 'repository', 'data')),
  }
}
