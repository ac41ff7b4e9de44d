import { closeSync, openSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { memoryRepository, scratchFolder } from '../../../../test/support/test-repository.ts'
import { randomBytes } from '../../../lib/random.ts'
import { sha256, sha256Calibration } from '../../kernels/sha256.ts'
import type { FinishedPack } from '../../repository/pack/pack-writer.ts'
import type { Repository } from '../../repository/repository.ts'
import { SharedIdSet } from '../../repository/write/shared-id-set.ts'
import type { SaverData } from './messages.ts'
import { Saver } from './saver.ts'

const KIB = 1024

const dataFor = (repository: Repository): SaverData => ({
  key: repository.masterKey,
  version: 2,
  chunkerPolynomial: repository.config.chunkerPolynomial,
  compression: 'off',
  packBytes: 64 * KIB,
  extraVerify: 'compare',
  index: repository.index.share(),
  claimed: new SharedIdSet().memory,
  sha256: sha256Calibration(),
  directory: undefined,
  preserveAccessTimes: false,
  dryRun: false,
})

test('a file with a hole that cannot be read leaves nothing in the next one', async () => {
  using scratch = scratchFolder()
  writeFileSync(scratch.join('file'), '')
  const saver = new Saver(dataFor(await memoryRepository()), { store: () => undefined, settle: () => undefined })
  // What reading a folder fails with stands for a disk that is broken behind the hole.
  const fd = openSync(scratch.path, 'r')
  const ranges = [{ start: 2048 * KIB, end: Number.MAX_SAFE_INTEGER }]
  try {
    expect(() => saver.saveSegment(fd, 0, ranges, () => undefined)).toThrow(/EISDIR/)
  } finally {
    closeSync(fd)
  }
  const bytes = randomBytes(10 * KIB)
  const saved = saver.saveCut(bytes, Uint32Array.of(bytes.length))
  expect(saved).toMatchObject({ kind: 'cut', content: { newBlobs: 1 } })
  if (saved.kind === 'cut') expect(Buffer.from(saved.content.ids)).toEqual(Buffer.from(sha256(bytes)))
})

test('a pack whose storing fails is not written over: it may still be on its way', async () => {
  const stores: FinishedPack[] = []
  const saver = new Saver(dataFor(await memoryRepository()), {
    store: (pack) => {
      stores.push(pack)
      throw new Error('the one before it could not be stored')
    },
    settle: () => undefined,
  })
  const save = (): unknown => saver.saveCut(randomBytes(64 * KIB), Uint32Array.of(64 * KIB))
  expect(save).toThrow('the one before it')
  const [{ id, bytes }] = stores as [FinishedPack]
  expect(save).toThrow('the one before it')
  expect(Buffer.from(sha256(bytes)).toString('hex')).toBe(id)
  expect(stores).toHaveLength(2)
})
