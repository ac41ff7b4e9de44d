import { chmodSync, chownSync, closeSync, constants, fsyncSync, mkdirSync, readFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openDirectoryAt } from '../../../engine/posix/at.ts'
import type { DirectoryAt } from '../../../engine/posix/directory-at.ts'
import { syncPath, syncTree } from '../../../engine/posix/sync-tree.ts'
import { permissionBits } from '../../../engine/repository/tree/mode.ts'
import { executeRestore, type Owner, type RestorePlan, RestoreThreads } from '../../../engine/restore/index.ts'
import { removeTree } from '../../../engine/restore/threads/entry-writer.ts'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import {
  type PlannedRestore,
  type RestoreJob,
  refuseObstacles,
  type SourceRestoreObserver,
  type SourceRestorePlan,
  type SourceRestoreResult,
} from '../../restore.ts'
import { CONTROL_FILE } from '../control-file.ts'
import { ALLOW_FOLDERS, AUTO_CONF } from '../data-layout.ts'
import { inspectDataDirectory, listed } from './data-directory.ts'
import { removeIfThere, removeMarker, writeMarker } from './restore-marker.ts'
import { type ClusterPlan, planCluster, planControlFile, type TablespacePlan } from './restore-plan.ts'
import { snapshotProblems } from './restore-problems.ts'
import { describePlan } from './restore-text.ts'

const OWNER_ONLY = 0o700

export interface ClusterRestoreOptions {
  /** Whom everything is given to, whatever is found. */
  readonly owner?: Owner | undefined
  /** Whether everything is on the disk in the end; a throw-away copy need not be. Default: yes. */
  readonly durable?: boolean
}

/**
 * Thinks the restore of a physical snapshot through. What is carried out then leaves, wherever it is cut off, either the target as it was or
 * a data directory no server starts on: its control file is removed first and written last.
 *
 * @param source the configured name, for snapshots that do not say theirs
 * @throws HoldfastError HF_TARGET_INVALID, HF_USAGE, HF_DATA_DAMAGED; whatever reading the repository throws. `execute` throws HF_DATA_DAMAGED
 *   when it is the snapshot that nothing can be restored from, HF_TARGET_INVALID when something else is in the way
 */
export async function planClusterRestore(
  source: string,
  job: RestoreJob,
  options: ClusterRestoreOptions = {},
): Promise<PlannedRestore> {
  const cluster = await planCluster(source, job, options.owner)
  const plan = describePlan(cluster)
  return {
    plan,
    execute: async (observer, signal = job.signal) => {
      checkAgain(cluster, plan)
      return await new ClusterRestore(cluster, plan, observer, signal, options.durable ?? true).run()
    },
  }
}

function checkAgain(cluster: ClusterPlan, { problems }: SourceRestorePlan): void {
  const { target, spaces, job } = cluster
  const damage = [...snapshotProblems(cluster)].find(({ severity }) => severity === 'error')
  if (damage !== undefined)
    throw new HoldfastError('HF_DATA_DAMAGED', damage.what, { hint: damage.remedy ?? 'see the plan' })
  refuseObstacles(problems)
  const now = inspectDataDirectory(job.target.kind === 'directory' ? job.target.path : target.path)
  const changed = JSON.stringify(now) !== JSON.stringify(target) ? target.path : undefined
  const filled = spaces.mapped.find(({ path, isThere }) => listed(path).length > 0 !== isThere)
  const where = changed ?? filled?.path
  if (where === undefined) return
  throw new HoldfastError('HF_TARGET_INVALID', now.running ?? `${where} has changed since the restore was planned`, {
    hint: 'plan it anew, and see to it that nobody else works there',
  })
}

/** One restore as it is carried out. */
class ClusterRestore {
  readonly #cluster: ClusterPlan
  readonly #plan: SourceRestorePlan
  readonly #observer: SourceRestoreObserver
  readonly #signal: AbortSignal | undefined
  readonly #durable: boolean
  readonly #threads: RestoreThreads
  readonly #totalBytes: number
  #files = 0
  #bytes = 0
  #presentBytes = 0
  #errors = 0

  constructor(
    cluster: ClusterPlan,
    plan: SourceRestorePlan,
    observer: SourceRestoreObserver,
    signal: AbortSignal | undefined,
    durable: boolean,
  ) {
    this.#cluster = cluster
    this.#plan = plan
    this.#observer = observer
    this.#signal = signal
    this.#durable = durable
    this.#threads = cluster.job.threads?.() ?? new RestoreThreads()
    this.#totalBytes = plan.bytes
  }

  async run(): Promise<SourceRestoreResult> {
    const { target, mapped, main, snapshot } = this.#cluster
    const steps = this.#plan.steps.values()
    try {
      this.#step(steps)
      this.#begin()
      await this.#restore(main)
      for (const space of mapped) {
        this.#step(steps)
        await this.#restore(space.plan)
      }
      if (this.#errors > 0)
        return this.#result('incomplete: global/pg_control is held back, so that no server starts on it')
      if (mapped.length > 0 && this.#cluster.spaces.inPlace.length === 0) this.#withdrawLine()
      this.#step(steps)
      await this.#sync([target.path, ...mapped.map(({ place }) => place.path)])
      this.#step(steps)
      await this.#restore(await planControlFile(this.#cluster))
      if (this.#errors > 0) return this.#result('incomplete: global/pg_control could not be written')
      await this.#sync([join(target.path, 'global')])
      using directory = openDirectoryAt(Buffer.from(target.path))
      removeMarker(directory)
      chmodSync(target.path, permissionBits(snapshot.dataNode.mode))
      if (this.#durable) await syncPath(target.path)
      return this.#result('whole')
    } finally {
      if (this.#cluster.job.threads === undefined) await this.#threads.close()
    }
  }

  /** From here on, until all is done, there is no control file. */
  #begin(): void {
    const { target, snapshot, owner, mapped } = this.#cluster
    makeFolder(target.path, owner)
    using directory = openDirectoryAt(Buffer.from(target.path))
    writeMarker(directory, {
      format: 1,
      source: snapshot.source,
      snapshot: this.#cluster.job.snapshot.id,
      systemId: snapshot.manifest.server.systemId,
      tablespaces: Object.fromEntries(mapped.map(({ place: { tablespace, path } }) => [String(tablespace.oid), path])),
    })
    const global = openIfThere(directory, 'global')
    if (global !== undefined) {
      using folder = global
      removeIfThere(folder, CONTROL_FILE.slice('global/'.length))
      fsyncSync(folder.fd)
    }
    if (mapped.length > 0) this.#link(directory, mapped)
  }

  /** Makes the folders of mapped tablespaces and the links to them. */
  #link(directory: DirectoryAt, mapped: readonly TablespacePlan[]): void {
    const { owner } = this.#cluster
    makeDirectoryAt(directory, 'pg_tblspc')
    using links = directory.openDirectory(Buffer.from('pg_tblspc'))
    for (const {
      place: { tablespace, path },
    } of mapped) {
      makeFolder(path, owner)
      const name = Buffer.from(String(tablespace.oid))
      const found = [...links.entries()].find((entry) => Buffer.from(entry.name).equals(name))
      if (found?.attributes?.type === 'dir') removeTree(links, name)
      else if (found !== undefined) links.removeFile(name)
      links.makeSymlink(name, Buffer.from(path))
      if (owner !== undefined) links.chown(name, owner.uid, owner.gid)
    }
  }

  async #restore(plan: RestorePlan): Promise<void> {
    const before = { bytes: this.#bytes, files: this.#files }
    const observer = {
      onError: (item: string, error: Error) => {
        this.#errors++
        this.#observer.onError(item, error)
      },
      onWarning: (message: string) => this.#observer.onWarning(message),
      onProgress: ({ bytes }: { readonly bytes: number }) => {
        this.#bytes = before.bytes + bytes - plan.totals.presentBytes
        this.#observer.onProgress({ bytes: Math.min(this.#bytes, this.#totalBytes), totalBytes: this.#totalBytes })
      },
    }
    const { progress } = await executeRestore(
      this.#cluster.job.repository,
      plan,
      { observer, durable: this.#durable, signal: this.#signal },
      this.#threads,
    )
    this.#files = before.files + progress.files
    this.#bytes = before.bytes + progress.bytes - plan.totals.presentBytes
    this.#presentBytes += plan.totals.presentBytes + plan.totals.skippedBytes
  }

  /** The snapshot's own line about folders in `pg_tblspc`, which the server need not allow when all are links. */
  #withdrawLine(): void {
    const path = join(this.#cluster.target.path, AUTO_CONF)
    const line = Buffer.from(`${ALLOW_FOLDERS}\n`)
    using directory = openDirectoryAt(Buffer.from(this.#cluster.target.path))
    let text: Buffer
    try {
      text = readFileSync(path)
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return
      throw error
    }
    if (!text.subarray(-line.length).equals(line)) return
    const fd = directory.openFile(Buffer.from(AUTO_CONF), constants.O_WRONLY | constants.O_TRUNC, 0)
    try {
      for (let done = 0, end = text.length - line.length; done < end; ) done += writeSync(fd, text, done, end - done)
    } finally {
      closeSync(fd)
    }
  }

  async #sync(paths: readonly string[]): Promise<void> {
    if (!this.#durable) return
    for (const path of paths) await syncTree(path, this.#signal)
  }

  #step(steps: Iterator<string>): void {
    const { value } = steps.next()
    if (value !== undefined) this.#observer.onStep(value)
  }

  #result(state: string): SourceRestoreResult {
    const { manifest } = this.#cluster.snapshot
    return {
      files: this.#files,
      bytes: this.#bytes,
      errors: this.#errors,
      facts: {
        state,
        server: `PostgreSQL ${manifest.server.version}`,
        'system id': manifest.server.systemId,
        'consistent at': manifest.end.lsn,
        ...(this.#presentBytes > 0 ? { 'there already': formatSize(this.#presentBytes) } : {}),
      },
    }
  }
}

/** Makes a folder and those above it, and gives it to the owner of what will be in it. Links on the way are the caller's own. */
function makeFolder(path: string, owner: Owner | undefined): void {
  try {
    // Whom it will belong to has to reach it, so those above it are as open as usual.
    mkdirSync(dirname(path), { recursive: true })
    const isNew = mkdirSync(path, { recursive: true, mode: OWNER_ONLY }) !== undefined
    if (owner !== undefined && process.getuid?.() === 0) chownSync(path, owner.uid, owner.gid)
    if (isNew) chmodSync(path, OWNER_ONLY)
  } catch (cause) {
    throw new HoldfastError('HF_TARGET_INVALID', `${path} cannot be restored to: ${(cause as Error).message}`, {
      cause,
      hint: 'name a folder that you may write to, or one that does not exist yet',
    })
  }
}

function makeDirectoryAt(parent: DirectoryAt, name: string): void {
  try {
    parent.makeDirectory(Buffer.from(name), OWNER_ONLY)
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
    if (parent.lstat(Buffer.from(name)).type === 'dir') return
    parent.removeFile(Buffer.from(name))
    parent.makeDirectory(Buffer.from(name), OWNER_ONLY)
  }
}

function openIfThere(parent: DirectoryAt, name: string): DirectoryAt | undefined {
  try {
    return parent.openDirectory(Buffer.from(name))
  } catch (error) {
    // A link or a file in its place is replaced by the restore, whatever it leads to.
    const code = systemErrorCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined
    throw error
  }
}
