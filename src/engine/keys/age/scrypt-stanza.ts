import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { Identity, Recipient } from 'age-encryption'
import { utf8 } from '../../../lib/bytes.ts'
import { randomBytes } from '../../../lib/random.ts'
import { opensslScrypt } from '../../kernels/scrypt.ts'

type Stanza = Parameters<Identity['unwrapFileKey']>[0][number]

const LABEL = utf8('age-encryption.org/v1/scrypt')
const SALT_BYTES = 16
const KEY_BYTES = 32
const TAG_BYTES = 16
/** 128 MiB and some tenths of a second, as strong as restic makes its keys. */
const WORK_FACTOR = 17
/** What a file may ask for: 1 GiB. */
const MAX_WORK_FACTOR = 20
const NONCE: Uint8Array = new Uint8Array(12)

/**
 * A passphrase as recipient and identity of age files (https://age-encryption.org/v1), by OpenSSL's scrypt: the library's own takes three
 * times as long, and keeps the process from doing anything else.
 */
export class ScryptStanza implements Recipient, Identity {
  readonly #passphrase: Uint8Array

  constructor(passphrase: string) {
    this.#passphrase = utf8(passphrase)
  }

  async wrapFileKey(fileKey: Uint8Array): Promise<Stanza[]> {
    const { Stanza } = await import('age-encryption')
    const salt = randomBytes(SALT_BYTES)
    const cipher = createCipheriv('chacha20-poly1305', await this.#derive(salt, WORK_FACTOR), NONCE, {
      authTagLength: TAG_BYTES,
    })
    const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()])
    const saltText = Buffer.from(salt).toString('base64').replace(/=+$/, '')
    return [new Stanza(['scrypt', saltText, String(WORK_FACTOR)], new Uint8Array(body))]
  }

  /** @throws Error for a stanza that nobody may have written so; null for another passphrase */
  async unwrapFileKey(stanzas: Stanza[]): Promise<Uint8Array | null> {
    const stanza = stanzas.find(({ args }) => args[0] === 'scrypt')
    if (stanza === undefined) return null
    const [, saltText = '', factor = ''] = stanza.args
    const salt = Buffer.from(saltText, 'base64')
    if (stanzas.length !== 1 || stanza.args.length !== 3)
      throw new Error('the file is sealed for more than a passphrase')
    if (salt.length !== SALT_BYTES || !/^[1-9]\d?$/.test(factor) || Number(factor) > MAX_WORK_FACTOR)
      throw new Error('the file has unacceptable parameters of scrypt')
    if (stanza.body.length !== TAG_BYTES + 16) throw new Error('the file has no key of the right length')
    const decipher = createDecipheriv('chacha20-poly1305', await this.#derive(salt, Number(factor)), NONCE, {
      authTagLength: TAG_BYTES,
    })
    decipher.setAuthTag(stanza.body.subarray(-TAG_BYTES))
    try {
      return new Uint8Array(Buffer.concat([decipher.update(stanza.body.subarray(0, -TAG_BYTES)), decipher.final()]))
    } catch {
      return null
    }
  }

  #derive(salt: Uint8Array, factor: number): Promise<Uint8Array> {
    return opensslScrypt(this.#passphrase, Buffer.concat([LABEL, salt]), { N: 2 ** factor, r: 8, p: 1 }, KEY_BYTES)
  }
}
