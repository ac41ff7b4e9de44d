import { createHash } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { SharedIdSet } from './shared-id-set.ts'

const idOf = (n: number): Uint8Array => createHash('sha256').update(String(n)).digest()

describe('the shared set of ids', () => {
  test('lets each id be claimed once, over several generations', () => {
    const set = new SharedIdSet()
    for (let n = 0; n < 60_000; n++) {
      set.grow()
      expect(set.claim(idOf(n))).toBe(true)
    }
    expect(set.memory.tables.length).toBeGreaterThan(1)
    for (let n = 0; n < 60_000; n++) expect(set.claim(idOf(n))).toBe(false)
    expect(set.has(idOf(60_000))).toBe(false)
  })

  test('gives each id to exactly one of several threads', async () => {
    const set = new SharedIdSet()
    const module = new URL('./shared-id-set.ts', import.meta.url).href
    const code = `
      const { parentPort, workerData } = require('node:worker_threads')
      const { createHash } = require('node:crypto')
      import(workerData.module).then(({ SharedIdSet }) => {
        const set = new SharedIdSet(workerData.memory)
        let claimed = 0
        for (let n = 0; n < 15000; n++) if (set.claim(createHash('sha256').update(String(n)).digest())) claimed++
        parentPort.postMessage(claimed)
      })`
    const counts = await Promise.all(
      Array.from(
        { length: 3 },
        () =>
          new Promise<number>((resolve, reject) => {
            const worker = new Worker(code, { eval: true, workerData: { module, memory: set.memory } })
            worker.on('message', resolve).on('error', reject)
          }),
      ),
    )
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(15_000)
  })
})
