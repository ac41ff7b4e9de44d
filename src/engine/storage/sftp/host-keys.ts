import { appendFileSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { fingerprint, judgeHostKey, type KnownKey, keyType, knownName, readKnownHosts } from './known-hosts.ts'

export interface HostKeyOptions {
  /** As it was typed, or its alias. */
  readonly host: string
  readonly port: number
  /** Files of known keys; the first one takes a new key. */
  readonly files: readonly string[]
  /** Whether the key of a host that is not known yet is taken and noted. */
  readonly acceptsNew: boolean
  readonly onNotice: (text: string) => void
}

/** Types of keys by what they are negotiated as. */
const algorithms: Readonly<Record<string, readonly string[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
}

/** Decides whether a server is the one that is meant, by the keys in `known_hosts` files. */
export class HostKeys {
  readonly #options: HostKeyOptions
  readonly #name: string
  readonly #known: readonly KnownKey[]
  #refusal: HoldfastError | undefined

  /** @throws HoldfastError HF_STORAGE_UNTRUSTED when a file cannot be read */
  constructor(options: HostKeyOptions) {
    this.#options = options
    this.#name = knownName(options.host, options.port)
    this.#known = options.files.flatMap((file) => readKnownHosts(readIfThere(file), this.#name, file))
  }

  /** The host is vouched for by an authority, which is for ssh itself to check. */
  get hasAuthority(): boolean {
    return this.#known.some(({ marker }) => marker === 'cert-authority')
  }

  /** What to agree on with the server, so that it shows a key of a type that is known: that alone when any is. */
  get algorithms(): readonly string[] {
    const known = this.#known.filter(({ marker }) => marker === undefined).flatMap(({ type }) => algorithms[type] ?? [])
    return known.length > 0 ? [...new Set(known)] : Object.values(algorithms).flat()
  }

  /** Why the server was refused. */
  get refusal(): HoldfastError | undefined {
    return this.#refusal
  }

  /** Whether the server that shows this key is trusted. A new key is noted, and told. */
  accept(key: Buffer): boolean {
    const verdict = judgeHostKey(this.#known, key)
    if (verdict === 'known') return true
    if (verdict === 'unknown' && this.#options.acceptsNew) {
      this.#pin(key)
      return true
    }
    this.#refusal = this.#refuse(verdict, key)
    return false
  }

  #pin(key: Buffer): void {
    const { files, onNotice } = this.#options
    const file = files[0]!
    const shown = `the key of ${this.#name}, ${keyType(key)} ${fingerprint(key)}`
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      const before = readIfThere(file)
      const start = before === '' || before.endsWith('\n') ? '' : '\n'
      appendFileSync(file, `${start}${this.#name} ${keyType(key)} ${key.toString('base64')}\n`, { mode: 0o600 })
      onNotice(
        `${shown}, is trusted from now on, and was noted in ${file}: compare it with what the server's owner says`,
      )
    } catch (error) {
      onNotice(`${shown}, is trusted this time; it cannot be noted in ${file}: ${(error as Error).message}`)
    }
  }

  #refuse(verdict: 'unknown' | 'changed' | 'revoked' | 'known', key: Buffer): HoldfastError {
    const shown = `${keyType(key)} ${fingerprint(key)}`
    const same = this.#known.find(({ marker }) => marker === undefined)
    const file = this.#options.files[0]!
    const [why, hint] =
      verdict === 'revoked'
        ? [
            'is marked as revoked',
            'Somebody has said that this key must not be used any more. Ask who runs the server.',
          ]
        : verdict === 'changed'
          ? [
              `is not the one of ${same?.place ?? file}: somebody may be in between`,
              `If the owner of the server says that its key has changed to this one: ssh-keygen -R '${this.#name}' -f '${same?.place.replace(/:\d+$/, '') ?? file}', and run this again.`,
            ]
          : [
              'is not known, and StrictHostKeyChecking forbids to learn it',
              `If this is the key that the owner of the server names: ssh-keyscan -p ${this.#options.port} '${this.#options.host}' >> '${file}'`,
            ]
    return new HoldfastError('HF_STORAGE_UNTRUSTED', `the key that ${this.#name} shows, ${shown}, ${why}`, {
      hint,
      context: { host: this.#name, fingerprint: fingerprint(key) },
    })
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === 'ENOENT' || code === 'ENOTDIR') return ''
    throw new HoldfastError('HF_STORAGE_UNTRUSTED', `${file} cannot be read: ${(cause as Error).message}`, { cause })
  }
}
