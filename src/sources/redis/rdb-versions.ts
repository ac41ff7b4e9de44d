import { conversionsOf, type ValueEncoding } from './rdb/convert.ts'
import type { RdbDialect } from './rdb/values.ts'
import { type ServerFacts, versionNumbers } from './server.ts'

/** What RDB files are written as. */
export interface RdbFormat {
  readonly dialect: RdbDialect
  readonly version: number
}

type Release = Pick<ServerFacts, 'kind' | 'version'>

/** The newest format each release of Redis knows (RDB_VERSION in rdb.h), newest first. */
const redisFormats: readonly (readonly [major: number, minor: number, format: number])[] = [
  [7, 4, 12],
  [7, 2, 11],
  [7, 0, 10],
  [5, 0, 9],
]

/** The newest format of Redis that Valkey knows: it has gone its own way since. */
const VALKEY_REDIS_FORMAT = 11
const VALKEY_FORMAT = 80
const FIRST_VALKEY_WITH_OWN_FORMAT = 9
const newestFormat: Readonly<Record<RdbDialect, number>> = { redis: 12, valkey: VALKEY_FORMAT }

/** The newest RDB version of Redis itself that a server reads; all older ones it reads as well. */
export function newestRedisFormat({ kind, version }: Release): number {
  if (kind === 'valkey') return VALKEY_REDIS_FORMAT
  const [major, minor] = versionNumbers(version)
  return redisFormats.find(([a, b]) => major > a || (major === a && minor >= b))?.[2] ?? 8
}

/**
 * Whether a server loads a file. One that does not and is told to replicate it has thrown its own data away by then.
 * Measured with Redis 7.0 and 8.0 and Valkey 9.1; others by their sources.
 */
export function reads(server: Release, { dialect, version }: RdbFormat): boolean {
  if (dialect === 'redis') return version <= newestRedisFormat(server)
  return (
    server.kind === 'valkey' &&
    versionNumbers(server.version)[0] >= FIRST_VALKEY_WITH_OWN_FORMAT &&
    version <= VALKEY_FORMAT
  )
}

/** `RDB version 12 of Redis`. */
export const formatText = ({ dialect, version }: RdbFormat): string =>
  `RDB version ${version} of ${dialect === 'redis' ? 'Redis' : 'Valkey'}`

/** Which servers read a format, for people. */
export function readersOf({ dialect, version }: RdbFormat): string {
  if (dialect === 'valkey') return `Valkey ${FIRST_VALKEY_WITH_OWN_FORMAT} or later`
  const [major, minor] = redisFormats.findLast(([, , format]) => format >= version) ?? redisFormats[0]!
  return `Redis ${major}.${minor} or later${version <= VALKEY_REDIS_FORMAT ? ', or Valkey' : ''}`
}

/** Numbers of types that came with a format of Redis; older ones every server knows that is supported. */
const typeCodes: readonly (readonly [first: number, last: number, format: number])[] = [
  [16, 19, 10],
  [20, 21, 11],
  [22, 25, 12],
]
const FIRST_OWN_CODE = 22

/** Whether a server knows a type of value, whatever the version of the file it is from: then it takes the value on its own. */
export function knowsType(server: Release, { dialect, version }: RdbFormat, code: number): boolean {
  if (code >= FIRST_OWN_CODE && (dialect === 'valkey' || server.kind === 'valkey'))
    return dialect === 'valkey' && reads(server, { dialect, version })
  const since = typeCodes.find(([first, last]) => code >= first && code <= last)?.[2]
  return since === undefined || since <= newestRedisFormat(server)
}

/** How a value is given to a server on its own (RESTORE). */
export interface Payload extends ValueEncoding {
  /** The version it names. */
  readonly version: number
}

/** As what a server takes a value of this type: as it is, or converted; undefined when there is nothing it knows. */
export function payloadFor(server: Release, format: RdbFormat, code: number): Payload | undefined {
  const fits = (version: number) => (encoding: ValueEncoding) =>
    knowsType(server, { dialect: encoding.dialect, version }, encoding.code)
  const own = { dialect: format.dialect, code }
  if (fits(format.version)(own)) return { ...own, version: payloadVersion(server, format) }
  for (const encoding of conversionsOf(own)) {
    const version = encoding.dialect === format.dialect ? format.version : newestFormat[encoding.dialect]
    if (fits(version)(encoding))
      return { ...encoding, version: payloadVersion(server, { dialect: encoding.dialect, version }) }
  }
  return undefined
}

/** The version to name in a value that is given to a server on its own. */
export function payloadVersion(server: Release, format: RdbFormat): number {
  if (format.dialect === 'valkey' && reads(server, format)) return format.version
  return Math.min(format.dialect === 'valkey' ? VALKEY_REDIS_FORMAT : format.version, newestRedisFormat(server))
}
