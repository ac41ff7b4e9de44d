import { open } from 'node:fs/promises'
import { z } from 'zod'
import { HoldfastError, isHoldfastError, systemErrorCode } from '../lib/errors.ts'
import type { Environment } from './environment.ts'

/** Where a secret is, never the secret itself: `env:NAME` or `file:PATH`. */
export interface SecretReference {
  readonly kind: 'env' | 'file'
  /** Name of the variable, or the path. */
  readonly name: string
}

/** A reference as it is written in holdfast.yaml. */
export const secretReference: z.ZodType<SecretReference, string> = z.string().transform((text, context) => {
  const found = /^(env|file):(.+)$/s.exec(text)
  if (found !== null) return { kind: found[1] as SecretReference['kind'], name: found[2]! }
  context.addIssue({ code: 'custom', message: 'must be a reference to a secret: env:NAME or file:PATH' })
  return z.NEVER
})

export interface SecretOptions {
  readonly environment: Environment
  /** Refuse files that other users of the machine can read. */
  readonly checkPermissions: boolean
}

const MAX_SECRET_BYTES = 64 * 1024
const FILE_TYPE = 0o170000
const REGULAR_FILE = 0o100000
const GROUP_READABLE = 0o040
const WORLD_READABLE = 0o004
const ROOT_GROUP = 0

/**
 * The secret itself, without line ends behind it.
 * @throws HoldfastError HF_SECRET_UNAVAILABLE when it is missing, empty, no text, or in a file that others can read
 */
export async function readSecret(reference: SecretReference, options: SecretOptions): Promise<string> {
  if (reference.kind === 'file') return readSecretFile(reference.name, options.checkPermissions)
  const what = `environment variable ${reference.name}`
  const value = options.environment[reference.name]
  if (value === undefined) throw unavailable(`${what} is not set`, `set ${reference.name} to the secret`)
  return usable(value, what, `set ${reference.name} to the secret`)
}

async function readSecretFile(path: string, checkPermissions: boolean): Promise<string> {
  const what = `password file ${path}`
  let bytes: Uint8Array
  try {
    // Looked at and read through one handle, so that what was looked at is what is read.
    await using file = await open(path)
    const { mode, gid, size } = await file.stat()
    // Pipes are no place where a secret lies for others to find.
    if (checkPermissions && (mode & FILE_TYPE) === REGULAR_FILE) {
      const readers =
        (mode & WORLD_READABLE) !== 0
          ? 'every user of this machine'
          : (mode & GROUP_READABLE) !== 0 && gid !== ROOT_GROUP
            ? `the group ${gid}`
            : undefined
      if (readers !== undefined) throw unavailable(`${what} can be read by ${readers}`, `run: chmod 600 ${path}`)
    }
    if (size > MAX_SECRET_BYTES) throw unavailable(`${what} is larger than 64 KiB`, 'name the file that holds it')
    bytes = await file.readFile()
  } catch (cause) {
    if (isHoldfastError(cause)) throw cause
    const code = systemErrorCode(cause)
    throw code === 'ENOENT'
      ? unavailable(`${what} does not exist`, `write the secret to ${path}, then run: chmod 600 ${path}`, cause)
      : unavailable(`${what} cannot be read: ${code}`, `make ${path} a file that this user can read`, cause)
  }
  const hint = `write the secret to ${path} as one line of text`
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw unavailable(`${what} is not UTF-8 text`, hint)
  }
  return usable(text, what, hint)
}

/** A value as the secret it holds: line ends behind it are what `echo` and `openssl rand -base64` leave there. */
export const trimSecret = (value: string): string => value.replace(/[\r\n]+$/, '')

function usable(value: string, what: string, hint: string): string {
  const secret = trimSecret(value)
  if (secret === '') throw unavailable(`${what} is empty`, hint)
  return secret
}

const unavailable = (message: string, hint: string, cause?: unknown): HoldfastError =>
  new HoldfastError('HF_SECRET_UNAVAILABLE', message, { hint, cause })
