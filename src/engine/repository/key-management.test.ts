import { writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import {
  CHEAP_KDF,
  memoryRepository,
  newRepository,
  overStorage,
  PASSWORD,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import { utf8 } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { sha256Hex } from '../kernels/sha256.ts'
import { withFaults } from '../storage/layers/with-faults.ts'
import type { Storage } from '../storage/storage.ts'
import { errorFrom } from '../storage/testing.ts'
import { addKey, changePassword, listKeys, removeKey } from './key-management.ts'
import { openRepository } from './repository.ts'

const cheap = { kdf: CHEAP_KDF }

const opens = async (storage: Storage, password: string): Promise<boolean> =>
  await openRepository(storage, { password }).then(
    () => true,
    () => false,
  )

describe('keys', () => {
  test('are listed with who made them, the one in use marked', async () => {
    const repository = await memoryRepository()
    const id = await addKey(repository, 'second', { ...cheap, username: 'ann', hostname: 'desk' })
    const keys = await listKeys(repository)
    expect(keys.map((key) => key.id)).toEqual([id, repository.keyId].sort())
    expect(keys.find((key) => key.id === id)).toMatchObject({ isCurrent: false, username: 'ann', hostname: 'desk' })
    expect(keys.find((key) => key.id === repository.keyId)).toMatchObject({ isCurrent: true })
    const now = Number(repository.clock.now() / 1_000_000_000n)
    for (const { created } of keys) expect(Math.abs(created.seconds - now)).toBeLessThan(60)
    const second = await openRepository(repository.storage, { password: 'second' })
    expect(second.keyId).toBe(id)
    expect(second.masterKey).toEqual(repository.masterKey)
  })

  test('that are damaged are reported and do not hide the others', async () => {
    const repository = await memoryRepository()
    const garbage = utf8('{"kdf":"scrypt"')
    await repository.storage.put({ kind: 'key', name: sha256Hex(garbage) }, garbage)
    const unreadable: string[] = []
    const keys = await listKeys(repository, { onUnreadable: (id, error) => unreadable.push(`${id} ${error.name}`) })
    expect(keys).toHaveLength(1)
    expect(unreadable).toEqual([`${sha256Hex(garbage)} HoldfastError`])
  })

  test('are removed by the beginning of their id, but never the one in use', async () => {
    const repository = await memoryRepository()
    const ids: string[] = []
    // Seventeen ids share a first digit somewhere.
    for (let i = 0; i < 17; i++) ids.push(await addKey(repository, `${i}`, cheap))
    const shared = ids.find((id) => ids.some((other) => other !== id && other[0] === id[0]))![0]!
    expect((await errorFrom(() => removeKey(repository, shared))).code).toBe('HF_KEY_NOT_FOUND')
    expect((await errorFrom(() => removeKey(repository, 'not a key'))).code).toBe('HF_KEY_NOT_FOUND')
    expect((await errorFrom(() => removeKey(repository, ''))).code).toBe('HF_KEY_NOT_FOUND')
    expect((await errorFrom(() => removeKey(repository, repository.keyId))).code).toBe('HF_KEY_IN_USE')
    expect(await removeKey(repository, ids[0]!.slice(0, 20))).toBe(ids[0])
    expect(await opens(repository.storage, '0')).toBe(false)
    expect(await opens(repository.storage, '1')).toBe(true)
  })

  test('replaced by a new password no longer open the repository', async () => {
    const repository = await memoryRepository()
    const id = await changePassword(repository, 'new', cheap)
    expect(await repository.list('key')).toEqual([id])
    expect(await opens(repository.storage, PASSWORD)).toBe(false)
    expect(await opens(repository.storage, 'new')).toBe(true)
  })

  test('are changed without a moment in which none opens the repository', async () => {
    const error = new HoldfastError('HF_STORAGE_IO', 'cut off')
    for (const operation of ['put', 'get', 'delete'] as const) {
      for (const type of ['fail', 'fail-after'] as const) {
        const plain = await memoryRepository()
        const storage = withFaults(plain.storage, [{ operation, kind: 'key', times: 1, effect: { type, error } }])
        const repository = overStorage(plain, storage)
        await errorFrom(() => changePassword(repository, 'new', cheap))
        const either = [await opens(plain.storage, PASSWORD), await opens(plain.storage, 'new')]
        expect(either, `${operation} ${type}`).toContain(true)
        if (operation === 'get') expect(either).toEqual([true, false])
      }
    }
  })

  test('that were not stored as they were sent are not kept', async () => {
    const plain = await memoryRepository()
    for (const effect of [{ type: 'cut', bytes: 0 } as const, { type: 'cut', bytes: 300 } as const]) {
      const storage = withFaults(plain.storage, [{ operation: 'put', kind: 'key', effect }])
      const repository = overStorage(plain, storage)
      expect((await errorFrom(() => changePassword(repository, 'new', cheap))).code).toBe('HF_KEY_INVALID')
      expect(await plain.list('key')).toEqual([plain.keyId])
    }
  })
})

describe.skipIf(lacks('restic'))('keys and restic', () => {
  test('restic opens the repository with a key added here, and one added by restic opens it here', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('r')
    const repository = await newRepository(path)
    await addKey(repository, 'second', { ...cheap, username: 'ann', hostname: 'desk' })
    const listed = JSON.parse(restic(path, 'key', 'list', '--json').stdout) as { userName: string; current: boolean }[]
    expect(listed.map(({ userName }) => userName)).toContain('ann')
    await changePassword(await openRepository(repository.storage, { password: 'second' }), PASSWORD, cheap)
    writeFileSync(scratch.join('third'), 'third\n')
    expect(restic(path, 'key', 'add', '--new-password-file', scratch.join('third')).status).toBe(0)
    expect(await opens(repository.storage, 'third')).toBe(true)
  })
})
