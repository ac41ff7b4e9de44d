import { createHash, randomFillSync } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { errorFrom } from '../testing.ts'
import { type PackDirectory, readPackInto, writePackFile } from './pack-files.ts'

let root: string
let directory: PackDirectory

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-packs-'))
  directory = { path: root, fileMode: 0o600, directoryMode: 0o700 }
  mkdirSync(join(root, 'data'))
})
afterEach(() => rmSync(root, { recursive: true }))

const pack = (size: number): { bytes: Uint8Array; id: string; path: string } => {
  const bytes = randomFillSync(new Uint8Array(size))
  const id = createHash('sha256').update(bytes).digest('hex')
  return { bytes, id, path: join(root, 'data', id.slice(0, 2), id) }
}

describe('writing packs', () => {
  test('a written pack is complete, read-only and alone in its folder', () => {
    const { bytes, id, path } = pack(3_000_001)
    writePackFile(directory, id, bytes)
    expect(readFileSync(path).equals(bytes)).toBe(true)
    expect(statSync(path).mode & 0o777).toBe(0o400)
    expect(readdirSync(join(path, '..'))).toEqual([id])
  })

  test('bytes in shared memory are written and read like others', () => {
    const { bytes, id } = pack(70_000)
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
    shared.set(bytes)
    writePackFile(directory, id, shared)
    writePackFile(directory, id, shared)
    const target = new Uint8Array(new SharedArrayBuffer(100))
    readPackInto(directory, id, 60_000, target)
    expect([...target]).toEqual([...bytes.subarray(60_000, 60_100)])
  })

  test('writing the same pack again changes nothing', () => {
    const { bytes, id, path } = pack(1000)
    writePackFile(directory, id, bytes)
    const before = statSync(path, { bigint: true })
    writePackFile(directory, id, bytes)
    expect(statSync(path, { bigint: true }).ino).toBe(before.ino)
    expect(readdirSync(join(path, '..'))).toEqual([id])
  })

  test.each([
    ['a flipped bit', (bytes: Uint8Array): Uint8Array => bytes.with(500, bytes[500]! ^ 1)],
    ['a missing end', (bytes: Uint8Array): Uint8Array => bytes.subarray(0, 999)],
    ['nothing', (): Uint8Array => new Uint8Array()],
  ])('an existing pack with %s is not taken for the same', async (_, damage) => {
    const { bytes, id, path } = pack(1000)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, damage(bytes))
    const error = await errorFrom(() => writePackFile(directory, id, bytes))
    expect(error).toMatchObject({ code: 'HF_STORAGE_EXISTS', retry: 'never' })
    expect(readFileSync(path).equals(damage(bytes))).toBe(true)
  })

  test('a missing folder is made, for its owner alone', () => {
    const { bytes, id, path } = pack(10)
    rmSync(join(root, 'data'), { recursive: true })
    writeFileSync(join(root, 'config'), '')
    const umask = process.umask(0)
    try {
      writePackFile(directory, id, bytes)
    } finally {
      process.umask(umask)
    }
    expect(statSync(join(root, 'data')).mode & 0o777).toBe(0o700)
    expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700)
  })

  test('a place that has become empty is not filled (S4-10)', async () => {
    const { bytes, id } = pack(10)
    rmSync(root, { recursive: true })
    mkdirSync(root)
    const error = await errorFrom(() => writePackFile(directory, id, bytes))
    expect(error.code).toBe('HF_REPO_NOT_FOUND')
    expect(readdirSync(root)).toEqual([])
  })

  test('a name that is no id never becomes a path', async () => {
    const error = await errorFrom(() => writePackFile(directory, '../../../etc/passwd', new Uint8Array(1)))
    expect(error.code).toBe('HF_INTERNAL')
  })
})

describe('reading packs', () => {
  test('exactly the bytes asked for', () => {
    const { bytes, id } = pack(1000)
    writePackFile(directory, id, bytes)
    const target = new Uint8Array(100)
    readPackInto(directory, id, 900, target)
    expect([...target]).toEqual([...bytes.subarray(900)])
    readPackInto(directory, id, 1000, new Uint8Array(0))
  })

  test('bytes past the end are an error that no retry heals', async () => {
    const { bytes, id } = pack(1000)
    writePackFile(directory, id, bytes)
    const error = await errorFrom(() => readPackInto(directory, id, 901, new Uint8Array(100)))
    expect(error).toMatchObject({ code: 'HF_STORAGE_SHORT', retry: 'never', context: { sizeBytes: 1000 } })
    expect((await errorFrom(() => readPackInto(directory, id, -1, new Uint8Array(1)))).code).toBe('HF_INTERNAL')
  })

  test('a pack that is not there', async () => {
    const { id } = pack(10)
    const error = await errorFrom(() => readPackInto(directory, id, 0, new Uint8Array(1)))
    expect(error.code).toBe('HF_STORAGE_NOT_FOUND')
    expect(error.message).toContain(`data/${id.slice(0, 8)}`)
  })
})

test('a folder that may not be written: a clear error that no retry heals', async () => {
  const { bytes, id } = pack(10)
  const isRoot = process.getuid?.() === 0
  if (isRoot) process.seteuid?.(65_534)
  else chmodSync(join(root, 'data'), 0o500)
  try {
    const error = await errorFrom(() => writePackFile(directory, id, bytes))
    expect(error).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix' })
    expect(error.message).toContain(root)
  } finally {
    if (isRoot) process.seteuid?.(0)
    else chmodSync(join(root, 'data'), 0o700)
  }
})
