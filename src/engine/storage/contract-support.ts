import { hash } from 'node:crypto'
import { equalBytes } from '../../lib/bytes.ts'
import { type ErrorCode, HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { isId } from '../../lib/id.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import { randomBytes } from '../../lib/random.ts'
import { fileKey } from './file-key.ts'
import { describeFile, type FileRef, type NamedFileKind, type Storage } from './storage.ts'

/** What the checks of `contract.ts` are made of: files with right names, and expectations that throw HF_STORAGE_CONTRACT. */

/** How much work the checks make; smaller numbers save requests on a store that charges for them. */
export interface CheckSizes {
  readonly listedFiles: number
  readonly largeFileBytes: number
}

/**
 * One promise of the contract in `storage.ts`. `run` needs an empty, created storage and leaves it empty; it throws HF_STORAGE_CONTRACT when the
 * promise is broken. All files it writes have the names that their contents give them, as some stores insist.
 */
export interface StorageCheck {
  readonly name: string
  run(storage: Storage, sizes?: CheckSizes): Promise<void>
}

export const FULL_SIZES: CheckSizes = { listedFiles: 5000, largeFileBytes: 20 << 20 }
export const KINDS: readonly NamedFileKind[] = ['data', 'index', 'key', 'lock', 'snapshot']
export const config: FileRef = { kind: 'config' }

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

/**
 * Writes a file whose put was cancelled. A server that got all of it before may finish that put even now, so either may win; afterwards the
 * file is there for certain and can be removed for good.
 */
export async function putAfterCancelled(storage: Storage, file: FileRef, content: Uint8Array): Promise<void> {
  await storage.put(file, content).catch((error: unknown) => {
    expectCode(error, 'HF_STORAGE_EXISTS', 'a put after a cancelled one')
  })
  await expectContent(storage, file, content)
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

type Body = (storage: Storage, sizes: CheckSizes) => Promise<void>

/** A check that removes afterwards what its body has put. */
export function check(name: string, body: Body): StorageCheck {
  const run = async (storage: Storage, sizes: CheckSizes = FULL_SIZES): Promise<void> => {
    const written = new Map<string, FileRef>()
    const watched: Storage = {
      location: storage.location,
      properties: storage.properties,
      features: storage.features,
      create: (options) => storage.create(options),
      put: (file, content, options) => {
        if (file.kind === 'config' || isId(file.name)) written.set(fileKey(file), file)
        return storage.put(file, content, options)
      },
      get: (file, range, options) => storage.get(file, range, options),
      stat: (file, options) => storage.stat(file, options),
      list: (kind, options) => storage.list(kind, options),
      delete: (file, options) => storage.delete(file, options),
      close: () => storage.close(),
    }
    try {
      await body(watched, sizes)
    } finally {
      await forEachParallel(written.values(), storage.properties.connections, (file) => removeIfThere(storage, file))
    }
  }
  return { name, run }
}

async function removeIfThere(storage: Storage, file: FileRef): Promise<void> {
  try {
    await storage.delete(file)
  } catch (error) {
    if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
  }
}
