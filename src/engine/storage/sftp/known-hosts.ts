import { createHash, createHmac } from 'node:crypto'
import { matchesPatterns } from './ssh-config.ts'

/** A line of a `known_hosts` file that concerns a host. */
export interface KnownKey {
  readonly marker: 'revoked' | 'cert-authority' | undefined
  /** `ssh-ed25519` and so on. */
  readonly type: string
  /** As in the protocol. */
  readonly key: Buffer
  /** For messages: file and line. */
  readonly place: string
}

export type HostKeyVerdict = 'known' | 'unknown' | 'changed' | 'revoked'

/** How a host is written in `known_hosts`. */
export const knownName = (host: string, port: number): string => (port === 22 ? host : `[${host}]:${port}`)

/** The keys of a `known_hosts` file for a host, in its form of `knownName`. Lines that are none are passed over, as ssh does. */
export function readKnownHosts(text: string, name: string, file: string): KnownKey[] {
  const keys: KnownKey[] = []
  for (const [number, line] of text.split('\n').entries()) {
    const words = line.trim().split(/\s+/)
    if (line.startsWith('#') || words.length < 3) continue
    const marker = words[0]!.startsWith('@') ? words.shift()!.slice(1) : undefined
    if (marker !== undefined && marker !== 'revoked' && marker !== 'cert-authority') continue
    const [hosts, type, base64] = words
    if (hosts === undefined || type === undefined || base64 === undefined || !isFor(hosts, name)) continue
    keys.push({ marker, type, key: Buffer.from(base64, 'base64'), place: `${file}:${number + 1}` })
  }
  return keys
}

/** What known keys say of the key a server shows. */
export function judgeHostKey(known: readonly KnownKey[], key: Buffer): HostKeyVerdict {
  const same = known.filter((one) => one.key.equals(key))
  if (same.some(({ marker }) => marker === 'revoked')) return 'revoked'
  if (same.some(({ marker }) => marker === undefined)) return 'known'
  return known.some(({ marker }) => marker === undefined) ? 'changed' : 'unknown'
}

/** As ssh shows it: `SHA256:...`. */
export const fingerprint = (key: Buffer): string =>
  `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`

/** The name of a key's type, which stands at its beginning; `unknown` when it does not. */
export function keyType(key: Buffer): string {
  const length = key.length > 4 ? key.readUInt32BE(0) : 0
  const name = key.toString('latin1', 4, 4 + Math.min(64, length))
  return /^[a-z0-9@.-]{3,64}$/.test(name) ? name : 'unknown'
}

function isFor(hosts: string, name: string): boolean {
  const hashed = /^\|1\|([^|]+)\|([^|]+)$/.exec(hosts)
  if (hashed === null) return matchesPatterns(name, hosts.split(','))
  const [, salt = '', digest] = hashed
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === digest
}
