import { toHex } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { localTimestamp } from '../../../lib/go-time.ts'
import type { Id } from '../../../lib/id.ts'
import { randomBytes } from '../../../lib/random.ts'
import { addKey } from '../../repository/key-management.ts'
import type { NewKeyOptions } from '../../repository/keys.ts'
import type { Repository } from '../../repository/repository.ts'
import { MAX_SHARES, SECRET_BYTES } from './kit.ts'
import { type KitPage, passphrasePage, sharePages } from './kit-pages.ts'
import { openKit, readPages } from './read-kit.ts'

/** How a kit is protected. */
export type KitProtection =
  | { readonly passphrase: string }
  /** Any `needed` of `total` pages open it. */
  | { readonly total: number; readonly needed: number }

export interface MadeKit {
  readonly kit: string
  readonly keyId: Id
  readonly pages: readonly KitPage[]
}

/** A passphrase may be tried by whoever finds the page, as long and as fast as they like. */
const MIN_PASSPHRASE_CHARACTERS = 12

/** @throws HoldfastError HF_USAGE for what would protect nothing */
export function checkProtection(protection: KitProtection): void {
  if ('passphrase' in protection) {
    if (protection.passphrase.length >= MIN_PASSPHRASE_CHARACTERS) return
    throw new HoldfastError(
      'HF_USAGE',
      `the passphrase of a kit has at least ${MIN_PASSPHRASE_CHARACTERS} characters`,
      {
        hint: 'take five words by chance, or: openssl rand -base64 18',
      },
    )
  }
  const { total, needed } = protection
  if (needed >= 2 && needed <= total && total <= MAX_SHARES) return
  throw new HoldfastError('HF_USAGE', `a kit cannot have ${total} pages of which ${needed} are needed`, {
    hint: `at least 2 pages are needed, and there are at most ${MAX_SHARES}`,
  })
}

/**
 * Adds a key to the repository with a password of its own, and makes the pages that give it back. The pages are read again and opened before
 * this returns. Rotations of other keys leave a kit as it is. Wants an append lock.
 *
 * @param locations where the repository is, without credentials, the best first
 * @throws HoldfastError HF_USAGE, HF_KEY_INVALID, storage errors
 */
export async function makeKit(
  repository: Repository,
  locations: readonly string[],
  protection: KitProtection,
  key: Pick<NewKeyOptions, 'kdf'> = {},
): Promise<MadeKit> {
  checkProtection(protection)
  for (const location of locations)
    if (/[\x00-\x1f\x7f]/.test(location))
      throw new HoldfastError('HF_USAGE', `the location ${JSON.stringify(location)} cannot be printed`)
  const secret = randomBytes(SECRET_BYTES)
  const password = Buffer.from(secret).toString('base64')
  const kit = toHex(randomBytes(8))
  const envelope = { repository: repository.config.id, wrapped: [], kit }
  const keyId = await addKey(repository, password, { ...key, username: 'recovery-kit', envelope })
  try {
    const made = localTimestamp(repository.clock.now())
    const content = { kit, made, repository: repository.config.id, locations, keyId }
    const pages =
      'passphrase' in protection
        ? [await passphrasePage(content, secret, protection.passphrase)]
        : await sharePages(content, secret, protection)
    await requireOpens(pages, protection, password)
    return { kit, keyId, pages }
  } catch (error) {
    await repository.storage.delete({ kind: 'key', name: keyId })
    throw error
  }
}

/** @throws HoldfastError HF_INTERNAL when what was made is of no use */
async function requireOpens(pages: readonly KitPage[], protection: KitProtection, password: string): Promise<void> {
  const read = pages.flatMap(({ text, fileName }) => readPages(text, fileName))
  // The last ones, since those would be the first to be wrong.
  const chosen = 'needed' in protection ? read.slice(-protection.needed) : read
  const opened = await openKit(chosen, async () => ('passphrase' in protection ? protection.passphrase : ''))
  if (opened.password !== password || opened.rejected.length > 0)
    throw new HoldfastError('HF_INTERNAL', 'a recovery kit does not open as it was made; it was thrown away')
}
