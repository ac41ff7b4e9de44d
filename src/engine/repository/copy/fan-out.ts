import { availableParallelism } from 'node:os'
import type { Id } from '../../../lib/id.ts'
import { interruption } from '../../storage/interruption.ts'
import type { Repository } from '../repository.ts'
import type { StoredSnapshot } from '../snapshot.ts'
import type { PackSink } from '../write/pack-sink.ts'
import { PackFeed } from './pack-feed.ts'
import { PackSpool } from './pack-spool.ts'
import { type CopiedSnapshot, type NewPack, SnapshotCopier, type SnapshotCopyOptions } from './snapshot-copier.ts'

/** Packs a follower may be behind; those it is not told of any more it finds in the end. */
const PACKS_BEHIND = 4096
/** Threads that sleep while their packs cross a network. */
const MAX_REMOTE_THREADS = 5

export interface FanOutOptions {
  /** Where packs of a remote source are kept until all have them, and how much of them. */
  readonly spool: { readonly root: string; readonly capacityBytes: number }
  readonly signal?: AbortSignal | undefined
}

/** A repository that gets what another one gets. */
export interface FollowerTarget {
  readonly repository: Repository
  /** Aborted when its lock is lost. */
  readonly signal?: AbortSignal | undefined
}

/** Threads with which blobs are copied into a repository. */
export function copyThreads({ storage: { properties } }: Repository): number {
  const processors = availableParallelism()
  return properties.directory ? processors : Math.max(processors, Math.min(properties.connections, MAX_REMOTE_THREADS))
}

/**
 * Brings what a run stores in one repository into others while it is being made. The packs are read back where they were stored, when that is a
 * folder of this machine, which takes no memory and stalls nobody; otherwise from a spool of bounded size. One that fails does not stop the others.
 */
export class FanOut {
  /** For the run that writes the source. */
  readonly sink: PackSink
  readonly #followers: ReadonlyMap<FollowerTarget, Follower>
  readonly #spool: PackSpool | undefined
  readonly #signal: AbortSignal | undefined
  readonly #stop: () => void

  /** The indexes of all must be loaded. @throws system errors when there can be no spool */
  constructor(source: Repository, targets: readonly FollowerTarget[], { spool, signal }: FanOutOptions) {
    const isRemote = source.storage.properties.directory === undefined
    const kept = isRemote && targets.length > 0 ? new PackSpool(spool.root, spool.capacityBytes) : undefined
    this.#spool = kept
    this.#followers = new Map(targets.map((target) => [target, new Follower(source, target, kept, signal)]))
    this.#signal = signal
    this.#stop = () => kept?.stop()
    signal?.addEventListener('abort', this.#stop, { once: true })
    this.sink = {
      ...(kept === undefined
        ? {}
        : {
            keep: async (pack) => {
              if (this.#active().length > 0) await kept.keep(pack)
            },
          }),
      onStored: ({ pack, type, rows }) => {
        const active = this.#active()
        const isKept = kept?.handOut(pack, active.length) ?? false
        for (const follower of active) follower.take({ pack, type, rows, isKept })
      },
    }
  }

  /**
   * Copies what is left of `snapshots`, oldest first, and stores them.
   * @throws what kept this follower from being written, now or before
   */
  async finish(
    target: FollowerTarget,
    snapshots: readonly StoredSnapshot[],
    options: SnapshotCopyOptions,
  ): Promise<{ readonly copied: readonly CopiedSnapshot[]; readonly storedBytes: number }> {
    return await this.#followers.get(target)!.finish(snapshots, options)
  }

  /** After the source has failed: what was copied stays copied. Never fails. */
  async salvage(): Promise<void> {
    await Promise.all([...this.#followers.values()].map((follower) => follower.salvage()))
  }

  async close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#stop)
    await Promise.all([...this.#followers.values()].map((follower) => follower.close()))
    this.#spool?.close()
  }

  #active(): readonly Follower[] {
    return [...this.#followers.values()].filter(({ failure }) => failure === undefined)
  }
}

class Follower {
  failure: { readonly error: unknown } | undefined
  readonly #copier: SnapshotCopier
  readonly #feed = new PackFeed<NewPack>(PACKS_BEHIND)
  readonly #spool: PackSpool | undefined
  /** Packs in the spool that it has not released. */
  readonly #held = new Set<Id>()
  readonly #following: Promise<void>

  constructor(source: Repository, target: FollowerTarget, spool: PackSpool | undefined, signal?: AbortSignal) {
    const signals = [signal, target.signal].filter((one) => one !== undefined)
    this.#spool = spool
    this.#copier = new SnapshotCopier(source, target.repository, {
      threads: copyThreads(target.repository),
      kept: spool?.directory,
      onFailure: () => this.#feed.end(),
      signal: AbortSignal.any(signals),
    })
    this.#following = this.#copier
      .follow(this.#feed, (pack) => this.#release(pack))
      .catch((error: unknown) => {
        this.failure = { error: target.signal?.aborted ? interruption(target.signal) : error }
        for (const pack of this.#held) this.#release(pack)
      })
  }

  take(pack: NewPack): void {
    if (pack.isKept) this.#held.add(pack.pack)
    if (!this.#feed.push(pack)) this.#release(pack.pack)
  }

  async finish(
    snapshots: readonly StoredSnapshot[],
    options: SnapshotCopyOptions,
  ): Promise<{ readonly copied: readonly CopiedSnapshot[]; readonly storedBytes: number }> {
    await this.#settle()
    if (this.failure) throw this.failure.error
    const copied = await this.#copier.copy(snapshots, options)
    return { copied, storedBytes: this.#copier.storedBytes }
  }

  async salvage(): Promise<void> {
    await this.#settle()
    if (this.failure === undefined) await this.#copier.salvage().catch(() => undefined)
  }

  async close(): Promise<void> {
    this.#feed.end()
    await this.#copier.close()
    await this.#following
  }

  async #settle(): Promise<void> {
    this.#feed.end()
    await this.#following
  }

  #release(pack: Id): void {
    if (this.#held.delete(pack)) this.#spool?.release(pack)
  }
}
