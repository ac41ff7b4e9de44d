import { createHash, createHmac } from 'node:crypto'
import { HoldfastError } from '../../../lib/errors.ts'
import { type Id, isId } from '../../../lib/id.ts'
import { KIT_ID } from '../../repository/key-envelope.ts'

/** What a recovery kit says about itself and the repository; on all its pages, and covered by their authentication code. */
export interface KitFacts {
  /** 16 hex digits. */
  readonly kit: string
  /** RFC 3339. */
  readonly made: string
  readonly repository: Id
  /** Where the repository is, without credentials. */
  readonly locations: readonly string[]
  /** The key file that the password of the kit opens. */
  readonly keyId: Id
  /** Absent when a passphrase opens it. */
  readonly shares?: {
    readonly needed: number
    /** Digests of all shares, those of page 1 first. */
    readonly digests: readonly string[]
  }
}

export const MAX_SHARES = 16
export const SECRET_BYTES = 32
/** A share is as long as the secret, and a byte for where it lies on the curve. */
export const SHARE_BYTES: number = SECRET_BYTES + 1
const MAX_LOCATIONS = 16
const DIGEST = /^[0-9a-f]{16}$/

export const kitInvalid = (message: string, hint: string, cause?: unknown): HoldfastError =>
  new HoldfastError('HF_KIT_INVALID', message, { hint, cause })

/** The lines that the authentication code covers. */
export function factLines({ kit, made, repository, locations, keyId, shares }: KitFacts): readonly string[] {
  return [
    'version: 1',
    `kit: ${kit}`,
    `made: ${made}`,
    `repository: ${repository}`,
    ...locations.map((location) => `location: ${location}`),
    `key: ${keyId}`,
    ...(shares === undefined ? [] : [`needed: ${shares.needed}`]),
    ...(shares?.digests.map((digest, index) => `share ${index + 1}: ${digest}`) ?? []),
  ]
}

/** @throws HoldfastError HF_KIT_INVALID */
export function parseFacts(lines: readonly string[], source: string): KitFacts {
  const values = (name: string): readonly string[] =>
    lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2))
  const one = (name: string, isValid: (value: string) => boolean): string => {
    const [value, ...more] = values(name)
    if (value !== undefined && more.length === 0 && isValid(value)) return value
    throw kitInvalid(`${source}: the line "${name}: ..." is missing or damaged`, 'type or scan that line again')
  }
  one('version', (value) => value === '1')
  const digests: string[] = []
  while (digests.length <= MAX_SHARES && values(`share ${digests.length + 1}`).length > 0)
    digests.push(one(`share ${digests.length + 1}`, (value) => DIGEST.test(value)))
  const isNumber = (value: string): boolean =>
    /^\d{1,2}$/.test(value) && Number(value) >= 2 && Number(value) <= digests.length
  const facts: KitFacts = {
    kit: one('kit', (value) => KIT_ID.test(value)),
    made: one('made', (value) => /^[\dT:.Z+-]{10,40}$/.test(value)),
    repository: one('repository', isId),
    locations: values('location').slice(0, MAX_LOCATIONS),
    keyId: one('key', isId),
    ...(digests.length === 0 ? {} : { shares: { needed: Number(one('needed', isNumber)), digests } }),
  }
  return facts
}

/** Of one share, for the list on every page. It tells nothing about the share, which is random. */
export const shareDigest = (kit: string, page: number, share: Uint8Array): string =>
  createHash('sha256').update(`${kit} ${page} `).update(share).digest('hex').slice(0, 16)

/** What only who has the secret can compute: pages that somebody changed do not have it. */
export const factsCode = (secret: Uint8Array, lines: readonly string[]): string =>
  createHmac('sha256', secret)
    .update(`holdfast recovery kit\n${lines.join('\n')}\n`)
    .digest('hex')
    .slice(0, 32)
