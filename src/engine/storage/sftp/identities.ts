import { readFile } from 'node:fs/promises'
import { systemErrorCode } from '../../../lib/errors.ts'

export interface Identities {
  readonly keys: readonly Buffer[]
  /** Files that are there and cannot be used, each with the reason. */
  readonly unusable: readonly string[]
}

/** Reads private keys. @param parse returns an Error for what is no key, or one that is locked by a passphrase */
export async function readIdentities(
  files: readonly string[],
  areNamed: boolean,
  parse: (key: Buffer) => unknown,
): Promise<Identities> {
  const keys: Buffer[] = []
  const unusable: string[] = []
  for (const file of files) {
    try {
      const key = await readFile(file)
      const parsed = parse(key)
      if (parsed instanceof Error) {
        const isLocked =
          /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(key.toString('latin1')) && /encrypted/i.test(parsed.message)
        unusable.push(
          `${file} ${isLocked ? 'is locked by a passphrase' : `is no private key that can be used here: ${parsed.message}`}`,
        )
      } else keys.push(key)
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT' || areNamed)
        unusable.push(`${file} cannot be read: ${(error as Error).message}`)
    }
  }
  return { keys, unusable }
}
