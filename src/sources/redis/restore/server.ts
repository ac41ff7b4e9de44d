import { interruption } from '../../../engine/storage/interruption.ts'
import type { Clock } from '../../../lib/clock.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import {
  type PlannedRestore,
  refuseObstacles,
  type SourceRestoreObserver,
  type SourceRestorePlan,
  type SourceRestoreResult,
} from '../../restore.ts'
import type { SourceProblem } from '../../source.ts'
import type { RedisClient } from '../client.ts'
import { keyText } from '../key-text.ts'
import { keyCount, unfitFor } from '../plan-text.ts'
import type { Selection } from '../selection.ts'
import { parseInfo } from '../server.ts'
import type { RedisSnapshot } from '../snapshot.ts'
import type { Survey } from '../survey.ts'
import { existingKeys, existingText } from './existing-keys.ts'
import { KeyTarget } from './key-target.ts'
import { writeKeys } from './key-writer.ts'
import { feedAsMaster, PATIENCE_MS } from './master-feed.ts'
import { keepSafetyCopy, safetyCopyPath, transferred } from './safety-copy.ts'
import type { Target } from './target.ts'
import { contentOf, inspectTarget, type TargetState } from './target-state.ts'
import { verifyServer } from './verify-server.ts'

/** What is restored, where to. */
export interface ServerRestore {
  /** The name of the source. */
  readonly source: string
  readonly snapshot: RedisSnapshot
  readonly selection: Selection
  readonly survey: Survey
  readonly target: Pick<Target, 'open' | 'connection'>
  readonly overwrite: boolean
  readonly clock: Clock
  /** How long the target has to connect to us. */
  readonly patienceMs?: number | undefined
}

interface Ways {
  /** As a master gives a replica its data, or key by key. */
  readonly isWhole: boolean
  /** What is kept before anything is changed. */
  readonly safetyCopy: string | undefined
  readonly steps: readonly string[]
}

const NANOSECONDS_PER_MILLISECOND = 1_000_000n
const POLL_MS = 100
const MAX_NAMED = 20

/**
 * Plans a restore into a running server: all of it as its master would, since that is quick, exact, and leaves the server as it was until
 * everything has come; a part of it, or where that cannot be, key by key.
 */
export async function planServer(restore: ServerRestore, signal?: AbortSignal): Promise<PlannedRestore> {
  const { snapshot, selection, survey, target, overwrite, source, clock } = restore
  const { open } = target
  using client = await open(signal)
  const state = await inspectTarget(client, survey, { isWhole: !selection.isPartial })
  const existing = selection.isPartial
    ? await existingKeys(() => client, snapshot.rdb(signal), selection, MAX_NAMED)
    : undefined
  const overwrites = existing === undefined ? contentOf(client.server, state) : existingText(existing)
  const isWhole = !selection.isPartial && state.obstacle === undefined
  const safetyCopy = overwrites.length > 0 && overwrite ? safetyCopyPath(source, clock.now(), process.env) : undefined
  const ways: Ways = { isWhole, safetyCopy, steps: stepsOf(restore, client.server, state, isWhole, safetyCopy) }
  const plan: SourceRestorePlan = {
    steps: ways.steps,
    files: 0,
    bytes: isWhole ? snapshot.bytes : survey.bytes,
    overwrites,
    problems: [
      ...state.problems,
      ...unfitFor(survey, selection),
      ...placeProblems(client.server, state, overwrites, isWhole, overwrite),
    ],
    afterwards: [...afterwards(restore, state, ways)],
  }
  return {
    plan,
    execute: async (observer, executeSignal) => {
      refuseObstacles(plan.problems)
      try {
        await requireUnchanged(restore, state, ways)
        return await new Execution(restore, state, ways, observer, executeSignal).run()
      } catch (error) {
        // Connections that are ended by it fail in many ways.
        throw executeSignal?.aborted ? interruption(executeSignal) : error
      }
    },
  }
}

function stepsOf(
  { snapshot, survey, selection, patienceMs = PATIENCE_MS }: ServerRestore,
  server: string,
  { obstacle }: TargetState,
  isWhole: boolean,
  safetyCopy: string | undefined,
): readonly string[] {
  const keys = keyCount(survey.keys)
  const before = safetyCopy === undefined ? [] : [`keep what ${server} has now in ${safetyCopy}`]
  const remove = safetyCopy === undefined || selection.isPartial ? '' : 'remove everything from it and '
  const why = obstacle === undefined ? '' : `, since ${obstacle}`
  return [
    ...before,
    isWhole
      ? `let ${server} take ${keys}, ${formatSize(snapshot.bytes)}, as from a master; if it cannot connect to this machine within ${patienceMs / 1000} s, ${remove}write them key by key`
      : `${remove}write ${keys}, ${formatSize(survey.bytes)}, to ${server} key by key${why}`,
    `compare what ${server} then has with the snapshot`,
  ]
}

function* placeProblems(
  server: string,
  { followers }: TargetState,
  overwrites: readonly string[],
  isWhole: boolean,
  overwrite: boolean,
): Generator<SourceProblem> {
  if (isWhole && followers !== undefined)
    yield {
      severity: 'error',
      what: `${followers.replace(/ it\b/g, ` ${server}`)}: they would take its data, or another server for the master, meanwhile`,
      remedy:
        "stop them first and start them afterwards, or write keys one by one: --include '*', which leaves functions out",
    }
  if (overwrites.length > 0 && !overwrite)
    yield {
      severity: 'error',
      what: `${server} is not to be changed: ${overwrites.slice(0, 3).join(', ')}${overwrites.length > 3 ? ' and more' : ''} would be replaced`,
      remedy: 'restore into an empty server, or allow what is there to be replaced with --overwrite',
    }
}

function* afterwards(
  { selection }: ServerRestore,
  { facts }: TargetState,
  { isWhole, safetyCopy }: Ways,
): Generator<string> {
  if (safetyCopy !== undefined)
    yield `what was there before is in ${safetyCopy}: a server with \`appendonly no\` loads it as its dump.rdb; remove it when it is no longer needed`
  if (facts.info.get('aof_enabled') !== '1' && !isWhole)
    yield 'the keys are on the disk of the server after its next save: BGSAVE does it at once'
  if (!selection.isPartial)
    yield 'users and configuration of the server are not touched: those of the snapshot are in its .holdfast/server.json'
}

/** The server must be the one that was planned with, and still as empty. */
async function requireUnchanged(
  { target, survey, selection }: ServerRestore,
  state: TargetState,
  { isWhole }: Ways,
): Promise<void> {
  using client = await target.open()
  const now = await inspectTarget(client, survey, { isWhole: !selection.isPartial })
  const changed =
    now.facts.runId !== state.facts.runId
      ? 'has been started anew'
      : now.problems.some(({ severity }) => severity === 'error') || (isWhole && now.followers !== undefined)
        ? 'is not as it was'
        : !selection.isPartial && state.keys + state.libraries === 0 && now.keys + now.libraries > 0
          ? 'is no longer empty'
          : undefined
  if (changed !== undefined)
    throw new HoldfastError('HF_TARGET_INVALID', `${client.server} ${changed} since the restore was planned`, {
      hint: 'plan it again',
    })
}

class Execution {
  readonly #restore: ServerRestore
  readonly #state: TargetState
  readonly #ways: Ways
  readonly #observer: SourceRestoreObserver
  readonly #signal: AbortSignal | undefined
  readonly #facts: Record<string, string> = {}
  #errors = 0

  constructor(
    restore: ServerRestore,
    state: TargetState,
    ways: Ways,
    observer: SourceRestoreObserver,
    signal: AbortSignal | undefined,
  ) {
    this.#restore = restore
    this.#state = state
    this.#ways = ways
    this.#observer = observer
    this.#signal = signal
  }

  async run(): Promise<SourceRestoreResult> {
    const { snapshot, selection, survey, target } = this.#restore
    const { open } = target
    const { isWhole, safetyCopy, steps } = this.#ways
    const remaining = [...steps]
    const step = (): void => this.#observer.onStep(remaining.shift()!)
    if (safetyCopy !== undefined) {
      step()
      await keepSafetyCopy(transferred(open, this.#signal), safetyCopy, this.#signal)
      this.#facts['safety copy'] = safetyCopy
    }
    step()
    if (isWhole && (await this.#feed()) === 'fed') {
      this.#facts.way = 'as from a master'
      this.#facts.keys = String(survey.keys)
    } else await this.#writeKeys()
    using client = await open(this.#signal)
    await this.#awaitAppendOnly(client)
    step()
    const hasOthers = selection.isPartial && this.#state.keys + this.#state.libraries > 0
    const now = (): bigint => this.#now()
    const found = await verifyServer({
      content: () => transferred(open, this.#signal),
      snapshot,
      selection,
      survey,
      hasOthers,
      now,
      signal: this.#signal,
    })
    for (const { db, key, what } of found.differences)
      this.#report(
        `key ${keyText(key)} of database ${db}`,
        new HoldfastError('HF_RESTORE_FAILED', `${what} in ${client.server}`),
      )
    if (!found.hasFunctions)
      this.#report(
        'functions',
        new HoldfastError('HF_RESTORE_FAILED', `${client.server} has other libraries than the snapshot`),
      )
    return {
      files: 0,
      bytes: isWhole ? snapshot.bytes : survey.bytes,
      errors: this.#errors,
      facts: this.#facts,
    }
  }

  async #feed(): Promise<'fed' | 'unreachable'> {
    const { snapshot, target, patienceMs } = this.#restore
    const totalBytes = snapshot.bytes
    const outcome = await feedAsMaster({
      ...target,
      rdb: () => snapshot.rdb(this.#signal),
      bytes: totalBytes,
      onBytes: (bytes) => this.#observer.onProgress({ bytes, totalBytes }),
      signal: this.#signal,
      patienceMs,
    })
    if (outcome === 'unreachable')
      this.#observer.onWarning('the server cannot connect to this machine: keys are written one by one')
    return outcome
  }

  async #writeKeys(): Promise<void> {
    const { snapshot, selection, survey, overwrite } = this.#restore
    using client = await this.#restore.target.open(this.#signal)
    if (!selection.isPartial && overwrite && this.#state.keys + this.#state.libraries > 0) {
      await client.command('FLUSHALL')
      if (this.#state.libraries > 0) await client.command('FUNCTION', 'FLUSH')
    }
    const target = new KeyTarget({ client, server: this.#state.facts, format: survey.summary, replace: overwrite })
    const written = await writeKeys({
      targets: [target],
      targetOf: () => target,
      rdb: snapshot.rdb(this.#signal),
      selection,
      survey,
      now: this.#now(),
      observer: {
        onProgress: (progress) => this.#observer.onProgress(progress),
        onError: (item, error) => this.#report(item, error),
      },
      signal: this.#signal,
    })
    this.#facts.way = 'key by key'
    this.#facts.keys = String(written.keys)
    if (written.expired > 0) this.#facts['expired since'] = String(written.expired)
  }

  /** A server with an append-only file writes it anew when its data was replaced: only then would it come up with them again. */
  async #awaitAppendOnly(client: RedisClient): Promise<void> {
    for (;;) {
      const info = parseInfo(String(await client.command('INFO', 'persistence')))
      if (info.get('aof_enabled') !== '1') return
      if (info.get('aof_rewrite_in_progress') !== '1' && info.get('aof_rewrite_scheduled') !== '1') {
        const isWell = info.get('aof_last_bgrewrite_status') === 'ok' && info.get('aof_last_write_status') === 'ok'
        if (!isWell)
          this.#report(
            'append-only file',
            new HoldfastError(
              'HF_RESTORE_FAILED',
              `${client.server} could not write its append-only file: it would come up without the data`,
              {
                hint: 'look at its log and its disk, then: BGREWRITEAOF',
              },
            ),
          )
        return
      }
      await this.#restore.clock.sleep(POLL_MS, this.#signal)
    }
  }

  #now(): bigint {
    return this.#restore.clock.now() / NANOSECONDS_PER_MILLISECOND
  }

  #report(item: string, error: Error): void {
    this.#errors++
    this.#observer.onError(item, error)
  }
}
