import { chmodSync, closeSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** A pack file of a repository in a folder, to be damaged and mended. */
export interface PackFile {
  readonly path: string
  readonly sizeBytes: number
  /** Turns every bit of one byte. */
  flip(offset: number): void
}

/** All packs of a repository in a folder. */
export const packsOf = (repository: string): PackFile[] =>
  readdirSync(join(repository, 'data'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return { path, sizeBytes: statSync(path).size, flip: (offset) => flipByte(path, offset) }
    })

function flipByte(path: string, offset: number): void {
  chmodSync(path, 0o600)
  const file = openSync(path, 'r+')
  const byte = new Uint8Array(1)
  readSync(file, byte, 0, 1, offset)
  byte[0]! ^= 0xff
  writeSync(file, byte, 0, 1, offset)
  closeSync(file)
}
