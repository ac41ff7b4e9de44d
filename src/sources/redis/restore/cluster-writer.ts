import { systemClock } from '../../../lib/clock.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { SourceRestoreObserver } from '../../restore.ts'
import type { RedisClient } from '../client.ts'
import { SLOTS, type SlotRange, slotOf } from '../cluster/slots.ts'
import { keyCount } from '../plan-text.ts'
import type { ReplyError } from '../resp.ts'
import type { Selection } from '../selection.ts'
import { readFacts, type ServerFacts } from '../server.ts'
import type { Survey } from '../survey.ts'
import { KeyTarget } from './key-target.ts'
import { type WrittenKeys, writeKeys } from './key-writer.ts'
import type { Target } from './target.ts'

/** Keys that are written into the nodes of a cluster. */
export interface ClusterWriting {
  readonly nodes: readonly ClusterNode[]
  readonly openAt: Target['openAt']
  readonly rdb: () => AsyncIterable<Uint8Array>
  readonly selection: Selection
  readonly survey: Survey
  readonly replace: boolean
  /** Milliseconds since 1970: what has expired by then is left out. */
  readonly now: bigint
  readonly observer: Pick<SourceRestoreObserver, 'onError' | 'onProgress'>
  readonly signal?: AbortSignal | undefined
}

/** A master, as the restore was planned. */
export interface ClusterNode {
  readonly host: string
  readonly port: number
  readonly facts: ServerFacts
  readonly slots: readonly SlotRange[]
}

/** Where a slot is now, or is being moved to. */
interface Route {
  readonly host: string
  readonly port: number
  readonly isAsking: boolean
}

const MAX_PASSES = 8
const FIRST_PAUSE_MS = 100
/** Their places in the file are kept: 8 bytes each, more while they are looked up. */
const MAX_REDIRECTED = 1_000_000

/**
 * Writes keys into a cluster, each to the node that has its slot, all nodes at the same time. Keys of slots that turn out to be elsewhere, or on
 * their way, are written in further passes over the file: values are not held.
 *
 * @throws HoldfastError as `writeKeys`
 */
export async function writeToCluster(writing: ClusterWriting): Promise<WrittenKeys> {
  const connections = new Connections(writing)
  try {
    return await new ClusterWriter(writing, connections).write()
  } finally {
    connections.close()
  }
}

class ClusterWriter {
  readonly #writing: ClusterWriting
  readonly #connections: Connections
  readonly #routes = new Map<number, Route>()
  /** Where values begin that have been redirected. */
  #redirected: number[] = []

  constructor(writing: ClusterWriting, connections: Connections) {
    this.#writing = writing
    this.#connections = connections
  }

  async write(): Promise<WrittenKeys> {
    const { nodes, rdb, selection, observer, signal } = this.#writing
    const targets = await Promise.all(
      nodes.map(({ host, port, facts }) => this.#connections.targetAt({ host, port, isAsking: false }, facts)),
    )
    const owners = new Int16Array(SLOTS).fill(-1)
    for (const [i, { slots }] of nodes.entries()) for (const [start, end] of slots) owners.fill(i, start, end + 1)
    const first = await writeKeys({
      ...this.#common,
      targets,
      targetOf: ({ key }) => targets[owners[slotOf(key)]!],
      rdb: rdb(),
      selection,
    })
    let { keys, bytes, errors } = first
    for (let pass = 1; this.#redirected.length > 0; pass++) {
      const waiting = new Set(this.#redirected)
      if (pass === MAX_PASSES) {
        observer.onError(
          keyCount(waiting.size),
          new HoldfastError('HF_RESTORE_FAILED', 'the slots of these keys are moved again and again', {
            hint: 'run it again when the cluster has come to rest',
          }),
        )
        errors++
        break
      }
      await systemClock.sleep(FIRST_PAUSE_MS * 2 ** (pass - 1), signal)
      this.#redirected = []
      const routes = new Map<number, KeyTarget>()
      for (const [slot, route] of this.#routes) routes.set(slot, await this.#connections.targetAt(route))
      this.#routes.clear()
      const again = await writeKeys({
        ...this.#common,
        targets: [...new Set(routes.values())],
        targetOf: ({ key, start }) => (waiting.has(start) ? routes.get(slotOf(key)) : undefined),
        rdb: rdb(),
        selection: { ...selection, hasFunctions: false },
      })
      keys += again.keys
      bytes += again.bytes
      errors += again.errors
    }
    return { keys, bytes, expired: first.expired, errors }
  }

  get #common(): Pick<Parameters<typeof writeKeys>[0], 'survey' | 'now' | 'observer' | 'signal' | 'onRedirect'> {
    const { survey, now, observer, signal } = this.#writing
    return {
      survey,
      now,
      observer,
      signal,
      onRedirect: ({ start, key }, reply, { client }) => {
        this.#routes.set(slotOf(key), routeOf(reply, client))
        this.#redirected.push(start)
        if (this.#redirected.length > MAX_REDIRECTED)
          throw new HoldfastError(
            'HF_RESTORE_FAILED',
            `the slots of more than ${keyCount(MAX_REDIRECTED)} were moved`,
            {
              hint: 'run it again when the cluster has come to rest',
            },
          )
      },
    }
  }
}

/** `MOVED 3999 127.0.0.1:6381`, `ASK 3999 host:6381`; without a host it is that of the node that replies. */
function routeOf({ message }: ReplyError, { addresses, server }: RedisClient): Route {
  const found = /^(MOVED|ASK) \d+ (.*):(\d{1,5})$/.exec(message)
  const host = found?.[2] === '' || found?.[2] === '?' ? addresses?.remote : found?.[2]
  if (found === null || host === undefined)
    throw new HoldfastError(
      'HF_RESTORE_FAILED',
      `${server} sends keys elsewhere in words that are not known: ${message}`,
    )
  return { host, port: Number(found[3]), isAsking: found[1] === 'ASK' }
}

/** Connections to nodes, each opened once. */
class Connections {
  readonly #writing: ClusterWriting
  readonly #clients: RedisClient[] = []
  readonly #targets = new Map<string, KeyTarget>()

  constructor(writing: ClusterWriting) {
    this.#writing = writing
  }

  async targetAt({ host, port, isAsking }: Route, known?: ServerFacts): Promise<KeyTarget> {
    const name = `${host}:${port} ${isAsking}`
    const there = this.#targets.get(name)
    if (there !== undefined) return there
    const { openAt, replace, survey, signal } = this.#writing
    const client = await openAt({ host, port })(signal)
    this.#clients.push(client)
    const server = known ?? (await readFacts(client))
    const target = new KeyTarget({ client, server, format: survey.summary, replace, isAsking })
    this.#targets.set(name, target)
    return target
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }
}
