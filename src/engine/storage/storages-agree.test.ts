import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { toHex, utf8 } from '../../lib/bytes.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import { namedFile } from './contract-support.ts'
import { withCache } from './layers/with-cache.ts'
import { withDryRun } from './layers/with-dry-run.ts'
import { listFiles } from './list-files.ts'
import { openLocalStorage } from './local/local-storage.ts'
import { openMemoryStorage } from './memory/memory-storage.ts'
import type { FileRef, Storage } from './storage.ts'

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-agree-'))
afterAll(() => rmSync(scratch, { recursive: true }))

/** A few files that calls meet again and again; contents are given by names, as in a repository. */
const contents = ['', 'a', 'some bytes', 'x'.repeat(5000)].map(utf8)
const kinds = ['data', 'index', 'snapshot', 'lock'] as const

const fileNumber = fc.nat(contents.length - 1)
const kind = fc.constantFrom(...kinds)
const call = fc.oneof(
  fc.record({ type: fc.constant('put' as const), kind, number: fileNumber }),
  fc.record({ type: fc.constant('get' as const), kind, number: fileNumber, cacheable: fc.boolean() }),
  fc.record({
    type: fc.constant('range' as const),
    kind,
    number: fileNumber,
    offset: fc.nat(5001),
    length: fc.nat(5001),
  }),
  fc.record({ type: fc.constant('stat' as const), kind, number: fileNumber }),
  fc.record({ type: fc.constant('delete' as const), kind, number: fileNumber }),
  fc.record({ type: fc.constant('list' as const), kind }),
  fc.record({
    type: fc.constant('config' as const),
    content: fc.uint8Array({ maxLength: 100 }),
    replace: fc.boolean(),
  }),
)
type Call = typeof call extends fc.Arbitrary<infer T> ? T : never

/** What a call comes to, in a form that can be compared. */
async function outcome(storage: Storage, call: Call): Promise<unknown> {
  try {
    return await perform(storage, call)
  } catch (error) {
    if (isHoldfastError(error)) return error.code
    throw error
  }
}

async function perform(storage: Storage, call: Call): Promise<unknown> {
  if (call.type === 'config') {
    await storage.put({ kind: 'config' }, call.content, { replace: call.replace })
    return toHex(await storage.get({ kind: 'config' }))
  }
  if (call.type === 'list') {
    return (await listFiles(storage, call.kind)).map(({ name, sizeBytes }) => `${name} ${sizeBytes}`).sort()
  }
  const content = contents[call.number]!
  const file: FileRef = namedFile(call.kind, content)
  switch (call.type) {
    case 'put':
      return storage.put(file, content)
    case 'get':
      return toHex(await storage.get(file, undefined, { cacheable: call.cacheable }))
    case 'range':
      return toHex(await storage.get(file, { offset: call.offset, length: call.length }, { cacheable: true }))
    case 'stat':
      return storage.stat(file)
    case 'delete':
      return storage.delete(file)
  }
}

test('local, cached and rehearsed storages do what memory does, call for call', async () => {
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 25 }), async (calls) => {
      run += 1
      const memory = openMemoryStorage()
      const others = {
        local: openLocalStorage(join(scratch, `local-${run}`)),
        cached: withCache(openMemoryStorage(), {
          cacheDirectory: join(scratch, 'cache'),
          repositoryId: run.toString(16).padStart(64, '0'),
        }),
        rehearsed: withDryRun(openMemoryStorage()),
      }
      mkdirSync(join(scratch, `local-${run}`, 'data'), { recursive: true })
      for (const call of calls) {
        const expected = await outcome(memory, call)
        for (const [name, other] of Object.entries(others)) {
          expect([name, await outcome(other, call)]).toEqual([name, expected])
        }
      }
    }),
    { numRuns: 25 },
  )
})
