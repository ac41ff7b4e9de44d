import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { replaceRepositoryUrl } from '../config/replace-url.ts'
import {
  copyAll,
  removeRemains,
  removeReplaced,
  requireAllSnapshots,
  requireSuccessor,
} from '../engine/keys/replace-repository.ts'
import { checkRepository } from '../engine/repository/check/check.ts'
import type { RepositoryConfig } from '../engine/repository/config.ts'
import { initRepository } from '../engine/repository/repository.ts'
import { displayLocation } from '../engine/storage/locations.ts'
import { HoldfastError, isHoldfastError } from '../lib/errors.ts'
import { shortId } from '../lib/id.ts'
import { type AccessOptions, type ConfiguredAccess, isConfigured, mainAccess } from './access.ts'
import type { CommandContext } from './context.ts'
import { printFinding } from './output/check-report.ts'
import { readFirstPassword } from './password.ts'
import { firstSealedPassword } from './repository-opening.ts'
import {
  configuredAccess,
  openStorageAt,
  progressOf,
  repositoryOptions,
  resolveRepository,
  withRepository,
} from './repository-session.ts'

type Access = ConfiguredAccess | AccessOptions

/**
 * Copies a repository into a new one at `to`, which has a master key of its own, checks every byte of that, and tells what to do next, or writes
 * the new url into the configuration. The old repository stays. Cut off anywhere, the next call goes on.
 *
 * @throws HoldfastError HF_USAGE for a place that holds another repository, HF_DATA_DAMAGED when the new one is not whole; what opening and
 *   copying throws
 */
export async function rotateMaster(
  context: CommandContext,
  { to, write }: { readonly to: string; readonly write: boolean },
): Promise<void> {
  const access = await accessOfOld(context)
  const configuration = write ? await fileToWrite(context, access) : undefined
  const destination = at(access, to)
  const { location } = await resolveRepository(context, access)
  const { snapshots, id } = await withRepository(context, { lock: 'read', access }, async (old) => {
    await makeOnce(context, destination, old.repository.config)
    return await withRepository(context, { lock: 'append', access: destination }, async (next) => {
      requireSuccessor(old.repository, next.repository)
      const signal = AbortSignal.any([old.signal, next.signal])
      await copyAll(old.repository, next.repository, {
        threads: availableParallelism(),
        progress: progressOf(context),
        observer: {
          onSaved: ({ source, copy }) => context.output.detail(`${shortId(source.id)} is ${shortId(copy.id)} there`),
        },
        signal,
      })
      // Somebody may have made a snapshot in the old one meanwhile.
      return {
        snapshots: await requireAllSnapshots(old.repository, next.repository, signal),
        id: next.repository.config.id,
      }
    })
  })
  await verifyNew(context, destination)
  if (configuration !== undefined) await replaceRepositoryUrl(configuration.file, configuration.name, to)
  tellNext(context, { snapshots, id, from: location, to, configuration, access })
}

/**
 * Removes the repository at `from`, once every snapshot of it is in the one of the configuration, or of -r.
 * @throws HoldfastError HF_INCOMPLETE when it is not; HF_USAGE when the two are one
 */
export async function finishMaster(context: CommandContext, { from }: { readonly from: string }): Promise<void> {
  const access = await accessOfOld(context)
  const old = at(access, from)
  const shown = displayLocation(from)
  const removed = await withRepository(context, { lock: 'read', access }, async (next) => {
    try {
      return await withRepository(
        context,
        { lock: 'exclusive', access: old, withoutCache: true },
        ({ repository, signal }) =>
          removeReplaced(repository, next.repository, {
            progress: progressOf(context),
            signal: AbortSignal.any([signal, next.signal]),
          }),
      )
    } catch (error) {
      // Keys or config are gone: an earlier call was cut off in its last steps, or this is nothing of ours.
      if (!isHoldfastError(error, 'HF_KEY_INVALID', 'HF_KEY_UNAVAILABLE', 'HF_REPO_NOT_FOUND')) throw error
      const storage = await openStorageAt(context, await resolveRepository(context, old))
      const { directory } = storage.properties
      try {
        // Of a folder its own folders stay, so that where there is none it is the name that is wrong.
        if (directory !== undefined && !existsSync(directory.path)) throw error
        const files = await removeRemains(storage, context.signal)
        if (files === undefined) throw error
        return files
      } finally {
        await storage.close()
      }
    }
  })
  const { output } = context
  if (output.json) output.message({ message_type: 'repository_removed', location: shown, files: removed })
  else if (removed === 0) output.print(`nothing is left of a repository at ${shown}`)
  else output.print(`removed the old repository at ${shown}: ${removed} files`)
}

const accessOfOld = async (context: CommandContext): Promise<Access> => {
  const access = mainAccess(context.global)
  const configured = await configuredAccess(context, access)
  if (configured !== undefined) return configured
  if (access.repositoryFile)
    throw new HoldfastError('HF_USAGE', 'this works on a configured repository, or one that -r names', {
      hint: 'give -r in place of --repository-file',
    })
  return access
}

/** The same way of opening, at another place. */
const at = (access: Access, location: string): Access =>
  isConfigured(access) ? { ...access, url: location } : { ...access, repo: location }

/** Makes the new repository unless an earlier call has, which is then used. */
async function makeOnce(
  context: CommandContext,
  destination: Access,
  { version, chunkerPolynomial }: RepositoryConfig,
): Promise<void> {
  const { password, keys, ...place } = await resolveRepository(context, destination)
  const storage = await openStorageAt(context, place)
  try {
    const isThere = await storage.stat({ kind: 'config' }, { signal: context.signal }).then(
      () => true,
      (error: unknown) => {
        if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) return false
        throw error
      },
    )
    if (isThere) return
    const typed = password && (await readFirstPassword(context, password))
    const sealed = keys && (await firstSealedPassword(context, keys, typed, storage))
    await initRepository(
      storage,
      { password: sealed?.password ?? typed! },
      { ...repositoryOptions(context), version, chunkerPolynomial, seal: sealed?.seal },
    )
  } finally {
    await storage.close()
  }
}

/** Reads everything of the new repository. @throws HoldfastError HF_DATA_DAMAGED */
async function verifyNew(context: CommandContext, access: Access): Promise<void> {
  const session = { lock: 'exclusive', access, withoutCache: true } as const
  const { errors } = await withRepository(context, session, ({ repository, signal }) =>
    checkRepository(repository, {
      read: { kind: 'all' },
      onFinding: (finding) => printFinding(context.output, finding),
      progress: progressOf(context),
      signal,
    }),
  )
  if (errors === 0) return
  throw new HoldfastError('HF_DATA_DAMAGED', 'the new repository contains errors; nothing was changed', {
    hint: 'remove it, test the storage, and run this again; the old repository is as it was',
  })
}

interface ToWrite {
  readonly file: string
  readonly name: string
}

/** @throws HoldfastError HF_USAGE when there is no file to write to */
async function fileToWrite(context: CommandContext, access: Access): Promise<ToWrite> {
  const { loadConfigured } = await import('./configured/load.ts')
  const file = isConfigured(access) ? (await loadConfigured(context)).configuration.file : undefined
  if (!isConfigured(access) || file === undefined)
    throw new HoldfastError('HF_USAGE', '--write needs a repository of a configuration file', {
      hint: 'leave it out, and use the new location from then on',
    })
  return { file, name: access.name }
}

interface Told {
  readonly snapshots: number
  readonly id: string
  readonly from: string
  readonly to: string
  readonly configuration: ToWrite | undefined
  readonly access: Access
}

function tellNext({ output }: CommandContext, { snapshots, id, from, to, configuration, access }: Told): void {
  const [old, next] = [displayLocation(from), displayLocation(to)]
  if (output.json) {
    const written = configuration?.file ?? null
    output.message({
      message_type: 'master_key_rotated',
      repository_id: id,
      snapshots,
      old_location: old,
      location: next,
      written,
    })
    return
  }
  output.print(`all ${snapshots} snapshots are in repository ${shortId(id)} at ${next}, and all of it was read`)
  if (configuration !== undefined)
    output.print(`wrote its url to repository ${configuration.name} in ${configuration.file}`)
  else if (isConfigured(access))
    output.print(`next, write it to the configuration: the url of repository ${access.name} is to be ${next}`)
  else output.print(`next, use -r ${next}`)
  output.print('Recovery kits of the old repository do not open the new one: make others with "holdfast key export".')
  output.print(`When nothing uses the old one any more, remove it: holdfast key rotate --finish --from ${old}`)
}
