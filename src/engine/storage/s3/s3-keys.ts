import { HoldfastError } from '../../../lib/errors.ts'
import { isId } from '../../../lib/id.ts'
import { folders } from '../local/layout.ts'
import type { FileKind, FileRef, NamedFileKind } from '../storage.ts'

/** Keys of a repository's files: those of restic, which are the paths of the local layout. */
export class S3Keys {
  readonly #root: string

  constructor(prefix: string) {
    this.#root = prefix === '' ? '' : `${prefix}/`
  }

  /** What all keys of the repository begin with. */
  get root(): string {
    return this.#root
  }

  /** @throws HoldfastError HF_INTERNAL for a name that is no id, so that nothing leaves the repository */
  of(file: FileRef): string {
    if (file.kind === 'config') return `${this.#root}config`
    const { kind, name } = file
    if (!isId(name)) throw new HoldfastError('HF_INTERNAL', `${JSON.stringify(name)} is not the name of a file`)
    return `${this.folder(kind)}${kind === 'data' ? `${name.slice(0, 2)}/` : ''}${name}`
  }

  /** What the keys of all files of a kind begin with. */
  folder(kind: NamedFileKind): string {
    return `${this.#root}${folders[kind]}/`
  }

  /** The name of the file of this kind that has the key; undefined for a key that is none of its. */
  nameOf(kind: NamedFileKind, key: string | undefined): string | undefined {
    if (key === undefined || !key.startsWith(this.folder(kind))) return undefined
    const name = key.slice(key.lastIndexOf('/') + 1)
    return isId(name) && this.of({ kind, name }) === key ? name : undefined
  }

  /** The file that has the key; undefined for a key that is none of the repository's. */
  fileOf(key: string): FileRef | undefined {
    if (key === `${this.#root}config`) return { kind: 'config' }
    for (const kind of Object.keys(folders) as Exclude<FileKind, 'config'>[]) {
      const name = this.nameOf(kind, key)
      if (name !== undefined) return { kind, name }
    }
    return undefined
  }
}
