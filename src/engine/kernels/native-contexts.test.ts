import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { nativeLibrary } from '../../lib/native.ts'
import { createNativeCipher } from './cipher-native.ts'
import { freeNow, freeWith } from './native-contexts.ts'
import { createNativeZstd } from './zstd-native.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** Collects garbage until `happened`, which must be soon. */
async function whileCollecting(happened: () => boolean): Promise<void> {
  for (let i = 0; i < 50 && !happened(); i++) {
    // Looking at a weak reference keeps its object for the rest of the turn.
    await setTimeout(1)
    collectGarbage()
  }
  expect(happened()).toBe(true)
}

describe('native contexts', () => {
  test('are freed once when their owner is garbage', async () => {
    const freed: unknown[] = []
    const free = (address: unknown): number => freed.push(address)
    const makeGarbage = (): void =>
      freeWith({}, [
        { address: 1, free },
        { address: 2, free },
      ])
    makeGarbage()
    await whileCollecting(() => freed.length > 0)
    expect(freed).toEqual([1, 2])
  })

  test('that were freed are not freed again', async () => {
    const freed: unknown[] = []
    const other: unknown[] = []
    const makeGarbage = (): void => {
      const owner = {}
      const contexts = [{ address: 1, free: (address: unknown) => freed.push(address) }]
      freeWith(owner, contexts)
      freeNow(owner, contexts)
      freeWith({}, [{ address: 2, free: (address) => other.push(address) }])
    }
    makeGarbage()
    await whileCollecting(() => other.length > 0)
    expect(freed).toEqual([1])
  })

  const library = nativeLibrary()
  const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(1)

  test.skipIf(!library).each<[string, () => object | undefined]>([
    ['a compressor', () => createNativeZstd(library!, { level: 1 })],
    ['a cipher', () => createNativeCipher(library!, { encrypt: bytes(32), macK: bytes(16), macR: bytes(16) })],
  ])('do not keep %s alive', async (_, create) => {
    const references: WeakRef<object>[] = []
    const makeGarbage = (): void => {
      for (let i = 0; i < 3; i++) references.push(new WeakRef(create()!))
    }
    makeGarbage()
    await whileCollecting(() => references.every((reference) => reference.deref() === undefined))
  })
})
