import { open, readFile } from 'node:fs/promises'
import { kitInvalid } from '../../engine/keys/kit/kit.ts'
import { type OpenedKit, openKit, type ReadPage, readPages } from '../../engine/keys/kit/read-kit.ts'
import { openRepository, type Repository } from '../../engine/repository/repository.ts'
import { loadSnapshots } from '../../engine/repository/snapshots.ts'
import { displayLocation } from '../../engine/storage/locations.ts'
import { HoldfastError, isHoldfastError, systemErrorCode } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { isLocationGiven, mainAccess, type ResolvedAccess } from '../access.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type KeyImportOptions, keyImportDescription } from '../descriptions/key-import.ts'
import { withPassword } from '../password.ts'
import { openStorageAt, repositoryOptions, resolveRepository } from '../repository-session.ts'

type Place = Pick<ResolvedAccess, 'location' | 'store'>

export const keyImportCommand: Command<KeyImportOptions> = {
  ...keyImportDescription,
  async run(context, options, paths) {
    const { output } = context
    const pages: ReadPage[] = []
    for (const path of paths) pages.push(...readPages(await readPage(path), path))
    const kit = await openKit(pages, () => askPassphrase(context, options.passphraseFile))
    for (const { source, what } of kit.rejected) output.warn(`Warning: ${source} is not as it was made: ${what}`)
    if (options.output !== undefined) {
      await writePassword(options.output, kit.password)
      output.remark(`the password is in ${options.output}`)
    }
    const { repository, location } = await openAnywhere(context, kit, await placesOf(context, kit))
    try {
      const snapshots = await loadSnapshots(repository, { signal: context.signal })
      if (output.json)
        output.message({
          message_type: 'kit_opened',
          kit: kit.facts.kit,
          repository_id: repository.config.id,
          location,
          snapshots: snapshots.length,
          rejected: kit.rejected,
        })
      else {
        output.print(
          `recovery kit ${kit.facts.kit} opens repository ${shortId(repository.config.id)} at ${location}: ${snapshots.length} snapshots`,
        )
      }
      return 0
    } finally {
      await repository.close()
    }
  },
}

async function readPage(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new HoldfastError('HF_USAGE', `${path} cannot be read: ${systemErrorCode(cause)}`, { cause })
  }
}

const askPassphrase = (context: CommandContext, file: string | undefined): Promise<string> =>
  withPassword(
    context,
    file === undefined ? { kind: 'prompt' } : { kind: 'file', path: file },
    'enter passphrase of the recovery kit: ',
    async (text) => text,
  )

/** The repository that was named, or the locations of the kit. */
async function placesOf(context: CommandContext, { facts }: OpenedKit): Promise<readonly Place[]> {
  const access = mainAccess(context.global)
  if (isLocationGiven(access)) return [await resolveRepository(context)]
  return facts.locations.map((location) => ({ location, store: {} }))
}

/** @throws HoldfastError HF_KIT_INVALID when a repository is another one; the first failure when none can be opened */
async function openAnywhere(
  context: CommandContext,
  { facts, password }: OpenedKit,
  places: readonly Place[],
): Promise<{ readonly repository: Repository; readonly location: string }> {
  let first: unknown
  for (const place of places) {
    const location = displayLocation(place.location)
    try {
      const storage = await openStorageAt(context, place)
      const credentials = { password, keyHint: facts.keyId }
      const repository = await openRepository(storage, credentials, repositoryOptions(context)).catch(
        async (error: unknown) => {
          await storage.close()
          throw error
        },
      )
      if (repository.config.id === facts.repository) return { repository, location }
      await repository.close()
      throw kitInvalid(`the repository at ${location} is not the one of the kit`, 'name the right one with -r')
    } catch (error) {
      if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
      if (places.length > 1) context.output.warn(`Warning: ${location}: ${error.message}`)
      first ??= error
    }
  }
  throw first ?? new HoldfastError('HF_USAGE', 'the kit names no location', { hint: 'name the repository with -r' })
}

/** @throws HoldfastError HF_TARGET_INVALID */
async function writePassword(path: string, password: string): Promise<void> {
  try {
    await using file = await open(path, 'wx', 0o600)
    await file.writeFile(`${password}\n`)
    await file.sync()
  } catch (cause) {
    throw new HoldfastError('HF_TARGET_INVALID', `${path} cannot be written: ${systemErrorCode(cause)}`, {
      cause,
      hint: 'name a file that is not there yet, in a folder that can be written to',
    })
  }
}
