import { open, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { checkProtection, type KitProtection, makeKit } from '../../engine/keys/kit/make-kit.ts'
import { displayLocation } from '../../engine/storage/locations.ts'
import { HoldfastError, systemErrorCode } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type KeyExportOptions, keyExportDescription } from '../descriptions/key-export.ts'
import { readNewPassword } from '../password.ts'
import { resolveRepository, withRepository } from '../repository-session.ts'

export const keyExportCommand: Command<KeyExportOptions> = {
  ...keyExportDescription,
  async run(context, options) {
    const { output } = context
    const protection = await protectionOf(context, options)
    checkProtection(protection)
    const { location } = await resolveRepository(context)
    const locations = [completeLocation(location), ...options.locations].map(displayLocation)
    return await withRepository(context, { lock: 'append' }, async ({ repository }) => {
      const { kit, keyId, pages } = await makeKit(repository, locations, protection)
      const files: string[] = []
      try {
        for (const { fileName, text } of pages) {
          const path = join(options.output!, fileName)
          await writeNew(path, text)
          files.push(path)
        }
      } catch (error) {
        // Half a kit is no kit: neither its pages nor its key stay.
        for (const path of files) await rm(path, { force: true })
        await repository.storage.delete({ kind: 'key', name: keyId })
        throw error
      }
      if (output.json) output.message({ message_type: 'kit_made', kit, key_id: keyId, files })
      else {
        output.print(`recovery kit ${kit} with key ${shortId(keyId)}:`)
        for (const path of files) output.print(`  ${path}`)
        output.print('Print the pages, keep them apart from this machine, and remove the files.')
      }
      return 0
    })
  },
}

async function protectionOf(context: CommandContext, options: KeyExportOptions): Promise<KitProtection> {
  const { shares, needed, passphraseFile } = options
  if (shares !== undefined && needed !== undefined) return { total: shares, needed }
  return {
    passphrase: await readNewPassword(context, {
      newPasswordFile: passphraseFile,
      newInsecureNoPassword: false,
      user: undefined,
      host: undefined,
    }),
  }
}

/** A page may be read on another machine, in another folder. */
function completeLocation(location: string): string {
  const path = location.replace(/^local:/, '')
  return /^[a-z0-9]+:/.test(path) ? location : resolve(path)
}

/** @throws HoldfastError HF_TARGET_INVALID */
async function writeNew(path: string, text: string): Promise<void> {
  try {
    await using file = await open(path, 'wx', 0o600)
    await file.writeFile(text)
    await file.sync()
  } catch (cause) {
    throw new HoldfastError('HF_TARGET_INVALID', `${path} cannot be written: ${systemErrorCode(cause)}`, {
      cause,
      hint: 'name a folder that exists and can be written to',
    })
  }
}
