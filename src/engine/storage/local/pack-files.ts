import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { equalBytes } from '../../../lib/bytes.ts'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { assertRange, shortFile } from '../range.ts'
import { describeFile, type FileRef, type StorageProperties } from '../storage.ts'
import { passGate } from '../write-gate.ts'
import { writeFileDurablySync } from './durable-file.ts'
import { makeFolderOf } from './folders.ts'
import { pathOf } from './layout.ts'
import { localError } from './local-error.ts'

/** The part of `Storage.properties` that is posted to a worker thread: plain data. */
export type PackDirectory = NonNullable<StorageProperties['directory']>

/** Opening never waits, not even when somebody has put a named pipe in the place of a file. */
export const READ_FLAGS: number = constants.O_RDONLY | constants.O_NONBLOCK

const packOf = (id: Id): FileRef => ({ kind: 'data', name: id })

/**
 * Writes a pack from a worker thread, with the durability and permissions of `Storage.put`; blocks until it would survive a power cut.
 * `bytes` may lie in shared memory. The same pack already there is a success; another content under that name is HF_STORAGE_EXISTS.
 * Waits at the gate of the directory. Other errors as of `Storage.put`.
 */
export function writePackFile(directory: PackDirectory, id: Id, bytes: Uint8Array): void {
  const file = packOf(id)
  if (directory.gate) passGate(directory.gate)
  try {
    writeFileDurablySync(pathOf(directory.path, file), bytes, {
      mode: directory.fileMode,
      makeFolder: () => makeFolderOf(file, directory),
    })
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw localError(error, 'write', describeFile(file), directory.path)
    assertSamePack(directory, id, bytes)
  }
}

/**
 * Fills `target`, which may lie in shared memory, with the bytes of a pack from `offset` on; blocks.
 * HF_STORAGE_SHORT when the pack ends before `target` is full, HF_STORAGE_NOT_FOUND when there is none.
 */
export function readPackInto(directory: PackDirectory, id: Id, offset: number, target: Uint8Array): void {
  const file = packOf(id)
  assertRange(file, { offset, length: target.length })
  withPack(directory, id, (descriptor) => {
    for (let done = 0; done < target.length; ) {
      const count = readSync(descriptor, target, done, target.length - done, offset + done)
      if (count === 0) {
        const { size } = fstatSync(descriptor)
        throw shortFile(describeFile(file), size, { offset, length: target.length }, directory.path)
      }
      done += count
    }
  })
}

function assertSamePack(directory: PackDirectory, id: Id, bytes: Uint8Array): void {
  const same = withPack(directory, id, (descriptor) => {
    if (fstatSync(descriptor).size !== bytes.length) return false
    const existing = new Uint8Array(bytes.length)
    readPackInto(directory, id, 0, existing)
    return equalBytes(existing, bytes)
  })
  if (same) return
  const object = describeFile(packOf(id))
  throw new HoldfastError('HF_STORAGE_EXISTS', `${object} in ${directory.path} exists with another content`, {
    hint: 'The existing file is damaged: run check --read-data.',
    context: { object, location: directory.path },
  })
}

function withPack<T>(directory: PackDirectory, id: Id, use: (descriptor: number) => T): T {
  const file = packOf(id)
  try {
    const descriptor = openSync(pathOf(directory.path, file), READ_FLAGS)
    try {
      return use(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    throw localError(error, 'read', describeFile(file), directory.path)
  }
}
