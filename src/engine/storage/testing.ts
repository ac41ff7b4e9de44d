import { createHash } from 'node:crypto'
import { HoldfastError } from '../../lib/errors.ts'
import type { FileRef, NamedFileKind } from './storage.ts'

/** For tests: the HoldfastError that a call ends with; an error of its own when it succeeds or fails otherwise. */
export async function errorFrom(call: () => unknown): Promise<HoldfastError> {
  try {
    await call()
  } catch (error) {
    if (error instanceof HoldfastError) return error
    throw error
  }
  throw new Error('the call was expected to fail')
}

/** For tests: a file with the name that its content gives it. */
export function namedFile(kind: NamedFileKind, content: Uint8Array): Exclude<FileRef, { kind: 'config' }> {
  return { kind, name: createHash('sha256').update(content).digest('hex') }
}
