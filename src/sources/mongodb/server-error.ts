import { type ErrorCode, HoldfastError, isHoldfastError, type RetryClass } from '../../lib/errors.ts'

/** Codes of MongoDB's error_codes.yml that mean something to us. */
export const Code = {
  unauthorized: 13,
  authenticationFailed: 18,
  namespaceNotFound: 26,
  cursorNotFound: 43,
  commandNotFound: 59,
  invalidOptions: 72,
  illegalOperation: 20,
  queryPlanKilled: 175,
  cursorKilled: 237,
  snapshotTooOld: 239,
  snapshotUnavailable: 246,
} as const

/** A member that changes its role, goes down or is not reached for a moment; `retryable reads` of mongodb/specifications. */
const passing: ReadonlySet<number> = new Set([
  6, 7, 89, 91, 134, 189, 262, 9001, 10_058, 10_107, 11_600, 11_602, 13_435, 13_436,
])
/** The server has forgotten a cursor, for whatever reason: another one may go on. */
const lostCursor: ReadonlySet<number> = new Set([Code.cursorNotFound, Code.cursorKilled])

/** Who asks whom, for messages and hints. */
export interface ErrorPlace {
  /** `MongoDB at db1:27017`. */
  readonly server: string
  readonly user: string | undefined
  /** For what we are there, which decides what a user needs. */
  readonly purpose: 'backup' | 'restore'
}

/** The number a server gave an error, wherever we or the driver put it. */
export function codeOf(error: unknown): number | undefined {
  if (isHoldfastError(error)) return error.context.code === undefined ? undefined : Number(error.context.code)
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'number' ? code : undefined
}

/** Built-in roles of `admin` that suffice. */
const rolesFor = (purpose: ErrorPlace['purpose']): string =>
  (purpose === 'backup' ? ['backup', 'clusterMonitor'] : ['restore', 'readAnyDatabase'])
    .map((role) => `{ role: "${role}", db: "admin" }`)
    .join(', ')

/** The command for mongosh that gives a user what it needs; without a user, one that makes it. */
export const grantFor = ({ user, purpose }: Pick<ErrorPlace, 'user' | 'purpose'>): string =>
  user === undefined
    ? userFor({ user: purpose, purpose })
    : `db.getSiblingDB("admin").grantRolesToUser(${JSON.stringify(user)}, [${rolesFor(purpose)}])`

/** The command for mongosh that makes a user. */
export const userFor = ({ user, purpose }: Pick<ErrorPlace, 'user' | 'purpose'>): string =>
  `db.getSiblingDB("admin").createUser({ user: ${JSON.stringify(user ?? purpose)}, pwd: passwordPrompt(), roles: [${rolesFor(purpose)}] })`

/** Whether another attempt, perhaps with a new cursor, can help. */
export function isPassing(error: unknown): boolean {
  const code = codeOf(error)
  if (code !== undefined) return passing.has(code) || lostCursor.has(code)
  return isHoldfastError(error, 'HF_SOURCE_UNREACHABLE')
}

interface Meaning {
  readonly code: ErrorCode
  readonly hint: string
  readonly retry?: RetryClass
}

/** What the driver threw, in our words. `what` is what was asked: `listDatabases`, `find shop.orders`. */
export function serverError(error: unknown, what: string, place: ErrorPlace): HoldfastError {
  if (isHoldfastError(error)) return error
  const { name = '', message = String(error) } = error instanceof Error ? error : {}
  const code = codeOf(error)
  const meaning =
    name === 'MongoServerError' || code !== undefined ? meaningOf(code, place) : connectionMeaning(name, message)
  const said = meaning.code === 'HF_SOURCE_UNREACHABLE' && code === undefined ? 'does not answer' : 'refuses'
  return new HoldfastError(meaning.code, `${place.server} ${said} ${what}: ${firstLine(message)}`, {
    hint: meaning.hint,
    context: { server: place.server, code },
    cause: error,
    ...(meaning.retry === undefined ? {} : { retry: meaning.retry }),
  })
}

function meaningOf(code: number | undefined, place: ErrorPlace): Meaning {
  switch (code) {
    case Code.authenticationFailed:
    case 11:
    case 334:
      return {
        code: 'HF_SOURCE_PERMISSION',
        hint: `check the user in \`url\`, \`password\` and authSource; to make the user, in mongosh: ${userFor(place)}`,
      }
    case Code.unauthorized:
      return {
        code: 'HF_SOURCE_PERMISSION',
        hint: `${place.user === undefined ? 'the server wants a user' : 'the user lacks rights'}; in mongosh: ${grantFor(place)}`,
      }
    case Code.commandNotFound:
      return {
        code: 'HF_SOURCE_UNSUPPORTED',
        hint: 'a compatible server or a managed service may not have this command; holdfast source doctor says what follows',
      }
    default:
      if (code !== undefined && passing.has(code))
        return { code: 'HF_SOURCE_UNREACHABLE', hint: 'the server changes its role or stops: try again later' }
      return { code: 'HF_SOURCE_UNREADABLE', hint: 'the log of the server says more' }
  }
}

function connectionMeaning(name: string, message: string): Meaning {
  if (name === 'MongoParseError' || name === 'MongoInvalidArgumentError' || name === 'MongoAPIError')
    return { code: 'HF_SOURCE_UNSUPPORTED', hint: 'check the parameters of `url`' }
  if (/alert certificate required|alert bad certificate|alert handshake failure|alert unknown ca/i.test(message))
    return {
      code: 'HF_SOURCE_UNREACHABLE',
      hint: 'the server wants to see a certificate it trusts: name one in `tls: { cert: FILE, key: FILE }`',
    }
  if (/altname/i.test(message))
    return {
      code: 'HF_SOURCE_UNREACHABLE',
      hint: 'the certificate of the server is for other names: use one of them in `url`',
    }
  if (/certificate|self.signed/i.test(message))
    return {
      code: 'HF_SOURCE_UNREACHABLE',
      hint: 'name the certificate authority of the server in `tls: { ca: FILE }`',
    }
  if (/querySrv|ENOTFOUND|EAI_AGAIN/.test(message))
    return { code: 'HF_SOURCE_UNREACHABLE', hint: 'check the host in `url`: no such name is known here' }
  return {
    code: 'HF_SOURCE_UNREACHABLE',
    hint: 'check the hosts in `url`, that the server runs, that `replicaSet` is its name, and that it wants TLS or not',
  }
}

const firstLine = (text: string): string => text.split('\n', 1)[0]!.slice(0, 500)
