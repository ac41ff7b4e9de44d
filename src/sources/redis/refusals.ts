import { type ErrorCode, HoldfastError, type RetryClass } from '../../lib/errors.ts'
import type { ReplyError } from './resp.ts'

/** What of a client a message needs. */
interface Asking {
  readonly server: string
  readonly user: string | undefined
}

interface Meaning {
  readonly code: ErrorCode
  readonly hint: string
  readonly retry?: RetryClass
}

/** The rights a backup needs; `+config|get` and others only add to what is stored beside the data. */
export const grantStatement = (user: string): string => `ACL SETUSER ${user} +psync +replconf +ping +info`

/** What the first word of an error of Redis means to an owner of backups (server.c, replication.c, acl.c of Redis 7.0). */
function meaningOf(error: ReplyError, { user = 'default' }: Asking): Meaning {
  switch (error.code) {
    case 'WRONGPASS':
      return {
        code: 'HF_SOURCE_PERMISSION',
        hint: `check \`user\` and \`password\` of the source; the server does not let ${user} in with it`,
      }
    case 'NOAUTH':
      return {
        code: 'HF_SOURCE_PERMISSION',
        hint: 'the server wants a password: add `password: "env:NAME"` to the source',
      }
    case 'NOPERM':
      return { code: 'HF_SOURCE_PERMISSION', hint: `grant what backups need: ${grantStatement(user)}` }
    case 'DENIED':
      return {
        code: 'HF_SOURCE_PERMISSION',
        hint: 'the server is in protected mode: give it a password, or connect from its own machine',
      }
    case 'LOADING':
      return { code: 'HF_SOURCE_UNREACHABLE', hint: 'the server is still loading its data: try again once it is up' }
    case 'NOMASTERLINK':
    case 'MASTERDOWN':
      return {
        code: 'HF_SOURCE_UNREACHABLE',
        hint: 'this replica has lost its master, and what it holds may be old: mend the link (INFO replication: master_link_status) or back up another one',
      }
  }
  if (error.message.startsWith('ERR max number of clients'))
    return { code: 'HF_SOURCE_UNREACHABLE', hint: 'the server has as many clients as `maxclients` allows' }
  if (/AUTH.*without any password configured|no password is set/.test(error.message))
    return {
      code: 'HF_SOURCE_PERMISSION',
      hint: 'the server has no password: remove `password` from the source, or name the ACL `user` it is of',
    }
  return {
    code: 'HF_SOURCE_UNSUPPORTED',
    hint: 'a proxy or a managed service may not allow this; connect to a Redis or Valkey server itself',
  }
}

/** A command the server refused. */
export function refusal(asking: Asking, command: string, error: ReplyError): HoldfastError {
  const { code, hint } = meaningOf(error, asking)
  // Servers repeat the arguments of commands they do not know.
  const message = error.message.replace(/, with args beginning with.*/s, '')
  return new HoldfastError(code, `${asking.server} refuses ${command}: ${message}`, { hint })
}
