import { HoldfastError } from '../../../lib/errors.ts'
import { isId } from '../../../lib/id.ts'
import type { StoreFeatures } from '../features.ts'
import { fileKey } from '../file-key.ts'
import { throwIfInterrupted } from '../interruption.ts'
import { rangeWithin } from '../range.ts'
import {
  type ByteRange,
  type CallOptions,
  describeFile,
  type FileRef,
  type NamedFileKind,
  type PutOptions,
  type Storage,
  type StorageProperties,
  type StoredFile,
} from '../storage.ts'

/** A store that lives as long as the object: for tests, and the shortest statement of what a backend does. */
export function openMemoryStorage(location = 'memory'): Storage {
  return new MemoryStorage(location)
}

class MemoryStorage implements Storage {
  readonly location: string
  readonly properties: StorageProperties = { connections: 8, atomicReplace: true, createOnly: true }
  readonly features: StoreFeatures = {}
  readonly #files = new Map<string, Uint8Array>()

  constructor(location: string) {
    this.location = location
  }

  async create(options: CallOptions = {}): Promise<void> {
    throwIfInterrupted(options.signal)
  }

  async put(file: FileRef, content: Uint8Array, options: PutOptions = {}): Promise<void> {
    throwIfInterrupted(options.signal)
    const key = keyOf(file)
    if (!options.replace && this.#files.has(key)) {
      throw new HoldfastError(
        'HF_STORAGE_EXISTS',
        `cannot write ${describeFile(file)} in ${this.location}: it exists already`,
      )
    }
    this.#files.set(key, new Uint8Array(content))
  }

  async get(file: FileRef, range?: ByteRange, options: CallOptions = {}): Promise<Uint8Array> {
    throwIfInterrupted(options.signal)
    const content = this.#find(file)
    const { offset, length } = rangeWithin(file, content.length, range, this.location)
    return content.slice(offset, offset + length)
  }

  async stat(file: FileRef, options: CallOptions = {}): Promise<{ readonly sizeBytes: number }> {
    throwIfInterrupted(options.signal)
    return { sizeBytes: this.#find(file).length }
  }

  async *list(kind: NamedFileKind, options: CallOptions = {}): AsyncIterable<StoredFile> {
    throwIfInterrupted(options.signal)
    for (const [key, content] of [...this.#files]) {
      throwIfInterrupted(options.signal)
      const [keyKind, name] = key.split('/')
      if (keyKind === kind && name !== undefined) yield { name, sizeBytes: content.length }
    }
  }

  async delete(file: FileRef, options: CallOptions = {}): Promise<void> {
    throwIfInterrupted(options.signal)
    this.#find(file)
    this.#files.delete(keyOf(file))
  }

  async close(): Promise<void> {}

  #find(file: FileRef): Uint8Array {
    const content = this.#files.get(keyOf(file))
    if (content !== undefined) return content
    throw new HoldfastError('HF_STORAGE_NOT_FOUND', `there is no ${describeFile(file)} in ${this.location}`)
  }
}

function keyOf(file: FileRef): string {
  if (file.kind === 'config' || isId(file.name)) return fileKey(file)
  throw new HoldfastError('HF_INTERNAL', `${JSON.stringify(file.name)} is not the name of a file`)
}
