import { check, expectEqual, expectError, fail, newFile, type StorageCheck } from './contract-support.ts'

/** What a store says about files beyond what they hold, where it says it. */
export const featureChecks: readonly StorageCheck[] = [
  check('files have a storage class, and are listed with it', async (storage) => {
    const { classes } = storage.features
    if (classes === undefined) return
    const sizes = new Map<string, number>()
    for (const kind of ['data', 'snapshot', 'key'] as const) {
      const { file, content } = newFile(kind, 1000 + sizes.size)
      await storage.put(file, content)
      sizes.set(kind, content.length)
      const state = await classes.state(file)
      if (state !== 'readable') fail(`a file that was just written is ${state}`)
    }
    for await (const { kind, sizeBytes, storageClass, isHidden } of classes.list()) {
      if (isHidden) continue
      expectEqual(sizeBytes, sizes.get(kind), `size of the ${kind} file in the list of classes`)
      if (storageClass === '') fail('a storage class has no name')
      sizes.delete(kind)
    }
    expectEqual(sizes.size, 0, 'number of files missing from the list of classes')
    await expectError('HF_STORAGE_NOT_FOUND', 'the class of an absent file', () =>
      classes.state(newFile('data', 10).file),
    )
  }),

  check('free space is a number of bytes, or unknown', async (storage) => {
    const free = await storage.features.freeBytes?.()
    if (free !== undefined && !(Number.isSafeInteger(free) && free >= 0)) fail(`free space is ${free}`)
  }),

  check('what is there has not been deleted', async (storage) => {
    const { versions } = storage.features
    if (versions === undefined) return
    const { file, content } = newFile('index', 100)
    await storage.put(file, content)
    for await (const { name } of versions.listDeleted('index'))
      if (name === file.name) fail('a file that is there is listed as deleted')
    await expectError('HF_STORAGE_NOT_FOUND', 'taking back a deletion that never was', () => versions.undelete(file))
  }),
]
