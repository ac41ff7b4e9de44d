import { randomBytes } from '../../lib/random.ts'
import { check, expectEqual, expectError, KINDS, newFile, type StorageCheck } from './contract-support.ts'
import { listFiles } from './list-files.ts'
import type { FileRef } from './storage.ts'

/** Names lead nowhere but to files of the repository. */
export const nameChecks: readonly StorageCheck[] = [
  check('names that no file can have are refused, and nothing happens', async (storage) => {
    const { file, content } = newFile('snapshot', 100)
    await storage.put(file, content)
    const names = ['', '..', '../config', 'a/b', file.name.slice(1), `${file.name}0`, `${file.name.slice(1)}G`]
    for (const name of [...names, `${file.name.slice(0, 62)}\r\n`, `../keys/${file.name}`, `${file.name}/../x`])
      for (const kind of ['data', 'snapshot'] as const) {
        const wrong: FileRef = { kind, name }
        const calls = {
          put: () => storage.put(wrong, randomBytes(10)),
          get: () => storage.get(wrong),
          'get of a range': () => storage.get(wrong, { offset: 0, length: 1 }),
          stat: () => storage.stat(wrong),
          delete: () => storage.delete(wrong),
        }
        for (const [call, run] of Object.entries(calls))
          await expectError('HF_INTERNAL', `${call} of ${kind}/${JSON.stringify(name)}`, run)
      }
    for (const kind of KINDS)
      expectEqual(
        (await listFiles(storage, kind)).length,
        kind === 'snapshot' ? 1 : 0,
        `number of files of kind ${kind}`,
      )
  }),
]
