import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { HoldfastError } from '../../lib/errors.ts'
import { withWriteGate } from './layers/with-write-gate.ts'
import { openMemoryStorage } from './memory/memory-storage.ts'
import { errorFrom } from './testing.ts'
import { type GateMemory, WriteGate } from './write-gate.ts'

const name = 'ab'.repeat(32)
const content = new Uint8Array(3)
const lost = new HoldfastError('HF_LOCK_LOST', 'the lock is lost')

/** Whether a promise is settled by now. */
const isSettled = async (promise: Promise<unknown>): Promise<boolean> => {
  const pending = Symbol()
  await new Promise((resolve) => setImmediate(resolve))
  return (await Promise.race([promise.catch(() => undefined), pending])) !== pending
}

describe('a gate in front of a store', () => {
  test('holds changes back until everybody who closed it has opened it', async () => {
    const gate = new WriteGate()
    const storage = withWriteGate(openMemoryStorage(), gate)
    await storage.put({ kind: 'data', name }, content)
    const [first, second] = [gate.close(), gate.close()]
    const put = storage.put({ kind: 'snapshot', name }, content)
    const removal = storage.delete({ kind: 'data', name })
    expect(await storage.get({ kind: 'data', name })).toEqual(content)
    first()
    first()
    expect(await isSettled(put)).toBe(false)
    expect((await Array.fromAsync(storage.list('data'))).length).toBe(1)
    second()
    await Promise.all([put, removal])
    expect((await Array.fromAsync(storage.list('data'))).length).toBe(0)
    expect((await Array.fromAsync(storage.list('snapshot'))).length).toBe(1)
  })

  test('lets locks pass, which is how it gets opened', async () => {
    const gate = new WriteGate()
    const storage = withWriteGate(openMemoryStorage(), gate)
    gate.close()
    await storage.put({ kind: 'lock', name }, content)
    await storage.delete({ kind: 'lock', name })
  })

  test('shut, fails what waits and what comes later, with what it was shut with', async () => {
    const gate = new WriteGate()
    const storage = withWriteGate(openMemoryStorage(), gate)
    const open = gate.close()
    const put = errorFrom(() => storage.put({ kind: 'data', name }, content))
    gate.shut(lost)
    gate.shut(new HoldfastError('HF_INTERNAL', 'later'))
    open()
    expect(await put).toBe(lost)
    expect(await errorFrom(() => storage.delete({ kind: 'data', name }))).toBe(lost)
  })
})

describe('a thread at a gate', () => {
  /** A thread that passes the gate and tells what came of it. */
  function thread(memory: GateMemory): Promise<string> {
    const code = `
      const { parentPort, workerData } = require('node:worker_threads')
      import(workerData.module).then(({ passGate }) => {
        try {
          passGate(workerData.memory)
          parentPort.postMessage('passed')
        } catch (error) {
          parentPort.postMessage(error.code)
        }
      })`
    const module = new URL('./write-gate.ts', import.meta.url).href
    const worker = new Worker(code, { eval: true, workerData: { module, memory } })
    return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  }

  test('waits until it is open, and fails when it is shut', async () => {
    const gate = new WriteGate()
    expect(await thread(gate.memory)).toBe('passed')
    const open = gate.close()
    const waiting = thread(gate.memory)
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(await isSettled(waiting)).toBe(false)
    open()
    expect(await waiting).toBe('passed')
    gate.close()
    const failing = thread(gate.memory)
    await new Promise((resolve) => setTimeout(resolve, 200))
    gate.shut(lost)
    expect(await failing).toBe('HF_LOCK_LOST')
  })
})
