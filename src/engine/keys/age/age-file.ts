import type { Decrypter, Encrypter } from 'age-encryption'
import { ScryptStanza } from './scrypt-stanza.ts'

/** Whom a file is sealed for. */
export type AgeRecipients = { readonly recipients: readonly string[] } | { readonly passphrase: string }

/** What may open a file. */
export type AgeIdentities = { readonly identities: readonly string[] } | { readonly passphrase: string }

/** A file that any of the recipients opens, or the passphrase; as `age` writes it. @throws Error of the library for no recipient */
export async function sealAge(plaintext: Uint8Array, to: AgeRecipients): Promise<Uint8Array> {
  const { Encrypter } = await import('age-encryption')
  const encrypter: Encrypter = new Encrypter()
  if ('passphrase' in to) encrypter.addRecipient(new ScryptStanza(to.passphrase))
  else for (const recipient of to.recipients) encrypter.addRecipient(recipient)
  return await encrypter.encrypt(plaintext)
}

/** @throws Error of the library when it is damaged or nothing of `by` opens it */
export async function openAge(file: Uint8Array, by: AgeIdentities): Promise<Uint8Array> {
  const { Decrypter } = await import('age-encryption')
  const decrypter: Decrypter = new Decrypter()
  if ('passphrase' in by) decrypter.addIdentity(new ScryptStanza(by.passphrase))
  else for (const identity of by.identities) decrypter.addIdentity(identity)
  return await decrypter.decrypt(file)
}

const ARMOR = '-----BEGIN AGE ENCRYPTED FILE-----'

export const isArmored = (text: string): boolean => text.trimStart().startsWith(ARMOR)

/** The file as text that can be printed. */
export async function armorAge(file: Uint8Array): Promise<string> {
  const { armor } = await import('age-encryption')
  return armor.encode(file)
}

/** @throws Error of the library for what is no armor */
export async function unarmorAge(text: string): Promise<Uint8Array> {
  const { armor } = await import('age-encryption')
  return armor.decode(text)
}
