import type { ErrorCode } from '../../lib/errors.ts'
import { HoldfastError, isHoldfastError, systemErrorCode } from '../../lib/errors.ts'

/** What the server says of an error or a warning; PostgreSQL documentation, "Error and Notice Message Fields". */
export interface ServerReport {
  readonly severity: string
  /** SQLSTATE, five characters. */
  readonly code: string
  readonly message: string
  readonly detail: string | undefined
  readonly hint: string | undefined
  /** The function of the server that reports it. */
  readonly routine?: string | undefined
}

/** SQLSTATEs that mean something to us; PostgreSQL documentation, appendix "PostgreSQL Error Codes". */
export const SQLSTATE_DATA_CORRUPTED = 'XX001'
export const SQLSTATE_LIMIT_EXCEEDED = '53400'
export const SQLSTATE_NOT_IN_STATE = '55000'
const AUTHORIZATION = '28000'
const WRONG_PASSWORD = '28P01'
/** What refuses roles that are not there or may not log in, with the same SQLSTATE as pg_hba.conf; src/backend/utils/init/miscinit.c. */
const ROLE_CHECK = 'InitializeSessionUserId'
const NO_RIGHT = '42501'
const NO_DATABASE = '3D000'
const TOO_MANY_CONNECTIONS = '53300'

const FILE_GONE = '58P01'

/** Who asks what of whom, for messages and hints. */
export interface ErrorPlace {
  /** As in "PostgreSQL at db1:5432". */
  readonly server: string
  readonly role: string
  readonly database: string
  readonly kind: 'sql' | 'replication'
  /** Starts a line of pg_hba.conf that would let us in. */
  readonly hbaType: 'local' | 'host' | 'hostssl'
  /** Our own address as the server sees it, when it is known. */
  readonly clientAddress: string | undefined
}

/** The line of pg_hba.conf that lets this connection in. */
export function hbaLine({ hbaType, kind, role, database, clientAddress }: ErrorPlace): string {
  const address = hbaType === 'local' ? [] : [withMask(clientAddress ?? 'ADDRESS-OF-THIS-MACHINE')]
  return [hbaType, kind === 'replication' ? 'replication' : database, role, ...address, 'scram-sha-256'].join(' ')
}

/** The statement that makes a role one that may replicate. */
export const replicationGrant = (role: string): string => `ALTER ROLE ${quotedName(role)} REPLICATION;`

/** An error the server reported, with what to do about it. */
export function serverError(report: ServerReport, place: ErrorPlace): HoldfastError {
  const { code: errorCode, hint } = meaningOf(report, place)
  const detail = report.detail === undefined ? '' : ` (${report.detail})`
  return new HoldfastError(errorCode, `${place.server}: ${report.message}${detail}`, {
    hint: hint ?? report.hint ?? 'the log of the server says more',
    context: { server: place.server, role: place.role, sqlstate: report.code },
  })
}

function meaningOf(
  { code: sqlstate, routine }: ServerReport,
  place: ErrorPlace,
): { readonly code: ErrorCode; readonly hint: string | undefined } {
  const reload = `and have it read again: SELECT pg_reload_conf();`
  switch (sqlstate) {
    case WRONG_PASSWORD:
      return {
        code: 'HF_SOURCE_PERMISSION',
        hint: `check \`user\` and \`password\` of the source; ${rolePassword(place)}`,
      }
    case AUTHORIZATION:
      if (routine === ROLE_CHECK)
        return {
          code: 'HF_SOURCE_PERMISSION',
          hint: `check \`user\` of the source; to make the role, as a superuser: CREATE ROLE ${quotedName(place.role)} LOGIN REPLICATION PASSWORD '…'; one that is there and may not log in: ALTER ROLE ${quotedName(place.role)} LOGIN;`,
        }
      return { code: 'HF_SOURCE_PERMISSION', hint: `add to pg_hba.conf the line "${hbaLine(place)}" ${reload}` }
    case NO_RIGHT:
      return {
        code: 'HF_SOURCE_PERMISSION',
        hint: place.kind === 'replication' ? `as a superuser: ${replicationGrant(place.role)}` : undefined,
      }
    case NO_DATABASE:
      return { code: 'HF_SOURCE_UNREACHABLE', hint: 'set `database` of the source to one that exists' }
    case TOO_MANY_CONNECTIONS:
      return {
        code: 'HF_SOURCE_UNREACHABLE',
        hint: `raise ${place.kind === 'replication' ? 'max_wal_senders' : 'max_connections'}, or wait until others are done`,
      }
    case SQLSTATE_NOT_IN_STATE:
      return {
        code: 'HF_SOURCE_UNSUPPORTED',
        hint: 'a physical backup needs wal_level = replica: ALTER SYSTEM SET wal_level = replica; then restart the server',
      }
    case FILE_GONE:
      return {
        code: 'HF_SOURCE_UNREADABLE',
        hint: 'when WAL was removed too early: raise wal_keep_size, and max_slot_wal_keep_size if it is set',
      }
    default:
      // Class 57: operator intervention, as a shutdown or a start that is not done; class 08: connection exceptions.
      return { code: /^(57|08)/.test(sqlstate) ? 'HF_SOURCE_UNREACHABLE' : 'HF_SOURCE_UNREADABLE', hint: undefined }
  }
}

/** What became of a connection that did not come about or broke, whoever noticed it. */
export function connectionError(error: unknown, place: ErrorPlace): HoldfastError {
  if (isHoldfastError(error)) return error
  const report = reportOf(error)
  if (report !== undefined) return serverError(report, place)
  const code = systemErrorCode(error)
  const message = error instanceof Error && error.message !== '' ? error.message : String(code ?? error)
  return new HoldfastError('HF_SOURCE_UNREACHABLE', `${place.server} cannot be reached: ${message}`, {
    hint:
      unreachableHints.get(code ?? '') ?? 'check `host`, `port` and `sslmode` of the source, and that the server runs',
    context: { server: place.server },
    cause: error,
  })
}

/** The server asks for a password, and there is none. `looked` ends the sentence that says where else it was looked for. */
export const passwordWanted = (place: ErrorPlace, looked: string): HoldfastError =>
  new HoldfastError(
    'HF_SOURCE_PERMISSION',
    `${place.server} asks for the password of ${place.role}, and none is known`,
    {
      hint: `add \`password: "env:NAME"\` or \`password: "file:PATH"\` to the source; PGPASSWORD is not set, ${looked}`,
      context: { server: place.server, role: place.role },
    },
  )

/** The connection ended in the middle of an answer. */
export const connectionLost = (place: ErrorPlace, cause?: unknown): HoldfastError =>
  new HoldfastError('HF_SOURCE_UNREACHABLE', `the connection to ${place.server} broke before the server was done`, {
    hint: 'nothing was kept; the log of the server says whether it was stopped, and the next run starts anew',
    context: { server: place.server },
    cause,
  })

const unreachableHints: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'check `host` and `port` of the source, that the server runs, and its listen_addresses'],
  ['ENOENT', 'check that `host` is the folder of the server’s socket (unix_socket_directories), and `port`'],
  ['ENOTFOUND', 'check `host` of the source: no such name is known here'],
  ['EACCES', 'this user may not use the socket of the server'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'name the certificate authority of the server: `sslrootcert`'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'name the certificate authority of the server: `sslrootcert`'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'name the certificate authority of the server: `sslrootcert`'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'the certificate names another host: correct `host`, or use sslmode: verify-ca'],
])

/** An error of the driver that the server reported. */
function reportOf(error: unknown): ServerReport | undefined {
  if (!(error instanceof Error)) return undefined
  const { severity, code, detail, hint, routine } = error as Partial<ServerReport>
  if (typeof severity !== 'string' || typeof code !== 'string') return undefined
  return { severity, code, message: error.message, detail, hint, routine }
}

function withMask(address: string): string {
  if (address.includes('/')) return address
  return address.includes(':') ? `${address}/128` : /^[0-9.]+$/.test(address) ? `${address}/32` : address
}

/** A name as SQL takes it, in quotes only where it needs them. */
export const quotedName = (name: string): string =>
  /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`

const rolePassword = ({ role }: ErrorPlace): string => `as a superuser, "\\password ${role}" in psql sets a new one`
