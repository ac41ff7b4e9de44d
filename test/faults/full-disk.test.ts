import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { executeForget, planForgetOf } from '../../src/engine/repository/forget.ts'
import { executePrune } from '../../src/engine/repository/prune/execute-prune.ts'
import { planPrune } from '../../src/engine/repository/prune/plan-prune.ts'
import type { PruneOptions } from '../../src/engine/repository/prune/prune-plan.ts'
import type { Repository } from '../../src/engine/repository/repository.ts'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import type { HoldfastError } from '../../src/lib/errors.ts'
import { lacks } from '../support/requirements.ts'
import { canMount, smallDisk } from '../support/small-disk.ts'
import { newReports, noise, pruneAll } from '../support/storage-victims.ts'
import { backUp, expectResticContent, newRepository, reopen, scratchFolder } from '../support/test-repository.ts'
import { loadEverything } from '../support/whole-snapshots.ts'

const MIB = 1024 * 1024
const PACKS = { packBytes: MIB / 2 }

function writeFiles(folder: string, seed: number, files: number): void {
  mkdirSync(folder, { recursive: true })
  for (let i = 0; i < files; i++) writeFileSync(join(folder, `file ${i}`), noise(seed + i, MIB / 4))
}

async function failureOf(work: Promise<unknown>): Promise<HoldfastError> {
  return await work.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: HoldfastError) => error,
  )
}

/** Every file below the folders of a repository is named by the hash of its content: none is half, none is left over. */
function expectNoHalfFile(path: string): void {
  for (const kind of ['data', 'index', 'keys', 'snapshots'])
    for (const entry of readdirSync(join(path, kind), { recursive: true, withFileTypes: true }))
      if (entry.isFile()) {
        const file = join(entry.parentPath, entry.name)
        expect(basename(file)).toBe(createHash('sha256').update(readFileSync(file)).digest('hex'))
      }
}

async function prune(repository: Repository, options: PruneOptions = pruneAll): Promise<readonly string[]> {
  const { texts, progress } = newReports()
  await executePrune(repository, await planPrune(repository, options, progress), progress)
  return texts
}

describe.skipIf(!canMount())('a repository on a disk of its own (needs to mount one)', () => {
  test('a backup that fills the disk says so, leaves nothing half, and completes once there is space', async () => {
    using disk = smallDisk(24 * MIB)
    using scratch = scratchFolder()
    const path = disk.join('repository')
    writeFiles(scratch.join('data'), 1, 8)
    await backUp(await newRepository(path, PACKS), scratch.join('data'))
    disk.fill(2 * MIB)
    writeFiles(scratch.join('data'), 50, 30)

    const failure = await failureOf(backUp(await reopen(path, PACKS), scratch.join('data')))
    expect(failure.code).toBe('HF_STORAGE_FULL')
    expect(failure.message).toContain(path)
    expect(failure.hint).toMatch(/space/i)
    expectNoHalfFile(path)
    expect(await loadEverything(openLocalStorage(path))).toHaveLength(1)

    disk.free()
    const { snapshot, errors } = await backUp(await reopen(path, PACKS), scratch.join('data'))
    expect(snapshot).toBeDefined()
    expect(errors).toBe(0)
    expect(await loadEverything(openLocalStorage(path))).toHaveLength(2)
    expectNoHalfFile(path)
    if (!lacks('restic')) expectResticContent(path)
  })

  test('there is space for nothing at all: a backup that adds only a few bytes fails as well', async () => {
    using disk = smallDisk(8 * MIB)
    using scratch = scratchFolder()
    const path = disk.join('repository')
    writeFiles(scratch.join('data'), 1, 4)
    await backUp(await newRepository(path), scratch.join('data'))
    disk.fill()
    writeFileSync(scratch.join('data', 'small'), 'x')
    const failure = await failureOf(backUp(await reopen(path), scratch.join('data')))
    expect(failure.code).toBe('HF_STORAGE_FULL')
    expectNoHalfFile(path)
    expect(await loadEverything(openLocalStorage(path))).toHaveLength(1)
  })

  test('prune on a full disk fails and loses nothing; the recovery that writes last makes the space', async () => {
    using disk = smallDisk(24 * MIB)
    using scratch = scratchFolder()
    const path = disk.join('repository')
    await newRepository(path, PACKS)
    for (const age of [0, 1, 2]) {
      writeFiles(scratch.join('data'), 1 + age * 20, 12)
      await backUp(await reopen(path, PACKS), scratch.join('data'))
    }
    const repository = await reopen(path, PACKS)
    const snapshots = await loadSnapshots(repository)
    await executeForget(repository, planForgetOf(snapshots.slice(0, 2)), newReports().progress)
    disk.fill()

    const failure = await failureOf(prune(repository))
    expect(failure.code).toBe('HF_STORAGE_FULL')
    expect(failure.hint).toMatch(/space/i)
    expectNoHalfFile(path)
    expect(await loadEverything(openLocalStorage(path))).toHaveLength(1)

    expect(await prune(await reopen(path, PACKS), { ...pruneAll, maxRepackBytes: 0, unsafeRecovery: true })).toEqual([])
    expect(await loadEverything(openLocalStorage(path))).toHaveLength(1)
    writeFiles(scratch.join('data'), 200, 8)
    await backUp(await reopen(path, PACKS), scratch.join('data'))
    expect(await loadEverything(openLocalStorage(path))).toHaveLength(2)
    if (!lacks('restic')) expectResticContent(path)
  })

  test('a repository on a read-only disk can be read; writing to it fails clearly and changes nothing', async () => {
    using disk = smallDisk(8 * MIB)
    using scratch = scratchFolder()
    const path = disk.join('repository')
    writeFiles(scratch.join('data'), 1, 4)
    const { snapshot } = await backUp(await newRepository(path), scratch.join('data'))
    disk.setWritable(false)
    expect(await loadEverything(openLocalStorage(path))).toHaveLength(1)

    writeFileSync(scratch.join('data', 'new'), 'x')
    const repository = await reopen(path)
    for (const work of [() => backUp(repository, scratch.join('data')), () => newRepository(disk.join('another'))]) {
      const failure = await failureOf(work())
      expect(failure.code).toBe('HF_STORAGE_DENIED')
      expect(failure.hint).toMatch(/read-only/)
    }
    const reports = newReports()
    const { removed, failed } = await executeForget(repository, planForgetOf([snapshot!]), reports.progress)
    expect(removed).toEqual([])
    expect(failed.map(({ error }) => (error as HoldfastError).code)).toEqual(['HF_STORAGE_DENIED'])
    expect(reports.texts.join()).toContain(snapshot!.id)
    expect(await loadEverything(openLocalStorage(path))).toHaveLength(1)
  })
})

describe.skipIf(lacks('root'))('as a user who may not read or write everything', () => {
  const NOBODY = 65534

  /** Does `work` without the rights of root, which no permission stops. */
  async function asNobody<T>(work: () => Promise<T>): Promise<T> {
    process.setegid!(NOBODY)
    process.seteuid!(NOBODY)
    try {
      return await work()
    } finally {
      process.seteuid!(0)
      process.setegid!(0)
    }
  }

  test('what may not be read is reported, one by one; the rest is saved', async () => {
    using scratch = scratchFolder()
    chmodSync(scratch.path, 0o777)
    const data = scratch.join('data')
    for (const folder of ['open', 'closed', 'listable']) writeFiles(join(data, folder), 1, 2)
    writeFileSync(join(data, 'open', 'secret'), 'x')
    chmodSync(join(data, 'open', 'secret'), 0o600)
    // Larger than what one thread reads at once: it is opened elsewhere.
    writeFileSync(join(data, 'open', 'large secret'), noise(9, 9 * MIB))
    chmodSync(join(data, 'open', 'large secret'), 0)
    chmodSync(join(data, 'closed'), 0o700)
    chmodSync(join(data, 'listable'), 0o744)

    const reported: string[] = []
    const path = scratch.join('repository')
    const result = await asNobody(async () => {
      const observer = {
        onError: (item: string, error: Error) => void reported.push(`${item}: ${error.message}`),
      }
      return await backUp(await newRepository(path), data, { observer })
    })
    const items = ['closed', 'listable/file 0', 'listable/file 1', 'open/large secret', 'open/secret']
    expect(reported.map((text) => text.slice(0, text.indexOf(':'))).sort()).toEqual(
      items.map((item) => join(data, item)),
    )
    for (const text of reported) expect(text).toMatch(/EACCES|permission denied/i)
    expect(result.errors).toBe(items.length)
    expect(result.summary.totalFilesProcessed).toBe(2)
    await loadEverything(openLocalStorage(path))

    // Once it can be read, the next run brings what is missing.
    const complete = await backUp(await reopen(path), data)
    expect(complete.errors).toBe(0)
    expect(complete.summary.totalFilesProcessed).toBe(8)
    if (!lacks('restic')) expectResticContent(path)
  })

  test('a repository that may only be read: reading works, writing fails with what to look at', async () => {
    using scratch = scratchFolder()
    chmodSync(scratch.path, 0o755)
    const [path, data] = [scratch.join('repository'), scratch.join('data')]
    writeFiles(data, 1, 4)
    const { snapshot } = await backUp(await newRepository(path), data)
    for (const entry of readdirSync(path, { recursive: true, withFileTypes: true }))
      chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o444)
    chmodSync(path, 0o755)
    writeFileSync(join(data, 'new'), 'x')
    await asNobody(async () => {
      expect(await loadEverything(openLocalStorage(path))).toHaveLength(1)
      const failure = await failureOf(backUp(await reopen(path), data))
      expect(failure.code).toBe('HF_STORAGE_DENIED')
      expect(failure.message).toContain(path)
      expect(failure.hint).toMatch(/permissions/)
      const { failed } = await executeForget(await reopen(path), planForgetOf([snapshot!]), newReports().progress)
      expect(failed).toHaveLength(1)
    })
    expect(await loadEverything(openLocalStorage(path))).toHaveLength(1)
  })

  test('a repository whose files may not be read is no missing one', async () => {
    using scratch = scratchFolder()
    chmodSync(scratch.path, 0o755)
    await newRepository(scratch.join('repository'))
    await asNobody(async () => {
      const failure = await failureOf(reopen(scratch.join('repository')))
      expect(failure.code).toBe('HF_STORAGE_DENIED')
      expect(failure.hint).toMatch(/permissions/)
    })
  })
})
