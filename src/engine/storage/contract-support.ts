import { hash } from 'node:crypto'
import { equalBytes } from '../../lib/bytes.ts'
import { type ErrorCode, HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { randomBytes } from '../../lib/random.ts'
import { describeFile, type FileRef, type NamedFileKind, type Storage } from './storage.ts'

/** What the checks of `contract.ts` are made of: files with right names, and expectations that throw HF_STORAGE_CONTRACT. */

export type NamedFile = Extract<FileRef, { kind: NamedFileKind }>

/** A file with the name that its content gives it. */
export function namedFile(kind: NamedFileKind, content: Uint8Array): NamedFile {
  return { kind, name: hash('sha256', content) }
}

export function newFile(kind: NamedFileKind, size: number): { readonly file: NamedFile; readonly content: Uint8Array } {
  const content = randomBytes(size)
  return { file: namedFile(kind, content), content }
}

export async function putNew(storage: Storage, file: FileRef, size: number): Promise<Uint8Array> {
  const content = randomBytes(size)
  await storage.put(file, content)
  return content
}

export function fail(what: string, cause?: unknown): never {
  throw new HoldfastError('HF_STORAGE_CONTRACT', `the storage breaks its contract: ${what}`, { cause })
}

export async function expectContent(storage: Storage, file: FileRef, content: Uint8Array): Promise<void> {
  expectBytes(await storage.get(file), content, describeFile(file))
}

export function expectBytes(found: Uint8Array, expected: Uint8Array, what: string): void {
  expectEqual(found.length, expected.length, `length of ${what}`)
  if (!equalBytes(found, expected)) fail(`${what} came back with other bytes`)
}

export function expectEqual(found: number, expected: number | undefined, what: string): void {
  if (found !== expected) fail(`${what} is ${found} instead of ${expected}`)
}

export function expectCode(error: unknown, code: ErrorCode, what: string): void {
  if (!isHoldfastError(error, code)) fail(`${what} ended with ${error} instead of ${code}`, error)
}

export async function expectError(code: ErrorCode, what: string, call: () => Promise<unknown>): Promise<void> {
  try {
    await call()
  } catch (error) {
    return expectCode(error, code, what)
  }
  fail(`${what} succeeded instead of ending with ${code}`)
}
