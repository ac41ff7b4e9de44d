import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import {
  backUp,
  expectResticContent,
  memoryRepository,
  newRepository,
  overStorage,
  PASSWORD,
  reopen,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { noProgress } from '../../lib/progress.ts'
import { withFaults } from '../storage/layers/with-faults.ts'
import { errorFrom } from '../storage/testing.ts'
import { applicableMigrations, applyMigration } from './migrate.ts'
import { openRepository, type Repository } from './repository.ts'
import { BlobWriter } from './write/blob-writer.ts'

const NAME = 'upgrade_repo_v2'
const options = { progress: noProgress }

let temporary: ReturnType<typeof scratchFolder>
beforeEach(() => {
  temporary = scratchFolder()
  vi.stubEnv('TMPDIR', temporary.path)
})
afterEach(() => {
  vi.unstubAllEnvs()
  temporary[Symbol.dispose]()
})

const versionOf = async ({ storage }: Repository): Promise<number> =>
  (await openRepository(storage, { password: PASSWORD })).config.version

describe('migrations', () => {
  test('are offered where they apply', async () => {
    const [old, current] = [await memoryRepository({ version: 1 }), await memoryRepository()]
    expect(applicableMigrations(old)).toMatchObject([{ name: NAME, description: 'upgrade a repository to version 2' }])
    expect(applicableMigrations(current)).toEqual([])
    expect(await applyMigration(current, NAME, options)).toBe('repository is already upgraded to version 2')
    expect((await errorFrom(() => applyMigration(current, NAME, { ...options, force: true }))).code).toBe(
      'HF_REPO_VERSION',
    )
    expect((await errorFrom(() => applyMigration(current, 'something', options))).code).toBe('HF_USAGE')
  })

  test('change the version and nothing else', async () => {
    const repository = await memoryRepository({ version: 1 })
    const { config } = repository
    expect(await applyMigration(repository, NAME, options)).toBeUndefined()
    expect(repository.config).toEqual({ ...config, version: 2 })
    expect((await openRepository(repository.storage, { password: PASSWORD })).config).toEqual(repository.config)
    expect(readdirSync(temporary.path)).toEqual([])
  })

  test('leave a damaged repository as it is', async () => {
    const repository = await memoryRepository({ version: 1 })
    const writer = new BlobWriter(repository)
    await writer.save('data', new Uint8Array(100))
    await writer.flush()
    for (const name of await repository.list('data')) await repository.storage.delete({ kind: 'data', name })
    expect((await errorFrom(() => applyMigration(repository, NAME, options))).code).toBe('HF_DATA_DAMAGED')
    expect(await versionOf(repository)).toBe(1)
  })

  test.each(['fail', 'fail-after'] as const)('that cannot store the config (%s) put the old one back', async (type) => {
    const plain = await memoryRepository({ version: 1 })
    const error = new HoldfastError('HF_STORAGE_FULL', 'no space')
    const storage = withFaults(plain.storage, [{ operation: 'put', kind: 'config', times: 1, effect: { type, error } }])
    const repository = overStorage(plain, storage)
    const failure = await errorFrom(() => applyMigration(repository, NAME, options))
    expect(failure.cause).toBe(error)
    expect(failure.message).toMatch('the old one was put back')
    expect(await versionOf(plain)).toBe(1)
    expect(repository.config.version).toBe(1)
  })

  test('that cannot put the old config back either leave a copy and say where', async () => {
    const plain = await memoryRepository({ version: 1 })
    const stored = await plain.storage.get({ kind: 'config' })
    const error = new HoldfastError('HF_STORAGE_FULL', 'no space')
    const storage = withFaults(plain.storage, [{ operation: 'put', kind: 'config', effect: { type: 'fail', error } }])
    const failure = await errorFrom(() => applyMigration(overStorage(plain, storage), NAME, options))
    expect(failure.message).toMatch('could not be put back either: no space')
    const copy = /(\/.*\/config);/.exec(failure.hint!)![1]!
    expect(new Uint8Array(readFileSync(copy))).toEqual(stored)
    expect(statSync(copy).mode & 0o777).toBe(0o600)
  })
})

describe.skipIf(lacks('restic'))('an upgraded repository', () => {
  test('is content for restic, and new data is compressed', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const repository = await newRepository(path, { version: 1 })
    mkdirSync(scratch.join('data'))
    writeFileSync(scratch.join('data', 'old'), 'old text '.repeat(1000))
    await backUp(repository, scratch.join('data'))
    await applyMigration(repository, NAME, options)
    const upgraded = await reopen(path)
    writeFileSync(scratch.join('data', 'new'), 'new text '.repeat(1000))
    const { summary } = await backUp(upgraded, scratch.join('data'))
    expect(summary.dataAddedPackedBytes).toBeLessThan(summary.dataAddedBytes / 2)
    expectResticContent(path)
    expect(JSON.parse(restic(path, 'cat', 'config').stdout)).toMatchObject({ version: 2 })
  })
})
