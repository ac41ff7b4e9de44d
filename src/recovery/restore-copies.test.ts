import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { filesSource, opened, plain, run } from '../../test/support/run-stage.ts'
import { noise } from '../../test/support/storage-victims.ts'
import { memoryRepository, overStorage, scratchFolder } from '../../test/support/test-repository.ts'
import type { Repository } from '../engine/repository/repository.ts'
import { withFaults } from '../engine/storage/layers/with-faults.ts'
import type { Storage } from '../engine/storage/storage.ts'
import { HoldfastError } from '../lib/errors.ts'
import { findCopies } from './restore-copies.ts'
import { type CopySwitch, executeRestores, failureOfRestores, planRestores } from './restore-run.ts'

const options = { chunkerPolynomial: 0x25b468838dcb75n, packBytes: 4 * 1024 * 1024 }
const FILES = 24
const SIZE = 700_000

/** A folder, backed up into two repositories at once. */
async function twoCopies(folder: string): Promise<{ readonly one: Repository; readonly two: Repository }> {
  mkdirSync(folder)
  for (let i = 0; i < FILES; i++) writeFileSync(`${folder}/${i}`, noise(i, SIZE))
  const [one, two] = [await memoryRepository(options), await memoryRepository(options)]
  await run({ one, two }, [plain(filesSource('uploads', [folder]))])
  return { one, two }
}

describe('restoring a source of several repositories', () => {
  test('goes over to another copy when one fails in the middle, and writes nothing twice', async () => {
    using scratch = scratchFolder()
    const folder = scratch.join('data')
    const { one, two } = await twoCopies(folder)
    // It gives so much and then no more.
    let left = 9_000_000
    const get: Storage['get'] = async (file, range, more) => {
      const bytes = await one.storage.get(file, range, more)
      left -= file.kind === 'data' ? bytes.length : 0
      if (left < 0) throw new HoldfastError('HF_STORAGE_IO', 'the network is gone')
      return bytes
    }
    const dying = overStorage(one, { ...withFaults(one.storage, []), get })
    const source = filesSource('uploads', [folder])
    const copies = await findCopies([await opened('dying', dying), await opened('two', two)], 'uploads', {
      kind: 'latest',
    })
    const ordered = copies.toSorted((a) => (a.name === 'dying' ? -1 : 1))
    const target = scratch.join('restored')
    const request = {
      target: { kind: 'directory', path: target },
      include: [],
      exclude: [],
      rename: [],
      overwrite: false,
    } as const
    const switches: CopySwitch[] = []
    const planned = await planRestores([{ source, copies: ordered, request }], (_, change) => switches.push(change))
    expect(switches).toEqual([])
    const written = new Map<string, bigint>()
    const results = await executeRestores(planned, () => ({
      onStep: () => undefined,
      onProgress: () => undefined,
      onWarning: () => undefined,
      onError: () => undefined,
      onSwitch: (change) => {
        switches.push(change)
        for (let i = 0; i < FILES; i++) {
          const path = `${target}${folder}/${i}`
          const now = statSync(path, { bigint: true, throwIfNoEntry: false })
          if (now !== undefined && readFileSync(path).equals(noise(i, SIZE))) written.set(path, now.ino)
        }
      },
      onFinished: () => undefined,
    }))
    expect(failureOfRestores(results)).toBeUndefined()
    expect(results[0]!.copy.name).toBe('two')
    expect(switches).toHaveLength(1)
    expect(switches[0]).toMatchObject({
      from: { name: 'dying' },
      to: { name: 'two' },
      error: { code: 'HF_STORAGE_IO' },
    })
    for (let i = 0; i < FILES; i++) expect(readFileSync(`${target}${folder}/${i}`).equals(noise(i, SIZE))).toBe(true)
    expect(written.size).toBeGreaterThan(0)
    for (const [path, inode] of written) expect(statSync(path, { bigint: true }).ino, path).toBe(inode)
  })

  test('takes what reads before what does not, and the newest of all repositories', async () => {
    using scratch = scratchFolder()
    const folder = scratch.join('data')
    const { one, two } = await twoCopies(folder)
    const error = new HoldfastError('HF_STORAGE_DENIED', 'no')
    const denied = overStorage(
      one,
      withFaults(one.storage, [{ operation: 'get', kind: 'data', effect: { type: 'fail', error } }]),
    )
    const places = [await opened('denied', denied), await opened('two', two)]
    const copies = await findCopies(places, 'uploads', { kind: 'latest' })
    expect(copies.map(({ name }) => name)).toEqual(['two', 'denied'])
    expect(copies[0]!.reason).toMatch(/\/s$/)
    expect(copies[1]!.reason).toContain('it cannot be read: no')
    writeFileSync(`${folder}/more`, 'more')
    await two.loadIndex()
    await run({ two }, [plain(filesSource('uploads', [folder]))], { run: 'later' })
    const later = await findCopies([await opened('one', one), await opened('two', two)], 'uploads', { kind: 'latest' })
    expect(later.map(({ name }) => name)).toEqual(['two'])
  })
})
