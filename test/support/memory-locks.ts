import { createHash } from 'node:crypto'
import { decodeLock, type LockInfo } from '../../src/engine/repository/lock-file.ts'
import type { LockFiles } from '../../src/engine/repository/lock-files.ts'
import { HoldfastError } from '../../src/lib/errors.ts'
import type { Id } from '../../src/lib/id.ts'

/** Lock files in memory; each call may be made to wait or to fail. */
export class MemoryLocks implements LockFiles {
  readonly files: Map<Id, Uint8Array> = new Map()
  before: (call: 'list' | 'load' | 'save' | 'remove', id: Id | undefined) => Promise<void> | void = () => undefined
  #saved = 0

  async list(): Promise<readonly { readonly name: Id; readonly sizeBytes: number }[]> {
    await this.before('list', undefined)
    return [...this.files].map(([name, json]) => ({ name, sizeBytes: json.length }))
  }

  async load(id: Id): Promise<Uint8Array> {
    await this.before('load', id)
    const json = this.files.get(id)
    if (json === undefined) throw new HoldfastError('HF_STORAGE_NOT_FOUND', `no lock ${id}`)
    return json
  }

  async save(json: Uint8Array): Promise<Id> {
    await this.before('save', undefined)
    const id = createHash('sha256')
      .update(`${this.#saved++}`)
      .digest('hex')
    this.files.set(id, json)
    return id
  }

  async remove(id: Id): Promise<void> {
    await this.before('remove', id)
    if (!this.files.delete(id)) throw new HoldfastError('HF_STORAGE_NOT_FOUND', `no lock ${id}`)
  }

  get locks(): LockInfo[] {
    return [...this.files].map(([id, json]) => decodeLock(json, id))
  }
}
