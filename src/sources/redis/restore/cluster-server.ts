import { interruption } from '../../../engine/storage/interruption.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
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
import { parseRange, SLOTS, type SlotRange, slotOf } from '../cluster/slots.ts'
import { readShards, type Shard } from '../cluster/topology.ts'
import { allOrFirstError, clusterContent } from '../cluster/transfer.ts'
import { keyText } from '../key-text.ts'
import { keyCount, unfitFor } from '../plan-text.ts'
import type { Survey } from '../survey.ts'
import { writeToCluster } from './cluster-writer.ts'
import { type ExistingKeys, existingKeys, existingText } from './existing-keys.ts'
import { keepSafetyCopy, safetyCopyPath, transferred } from './safety-copy.ts'
import type { ServerRestore } from './server.ts'
import type { Target } from './target.ts'
import { contentOf, inspectTarget, type TargetState } from './target-state.ts'
import { verifyServer } from './verify-server.ts'

/** What is restored, into the cluster of the node that was named. */
export interface ClusterRestore
  extends Pick<ServerRestore, 'source' | 'snapshot' | 'selection' | 'survey' | 'overwrite' | 'clock'> {
  readonly target: Target
}

/** The master of a shard, as it is now. */
interface Node extends Shard {
  /** As messages name it. */
  readonly address: string
  readonly ranges: readonly SlotRange[]
  readonly state: TargetState
}

interface ClusterState {
  /** As messages name it. */
  readonly name: string
  readonly nodes: readonly Node[]
  readonly problems: readonly SourceProblem[]
}

const NANOSECONDS_PER_MILLISECOND = 1_000_000n
const MAX_NAMED = 20

/**
 * Plans a restore into a running cluster: key by key, each to the master that has its slot. Nodes of a cluster cannot be told to replicate
 * us, so there is no quicker way.
 *
 * @throws HoldfastError as `readShards`, when slots are being moved or a master has failed
 */
export async function planCluster(restore: ClusterRestore, signal?: AbortSignal): Promise<PlannedRestore> {
  const { selection, survey, overwrite, source, clock } = restore
  const state = await inspectCluster(restore, signal)
  const { name, nodes } = state
  const existing = selection.isPartial ? await existingIn(restore, nodes, signal) : undefined
  const overwrites =
    existing === undefined ? nodes.flatMap(({ state, address }) => contentOf(address, state)) : existingText(existing)
  const first = overwrites.length > 0 && overwrite ? safetyCopyPath(source, clock.now(), process.env) : undefined
  const copies = first === undefined ? [] : nodes.map((_, i) => first.replace(/\.rdb$/, `-shard-${i + 1}.rdb`))
  const masters = `${nodes.length} ${nodes.length === 1 ? 'master' : 'masters'} of ${name}`
  const remove = copies.length === 0 || selection.isPartial ? '' : 'remove everything from them and '
  const steps = [
    ...(copies.length === 0 ? [] : [`keep what each of the ${masters} has now, in ${copies.join(', ')}`]),
    `${remove}write ${keyCount(survey.keys)}, ${formatSize(survey.bytes)}, to ${masters} key by key, each where its slot is`,
    `compare what ${name} then has with the snapshot`,
  ]
  const plan: SourceRestorePlan = {
    steps,
    files: 0,
    bytes: survey.bytes,
    overwrites,
    problems: [...state.problems, ...unfitFor(survey, selection), ...placeProblems(name, overwrites, overwrite)],
    afterwards: [
      ...(copies.length === 0
        ? []
        : [
            'what was there before is in the files of the first step, one of each shard; remove them when they are no longer needed',
          ]),
      'the keys are on the disks of the nodes after their next save, or in their append-only files',
    ],
  }
  return {
    plan,
    execute: async (observer, executeSignal) => {
      refuseObstacles(plan.problems)
      try {
        await requireUnchanged(restore, state, executeSignal)
        return await new Execution(restore, state, { steps, copies }, observer, executeSignal).run()
      } catch (error) {
        // Connections that are ended by it fail in many ways.
        throw executeSignal?.aborted ? interruption(executeSignal) : error
      }
    },
  }
}

async function inspectCluster(
  { target, survey }: Pick<ClusterRestore, 'target' | 'survey'>,
  signal: AbortSignal | undefined,
): Promise<ClusterState> {
  using client = await target.open(signal)
  const name = `the cluster of ${client.server}`
  const shards = await readShards(client)
  const nodes = await allOrFirstError(
    shards.map(async (shard) => {
      const ranges = shard.slots.map((slot) => parseRange(slot)!)
      using node = await target.openAt(shard)(signal)
      const share = shareOf(survey, ranges)
      return {
        ...shard,
        address: node.server,
        ranges,
        state: await inspectTarget(node, survey, { isWhole: false, share }),
      }
    }),
  )
  const covered = nodes.flatMap(({ ranges }) => ranges).reduce((sum, [start, end]) => sum + end - start + 1, 0)
  const info = await client.text('CLUSTER', 'INFO')
  const problems = new Map(nodes.flatMap(({ state }) => state.problems).map((problem) => [problem.what, problem]))
  const refuse = (what: string): SourceProblem => ({
    severity: 'error',
    what,
    remedy: `redis-cli --cluster fix ${client.server.replace(/^redis /, '')}`,
  })
  return {
    name,
    nodes,
    problems: [
      ...(covered < SLOTS
        ? [refuse(`${SLOTS - covered} slots of ${name} are nobody's: their keys could not be written`)]
        : []),
      ...(info?.includes('cluster_state:fail')
        ? [refuse(`${name} does not work: CLUSTER INFO says cluster_state:fail`)]
        : []),
      ...problems.values(),
    ],
  }
}

/** How much of the data is in these slots. */
function shareOf({ slotBytes, bytes }: Survey, ranges: readonly SlotRange[]): number {
  let sum = 0
  for (const [start, end] of ranges) for (let slot = start; slot <= end; slot++) sum += slotBytes?.[slot] ?? 0
  return bytes === 0 ? 0 : sum / bytes
}

async function existingIn(
  { snapshot, selection, target }: ClusterRestore,
  nodes: readonly Node[],
  signal: AbortSignal | undefined,
): Promise<ExistingKeys> {
  const clients: RedisClient[] = []
  try {
    for (const node of nodes) clients.push(await target.openAt(node)(signal))
    const ownerOf = (key: Uint8Array): RedisClient => {
      const slot = slotOf(key)
      const i = nodes.findIndex(({ ranges }) => ranges.some(([start, end]) => slot >= start && slot <= end))
      // Of slots that are nobody's, which are a problem of their own, any node says that it has none.
      return clients[Math.max(0, i)]!
    }
    return await existingKeys(ownerOf, snapshot.rdb(signal), selection, MAX_NAMED)
  } finally {
    for (const client of clients) client.close()
  }
}

function* placeProblems(name: string, overwrites: readonly string[], overwrite: boolean): Generator<SourceProblem> {
  if (overwrites.length > 0 && !overwrite)
    yield {
      severity: 'error',
      what: `${name} has ${overwrites.slice(0, 3).join(', ')}${overwrites.length > 3 ? ' and more' : ''}`,
      remedy: 'restore into an empty cluster, or allow what is there to be replaced with --overwrite',
    }
}

const contents = ({ nodes }: ClusterState): number =>
  nodes.reduce((sum, { state }) => sum + state.keys + state.libraries, 0)

/** The cluster must have the shards that were planned with, each at its node, and still be as empty. */
async function requireUnchanged(
  restore: ClusterRestore,
  before: ClusterState,
  signal: AbortSignal | undefined,
): Promise<void> {
  const now = await inspectCluster(restore, signal)
  const places = ({ nodes }: ClusterState): string =>
    JSON.stringify(nodes.map(({ node, slots, state }) => [node, slots, state.facts.runId]))
  const changed =
    places(now) !== places(before)
      ? 'has other shards'
      : now.problems.some(({ severity }) => severity === 'error')
        ? 'is not as it was'
        : !restore.selection.isPartial && contents(before) === 0 && contents(now) > 0
          ? 'is no longer empty'
          : undefined
  if (changed !== undefined)
    throw new HoldfastError('HF_TARGET_INVALID', `${before.name} ${changed} since the restore was planned`, {
      hint: 'plan it again',
    })
}

class Execution {
  readonly #restore: ClusterRestore
  readonly #state: ClusterState
  readonly #steps: string[]
  readonly #copies: readonly string[]
  readonly #observer: SourceRestoreObserver
  readonly #signal: AbortSignal | undefined
  #errors = 0

  constructor(
    restore: ClusterRestore,
    state: ClusterState,
    { steps, copies }: { readonly steps: readonly string[]; readonly copies: readonly string[] },
    observer: SourceRestoreObserver,
    signal: AbortSignal | undefined,
  ) {
    this.#restore = restore
    this.#state = state
    this.#steps = [...steps]
    this.#copies = copies
    this.#observer = observer
    this.#signal = signal
  }

  async run(): Promise<SourceRestoreResult> {
    const { survey, target, selection, overwrite, snapshot } = this.#restore
    const { nodes } = this.#state
    const copies = this.#copies
    if (copies.length > 0) {
      this.#step()
      await allOrFirstError(
        nodes.map((node, i) =>
          keepSafetyCopy(transferred(target.openAt(node), this.#signal), copies[i]!, this.#signal),
        ),
      )
    }
    this.#step()
    if (!selection.isPartial && overwrite) await allOrFirstError(nodes.map((node) => this.#empty(node)))
    const written = await writeToCluster({
      nodes: nodes.map(({ host, port, ranges, state }) => ({ host, port, slots: ranges, facts: state.facts })),
      openAt: target.openAt,
      rdb: () => snapshot.rdb(this.#signal),
      selection,
      survey,
      replace: overwrite,
      now: this.#now(),
      observer: {
        onProgress: (progress) => this.#observer.onProgress(progress),
        onError: (item, error) => this.#report(item, error),
      },
      signal: this.#signal,
    })
    this.#step()
    await this.#compare()
    return {
      files: 0,
      bytes: written.bytes,
      errors: this.#errors,
      facts: {
        ...(copies.length > 0 ? { 'safety copies': copies.join(', ') } : {}),
        way: 'key by key',
        shards: String(nodes.length),
        keys: String(written.keys),
        ...(written.expired > 0 ? { 'expired since': String(written.expired) } : {}),
      },
    }
  }

  async #empty(node: Node): Promise<void> {
    if (node.state.keys + node.state.libraries === 0) return
    using client = await this.#restore.target.openAt(node)(this.#signal)
    await client.command('FLUSHALL')
    if (node.state.libraries > 0) await client.command('FUNCTION', 'FLUSH')
  }

  async #compare(): Promise<void> {
    const { snapshot, selection, survey, target } = this.#restore
    const { name } = this.#state
    try {
      const found = await verifyServer({
        content: () =>
          clusterContent(
            () => target.open(this.#signal),
            (address) => target.openAt(address)(this.#signal),
          ),
        snapshot,
        selection,
        survey,
        hasOthers: selection.isPartial && contents(this.#state) > 0,
        now: () => this.#now(),
        signal: this.#signal,
      })
      for (const { db, key, what } of found.differences)
        this.#report(
          `key ${keyText(key)} of database ${db}`,
          new HoldfastError('HF_RESTORE_FAILED', `${what} in ${name}`),
        )
      if (!found.hasFunctions)
        this.#report(
          'functions',
          new HoldfastError('HF_RESTORE_FAILED', `${name} has other libraries than the snapshot`),
        )
    } catch (error) {
      // What was written is there, and was not compared.
      if (!isHoldfastError(error) || error.code !== 'HF_SOURCE_CHANGED') throw error
      this.#report('comparison', error)
    }
  }

  #step(): void {
    this.#observer.onStep(this.#steps.shift()!)
  }

  #now(): bigint {
    return this.#restore.clock.now() / NANOSECONDS_PER_MILLISECOND
  }

  #report(item: string, error: Error): void {
    this.#errors++
    this.#observer.onError(item, error)
  }
}
