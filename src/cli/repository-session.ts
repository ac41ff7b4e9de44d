import { homedir } from 'node:os'
import { join } from 'node:path'
import { removeOldCaches } from '../engine/repository/cache-directory.ts'
import type { RepositoryLock } from '../engine/repository/held-lock.ts'
import { acquireLock } from '../engine/repository/lock.ts'
import { type LockFiles, repositoryLockFiles } from '../engine/repository/lock-files.ts'
import { noteLocks, removeNotedLeftovers } from '../engine/repository/lock-records.ts'
import { type OpenOptions, Repository } from '../engine/repository/repository.ts'
import { WriteGate, withCache, withDryRun, withListingsAhead, withWriteGate } from '../engine/storage/index.ts'
import { displayLocation, openStorage } from '../engine/storage/locations.ts'
import type { Storage } from '../engine/storage/storage.ts'
import { HoldfastError, isHoldfastError } from '../lib/errors.ts'
import { shortId } from '../lib/id.ts'
import type { Progress } from '../lib/progress.ts'
import {
  type AccessOptions,
  asksConfiguration,
  type ConfiguredAccess,
  isConfigured,
  mainAccess,
  type ResolvedAccess,
  resolveAccess,
} from './access.ts'
import type { CommandContext } from './context.ts'
import { createCounter } from './output/counter.ts'
import { openByAccess } from './repository-opening.ts'

/**
 * What a command needs the repository for: `read` (shared, and `--no-lock` does without), `append` (shared, adds files only), `exclusive`
 * (removes files), `none` for what may run beside everything (`unlock`) or must not write at all (a dry run).
 */
export type LockNeed = 'read' | 'append' | 'exclusive' | 'none'

export interface SessionOptions {
  readonly lock: LockNeed
  /**
   * Begin while it is not certain yet that nobody else took a lock at the same time. For what takes long, so that being stopped is nothing
   * out of the ordinary, and waits for `settled` before it says that it succeeded. Not for what removes.
   */
  readonly early?: boolean
  /** Another repository than the one of `--repo`. */
  readonly access?: AccessOptions | ConfiguredAccess
  /** Nothing is written: writes are dropped, and the lock is not taken. */
  readonly dryRun?: boolean
  /** Read everything from the storage itself, never from what is kept locally. */
  readonly withoutCache?: boolean
}

/** An open repository, locked as asked. */
export interface RepositorySession {
  readonly repository: Repository
  /** Aborted when the user stops the program or the lock is lost. Pass it to everything. */
  readonly signal: AbortSignal
  /** Resolves when the lock holds for sure, at once unless the session began early. Fails when it does not; `signal` is aborted then, too. */
  readonly settled: Promise<void>
}

/**
 * Opens the repository that options and environment name, takes the lock, runs `work`, gives the lock back. The index is not loaded.
 * @throws HoldfastError HF_REPO_NOT_FOUND, HF_KEY_WRONG_PASSWORD, HF_REPO_LOCKED, HF_LOCK_LOST, what `work` throws
 */
export async function withRepository<T>(
  context: CommandContext,
  options: SessionOptions,
  work: (session: RepositorySession) => Promise<T>,
): Promise<T> {
  const gate = new WriteGate()
  const repository = await openNamedRepository(context, options, gate)
  try {
    const needsLock = options.lock !== 'none' && !options.dryRun && !(options.lock === 'read' && context.global.noLock)
    if (!needsLock) return await work({ repository, signal: context.signal, settled: Promise.resolve() })
    await using lock = await acquireLock(await lockFilesOf(context, repository), {
      exclusive: options.lock === 'exclusive',
      early: options.early,
      freeze: () => gate.close(),
      retryMs: context.global.retryLockMs,
      clock: context.clock,
      signal: context.signal,
      onWait: (conflict) =>
        context.output.print(`${conflict.message}; waiting up to ${context.global.retryLockMs! / 1000} s`),
      onWarning: (problem) => context.output.warn(`Warning: ${problem.message}`),
    })
    lock.signal.addEventListener('abort', () => gate.shut(lock.signal.reason), { once: true })
    const doubt = new AbortController()
    const signal = AbortSignal.any([context.signal, lock.signal, doubt.signal])
    const settled = options.early ? settle(lock, repository, gate, signal) : Promise.resolve()
    // Waited for when the work is done; when that fails first, that is what there is to tell.
    settled.catch((error: unknown) => {
      doubt.abort(error)
      gate.shut(error)
    })
    const result = await work({ repository, signal, settled })
    await settled
    return result
  } finally {
    await repository.close()
  }
}

/** The lock files of a repository, noted on this machine, without those that a killed process of this machine has left. */
async function lockFilesOf(context: CommandContext, repository: Repository): Promise<LockFiles> {
  const files = repositoryLockFiles(repository)
  const cacheDirectory = cacheDirectoryOf(context)
  if (cacheDirectory === undefined) return files
  const folder = join(cacheDirectory, 'locks', repository.config.id)
  const { clock, signal } = context
  for (const id of await removeNotedLeftovers(files, folder, { clock, signal }))
    context.output.warn(`removed lock ${shortId(id)}, which a run on this machine left when it was killed`)
  return noteLocks(files, folder)
}

/** Keeps the gate closed until the lock holds for sure, and what was read meanwhile is still true. */
async function settle(
  lock: RepositoryLock,
  repository: Repository,
  gate: WriteGate,
  signal: AbortSignal,
): Promise<void> {
  const open = gate.close()
  await lock.certain
  await repository.requireIndexStays(signal)
  open()
}

/** The storage at a location, with the retries and limits that options name. */
export async function openStorageAt(
  context: CommandContext,
  { location, store }: Pick<ResolvedAccess, 'location' | 'store'>,
): Promise<Storage> {
  const { global, output } = context
  return await openStorage(location, {
    extended: global.extended.map(({ key, value }) => `${key}=${value}`),
    uploadBytesPerSecond: global.limitUploadBytesPerSecond,
    downloadBytesPerSecond: global.limitDownloadBytesPerSecond,
    environment: context.environment,
    settings: store,
    network: {
      caFiles: global.caCertificateFiles,
      clientCertificateFile: global.clientCertificateFile,
      isInsecure: global.insecureTls,
      userAgent: global.httpUserAgent,
      stuckRequestTimeoutMs: global.stuckRequestTimeoutMs,
    },
    clock: context.clock,
    onNotice: (text) => output.warn(text),
    onRetry: ({ error, delayMs }) =>
      output.warn(`${error.message}; trying again in ${Math.round(delayMs / 100) / 10} s`),
  })
}

/**
 * Where the repository is that a command line means, and what opens it: a location, or a name of the configuration, which is read only when
 * it has to be asked.
 * @throws HoldfastError HF_USAGE, HF_CONFIG_INVALID, HF_NOT_MOUNTED
 */
export async function resolveRepository(
  context: CommandContext,
  asked: AccessOptions | ConfiguredAccess = mainAccess(context.global),
): Promise<ResolvedAccess> {
  const { sources, environment } = context
  return await resolveAccess((await configuredAccess(context, asked)) ?? asked, sources, environment)
}

/** The configured repository that is meant; undefined when it is a location. */
export async function configuredAccess(
  context: CommandContext,
  asked: AccessOptions | ConfiguredAccess,
): Promise<ConfiguredAccess | undefined> {
  if (isConfigured(asked)) return asked
  if (!asksConfiguration(asked, context.sources)) return undefined
  const { findConfigured } = await import('./configured/named-repository.ts')
  return await findConfigured(context, asked)
}

async function openNamedRepository(
  context: CommandContext,
  options: SessionOptions,
  gate: WriteGate,
): Promise<Repository> {
  const { global, output } = context
  const access = await resolveRepository(context, options.access)
  const remote = await openStorageAt(context, access)
  if (options.lock === 'append' && !options.dryRun) await requirePlace(context, access, remote)
  const isFar = remote.properties.directory === undefined
  // Of what began early it is looked at in the end whether what was listed is still there, and whether there is another lock beside ours.
  const listed = isFar && options.early ? withListingsAhead(remote, ['snapshot', 'index', 'lock']) : remote
  const storage = options.dryRun ? withDryRun(listed) : withWriteGate(listed, gate)
  const cacheDirectory = options.withoutCache ? undefined : cacheDirectoryOf(context)
  const settings = { ...repositoryOptions(context), cacheDirectory }
  const repository = await openByAccess(context, access, storage, settings).catch(async (error: unknown) => {
    await storage.close()
    throw namingRepository(error, access)
  })
  const level = repository.config.version > 1 ? `, compression level ${global.compression}` : ''
  output.remark(`repository ${shortId(repository.config.id)} opened (version ${repository.config.version}${level})`)
  if (cacheDirectory !== undefined && global.cleanupCache) await cleanUpCaches(context, cacheDirectory)
  if (cacheDirectory === undefined || storage.properties.directory) return repository
  const cached = withCache(storage, { cacheDirectory, repositoryId: repository.config.id, clock: context.clock })
  return new Repository(cached, repository.config, repository.masterKey, repository.keyId, settings)
}

/** A command may open several repositories of the configuration: whose password is wrong has to be said. */
function namingRepository(error: unknown, { what, location }: ResolvedAccess): unknown {
  if (!isHoldfastError(error, 'HF_KEY_WRONG_PASSWORD') || !what.startsWith('repository ')) return error
  const { code, message, hint, context } = error
  return new HoldfastError(code, `${message}, for ${what} at ${displayLocation(location)}`, {
    ...(hint === undefined ? {} : { hint }),
    context,
    cause: error,
  })
}

/** Before the first byte is written there. @throws HoldfastError HF_LOCATION_FORBIDDEN */
async function requirePlace(
  { output, signal }: CommandContext,
  { what, mustLieIn }: ResolvedAccess,
  storage: Storage,
): Promise<void> {
  if (mustLieIn === undefined) return
  try {
    const { requireLocation } = await import('../control/location.ts')
    const unknown = await requireLocation(what, mustLieIn, storage, signal)
    if (unknown !== undefined) output.detail(`${what} is taken to lie in ${mustLieIn}: ${unknown}`)
  } catch (error) {
    await storage.close()
    throw error
  }
}

async function cleanUpCaches({ output, clock }: CommandContext, cacheDirectory: string): Promise<void> {
  const removed = await removeOldCaches(cacheDirectory, {
    clock,
    onFailure: ({ path }, error) => output.warn(`Warning: unable to remove ${path}: ${error.message}`),
  })
  if (removed.length > 0) output.detail(`removed ${removed.length} old cache directories`)
}

/** The options every repository is opened or made with. */
export function repositoryOptions({ global, clock, signal }: CommandContext): OpenOptions {
  return {
    compression: global.compression,
    packBytes: global.packSizeBytes,
    extraVerify: global.noExtraVerify ? 'off' : 'compare',
    clock,
    signal,
  }
}

/** Where parts of repositories are kept between runs; undefined with `--no-cache`. */
export function cacheDirectoryOf({ global, environment }: CommandContext): string | undefined {
  if (global.noCache) return undefined
  if (global.cacheDirectory !== undefined) return global.cacheDirectory
  const base = environment.XDG_CACHE_HOME || (homedir() ? join(homedir(), '.cache') : undefined)
  return base === undefined ? undefined : join(base, 'holdfast')
}

/** Progress of engine operations as counters, messages and warnings of the command line. */
export function progressOf(context: CommandContext): Progress {
  const { output } = context
  return {
    step: (name, total, kind) => {
      const counter = createCounter(context, name, { terminalOnly: kind === 'brief' })
      if (total !== undefined) counter.setTotal(total)
      return { add: (count = 1) => counter.add(count), done: () => counter.done() }
    },
    note: (message, level) => (level === 'detail' ? output.detail(message) : output.print(message)),
    warn: (message) => output.warn(message),
  }
}
