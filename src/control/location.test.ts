import { expect, test } from 'vitest'
import type { StoreFinding } from '../engine/storage/features.ts'
import { openMemoryStorage } from '../engine/storage/memory/memory-storage.ts'
import type { Storage } from '../engine/storage/storage.ts'
import { errorFrom } from '../engine/storage/testing.ts'
import { requireLocation } from './location.ts'

const storeThatSays = (...findings: readonly Partial<StoreFinding>[]): Storage => ({
  ...openMemoryStorage(),
  features: { examine: async () => findings.map((one) => ({ what: 'location', state: 'note', text: '', ...one })) },
})

test('a store that lies elsewhere than it may is refused before anything is written (S3-55)', async () => {
  const error = await errorFrom(() => requireLocation('repository offsite', 'eu', storeThatSays({ text: 'us-east-1' })))
  expect(error.code).toBe('HF_LOCATION_FORBIDDEN')
  expect(error.message).toBe('repository offsite may lie only in eu, and the store says that it is in us-east-1')
  expect(await requireLocation('r', 'eu', storeThatSays({ text: 'europe-west1 (region)' }))).toBeUndefined()
  expect(await requireLocation('r', 'eu', storeThatSays({ text: 'EU (multi-region)' }))).toBeUndefined()
})

test('a store that cannot say where it lies is not taken for one that did', async () => {
  const azure = 'the account is of kind Standard_LRS; Azure tells its region only to its owner'
  expect(await requireLocation('r', 'eu', storeThatSays({ text: azure }))).toBe(azure)
  const denied = storeThatSays({ state: 'unknown', text: 'eu-1' })
  expect(await requireLocation('r', 'eu', denied)).toBe('eu-1')
  expect(await requireLocation('r', 'eu', openMemoryStorage())).toContain('does not say')
})
