import { HoldfastError, systemErrorCode } from '../../lib/errors.ts'

const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no machine of this name',
  EAI_AGAIN: 'the name of the machine cannot be looked up',
  ECONNREFUSED: 'nothing listens at this address',
  EHOSTUNREACH: 'there is no way to the machine',
  ENETUNREACH: 'there is no way to the network of the machine',
  ENOENT: 'there is no such socket',
  EACCES: 'the socket may not be used by this user',
}

export interface FailedConnection {
  /** `cannot read config in rest:http://host/`. */
  readonly sentence: string
  /** The server has answered before: it went away, rather than never having been there. */
  readonly wasReached: boolean
  readonly context: HoldfastError['context']
}

/** HF_STORAGE_UNREACHABLE for a connection that could not be made, or broke. */
export function unreachableError(cause: unknown, { sentence, wasReached, context }: FailedConnection): HoldfastError {
  const systemCode = systemErrorCode(cause)
  const why = reasons[systemCode ?? '']
  const options = { cause, context: { ...context, systemCode } }
  if (why === undefined) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    return new HoldfastError('HF_STORAGE_UNREACHABLE', `${sentence}: the connection broke: ${reason}`, options)
  }
  return new HoldfastError('HF_STORAGE_UNREACHABLE', `${sentence}: ${why}`, {
    ...options,
    // A server that was there a moment ago is being started anew; one that never was is a mistake in the location.
    retry: wasReached ? 'later' : 'after-fix',
    hint: 'Check the location, and that the server runs.',
  })
}
