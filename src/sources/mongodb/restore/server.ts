import { HoldfastError } from '../../../lib/errors.ts'
import {
  type PlannedRestore,
  type RestoreJob,
  refuseObstacles,
  type SourceRestoreObserver,
  type SourceRestoreResult,
} from '../../restore.ts'
import type { SourceProblem } from '../../source.ts'
import type { MongoConnection } from '../connection.ts'
import type { MongoEndpoint } from '../endpoint.ts'
import { namespaceText } from '../names.ts'
import type { MongoTls } from '../settings.ts'
import type { SnapshotFiles } from '../snapshot-files.ts'
import { readFinalState } from './final-state.ts'
import { type RestoreScope, scopeOf, scopeProblems, stepsOf } from './plan.ts'
import { restoreSelection } from './renaming.ts'
import { openTarget, readTarget, type TargetState, targetProblems } from './target.ts'
import { writeScope } from './write-scope.ts'

export interface ServerRestore {
  readonly url: MongoEndpoint
  readonly files: SnapshotFiles
  readonly password: string | undefined
  readonly tls: MongoTls | undefined
  readonly jobs: number
}

/** Plans a restore into a running server. @throws HoldfastError when there is nothing to plan with */
export async function planServerRestore(restore: ServerRestore, job: RestoreJob): Promise<PlannedRestore> {
  const { files, jobs } = restore
  const { overwrite } = job
  const selection = restoreSelection(job)
  using state = await readFinalState(files)
  const scope = scopeOf(state, selection)
  const open = (signal: AbortSignal | undefined): Promise<MongoConnection> => openTarget({ ...restore, signal })
  const names = new Set(scope.collections.map(({ target }) => namespaceText(target)))
  await using connection = await open(job.signal)
  const where = connection.place.server
  const before = await readTarget(connection, names, job.signal)
  const problems: SourceProblem[] = [
    ...targetProblems(before, state.manifest, scope.bytes),
    ...presentProblems(before, overwrite),
    ...accountProblems(before, scope, overwrite),
    ...scopeProblems(scope, state),
  ]
  const overwrites = overwrite ? [...before.present.keys()].map((name) => `drop ${name}`) : []
  return {
    plan: {
      steps: [
        ...(overwrites.length > 0 ? [`drop ${overwrites.length} collections that are there`] : []),
        ...stepsOf(scope, where),
      ],
      files: scope.collections.length,
      bytes: scope.bytes,
      overwrites,
      problems,
      afterwards: [
        'compare the feature compatibility version: db.adminCommand({ getParameter: 1, featureCompatibilityVersion: 1 })',
        ...(scope.accounts.length > 0 ? ['users log in with the passwords they had at the backup'] : []),
      ],
    },
    execute: async (observer: SourceRestoreObserver, signal?: AbortSignal): Promise<SourceRestoreResult> => {
      refuseObstacles(problems)
      const running = signal ?? job.signal
      await using target = await open(running)
      const now = await readTarget(target, names, running)
      if (fingerprintOf(now) !== fingerprintOf(before))
        throw new HoldfastError('HF_TARGET_INVALID', `${where} has changed since the restore was planned`, {
          hint: 'plan it again, and see what is there now',
        })
      // Documents of the fold are given out once, so each execution works on its own.
      using fresh = await readFinalState(files)
      return await writeScope({
        scope: scopeOf(fresh, selection),
        connection: target,
        state: now,
        files,
        jobs,
        overwrite,
        observer,
        signal: running,
      })
    },
  }
}

function* presentProblems({ present }: TargetState, overwrite: boolean): Generator<SourceProblem> {
  if (overwrite) return
  for (const [name, { documents, entry }] of present)
    if (documents > 0 || entry.type === 'view')
      yield {
        severity: 'error',
        what: `the target has ${name} already`,
        remedy: `rename it on the way (${entry.database}=${entry.database}_restored), or allow with --overwrite that it is dropped first`,
      }
}

function* accountProblems(
  { accounts, facts }: TargetState,
  scope: RestoreScope,
  overwrite: boolean,
): Generator<SourceProblem> {
  if (scope.accounts.length === 0) return
  if (accounts === undefined || facts.product !== undefined)
    yield {
      severity: 'warning',
      what: 'users and roles cannot be restored into this server: it does not show its own, or knows no way to add them with their passwords',
      remedy: 'leave them out with --exclude admin, and make them anew',
    }
  else if (accounts.users.size > 0 && !overwrite)
    yield {
      severity: 'note',
      what: 'users and roles that the target has already stay as they are',
      remedy: undefined,
    }
}

/** What of a target must not change between plan and restore. */
const fingerprintOf = ({ present, facts }: TargetState): string =>
  JSON.stringify([
    facts.setName,
    facts.role,
    [...present].map(([name, { entry, documents }]) => [name, entry.uuid, documents > 0]),
  ])
