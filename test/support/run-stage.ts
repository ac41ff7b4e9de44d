import { tmpdir } from 'node:os'
import { type AllRunOptions, runBackups } from '../../src/control/backup-run.ts'
import { openForRun, type RunRepository } from '../../src/control/run-repository.ts'
import type { RunSource, SourceResult } from '../../src/control/source-run.ts'
import type { Repository } from '../../src/engine/repository/repository.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { filesKind } from '../../src/sources/files/index.ts'
import type { Source } from '../../src/sources/source.ts'

const services = { clock: systemClock, secret: () => Promise.reject(new Error('no secrets here')) }

export const filesSource = (name: string, paths: readonly string[], more: object = {}): Source =>
  filesKind.open(name, filesKind.settings.parse({ paths, ...more }), services)

/** A source of a run without the repositories it goes to. */
export type StagedSource = Omit<RunSource, 'repositories' | 'unopened'>

export const plain = (source: Source): StagedSource => ({ source, hooks: { pre: [], post: [] }, require: [] })

/** What a run said. */
export interface Told {
  readonly lines: string[]
  readonly errors: string[]
}

export interface RunStageOptions extends Partial<AllRunOptions> {
  readonly told?: Told
}

/** Opens a repository of a run, as it is now. */
export const opened = (
  name: string,
  repository: Repository,
  told?: Told,
  signal?: AbortSignal,
): Promise<RunRepository> =>
  openForRun({ name, repository, signal }, ({ id }) => told?.lines.push(`snapshot ${id} is damaged`))

/** Runs backups of sources into repositories, by their names, or into one. */
export async function run(
  repositories: Repository | Readonly<Record<string, Repository>>,
  sources: readonly StagedSource[],
  { told = { lines: [], errors: [] }, ...more }: RunStageOptions = {},
): Promise<readonly SourceResult[]> {
  const named = 'storage' in repositories ? { main: repositories as Repository } : repositories
  const open = await Promise.all(
    Object.entries(named).map(([name, repository]) => opened(name, repository as Repository, told)),
  )
  return await runBackups(
    sources.map((source) => ({ ...source, repositories: open, unopened: new Map() })),
    {
      run: 'test-run',
      type: 'incremental',
      parallel: 2,
      programVersion: 'holdfast test',
      clock: systemClock,
      environment: process.env,
      spool: { root: tmpdir(), capacityBytes: 1024 * 1024 * 1024 },
      observer: {
        onPhase: ({ name }, phase) => told.lines.push(`${name}: ${phase}`),
        backupObserver: ({ name }) => ({
          onError: (item, error) => told.errors.push(`${name}: ${item}: ${error.message}`),
        }),
        onHookLine: ({ name }, line) => told.lines.push(`${name} says ${line}`),
        onFinished: ({ source, outcome }) => told.lines.push(`${source.name} ${outcome}`),
      },
      ...more,
    },
  )
}
