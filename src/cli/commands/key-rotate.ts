import { openBySealed } from '../../engine/keys/open-sealed.ts'
import type { PasswordKey } from '../../engine/keys/password-key.ts'
import { type Rotation, rotateKey, rotatePassword } from '../../engine/keys/rotate-key.ts'
import { newPassword } from '../../engine/keys/seal-password.ts'
import { loadKeyFile } from '../../engine/repository/key-management.ts'
import { openKeyFile } from '../../engine/repository/keys.ts'
import { openRepository, type Repository } from '../../engine/repository/repository.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { type ConfiguredAccess, mainAccess } from '../access.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type KeyRotateOptions, keyRotateDescription } from '../descriptions/key-rotate.ts'
import { readNewPassword } from '../password.ts'
import { configuredAccess, openStorageAt, resolveRepository, withRepository } from '../repository-session.ts'

export const keyRotateCommand: Command<KeyRotateOptions> = {
  ...keyRotateDescription,
  async run(context, options) {
    const { to, from, write } = options
    if (to !== undefined || from !== undefined) {
      const { finishMaster, rotateMaster } = await import('../key-master.ts')
      if (to !== undefined) await rotateMaster(context, { to, write })
      else if (from !== undefined) await finishMaster(context, { from })
      return 0
    }
    const configured = await configuredAccess(context, mainAccess(context.global))
    if (configured?.keys !== undefined) {
      if (options.newPasswordFile !== undefined)
        throw new HoldfastError('HF_USAGE', '--new-password-file is for repositories without configured keys', {
          hint: 'leave it out: the password is sealed for the keys',
        })
      tell(context, await rotateSealed(context, configured))
      return 0
    }
    const password = await readNewPassword(context, {
      newPasswordFile: options.newPasswordFile,
      newInsecureNoPassword: false,
      user: undefined,
      host: undefined,
    })
    tell(context, await rotateTyped(context, password))
    return 0
  },
}

async function rotateSealed(context: CommandContext, configured: ConfiguredAccess): Promise<Rotation> {
  const keys = await configured.keys!.load()
  return await withRepository(context, { lock: 'exclusive', access: configured }, async ({ repository, signal }) => {
    const password = await passwordToSeal(repository, keys, configured, signal)
    return await rotateKey(repository, keys, password, { signal })
  })
}

/** The one the configuration names, else the one that is sealed in the key file which opened the repository, else a new one. */
async function passwordToSeal(
  repository: Repository,
  keys: readonly PasswordKey[],
  { readPassword }: ConfiguredAccess,
  signal: AbortSignal,
): Promise<string> {
  if (readPassword !== undefined) return await readPassword()
  const { storage, keyId } = repository
  const file = await loadKeyFile(storage, keyId, signal)
  try {
    const { password } = await openBySealed(
      storage,
      keys,
      async (candidate) => {
        if ((await openKeyFile(file, candidate, keyId)) !== undefined) return
        throw new HoldfastError('HF_KEY_WRONG_PASSWORD', 'it is sealed for another key file')
      },
      signal,
    )
    return password
  } catch (error) {
    if (isHoldfastError(error, 'HF_KEY_UNAVAILABLE')) return newPassword()
    throw error
  }
}

async function rotateTyped(context: CommandContext, password: string): Promise<Rotation> {
  try {
    return await withRepository(context, { lock: 'exclusive' }, ({ repository, signal }) =>
      rotatePassword(repository, password, { signal }),
    )
  } catch (error) {
    if (!isHoldfastError(error, 'HF_KEY_WRONG_PASSWORD')) throw error
    const opened = await openedBy(context, password)
    if (opened === undefined) throw error
    return { id: opened, removed: [], isResumed: true }
  }
}

/** The key file that the new password opens: then an earlier run was cut off after its last step, and the old password is gone. */
async function openedBy(context: CommandContext, password: string): Promise<string | undefined> {
  const storage = await openStorageAt(context, await resolveRepository(context))
  try {
    return (await openRepository(storage, { password }, { signal: context.signal })).keyId
  } catch (error) {
    if (isHoldfastError(error, 'HF_KEY_WRONG_PASSWORD')) return undefined
    throw error
  } finally {
    await storage.close()
  }
}

function tell({ output }: CommandContext, { id, removed, isResumed }: Rotation): void {
  if (output.json) output.message({ message_type: 'key_rotated', id, removed, resumed: isResumed })
  else {
    if (isResumed) output.print('finished the rotation that was begun before')
    output.print(
      `key ${shortId(id)} opens the repository${removed.length === 0 ? '' : `; removed ${removed.map(shortId).join(', ')}`}`,
    )
  }
}
