import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { HoldfastError } from './errors.ts'
import { plainError, reviveError, WorkerPool } from './worker-pool.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-pool-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const module = join(folder, 'thread.mjs')
writeFileSync(
  module,
  `import { threadId, workerData } from 'node:worker_threads'
import { answerTasks, isPoolEnding, notifyPool } from ${JSON.stringify(new URL('./task-thread.ts', import.meta.url).href)}
import { HoldfastError } from ${JSON.stringify(new URL('./errors.ts', import.meta.url).href)}
const nap = new Int32Array(new SharedArrayBuffer(4))
answerTasks((payload) => {
  if (payload === 'die') process.exit(7)
  if (payload === 'fail') throw new HoldfastError('HF_PACK_DAMAGED', 'pack 1 is damaged', { hint: 'mend it', context: { pack: '1' } })
  notifyPool('working on ' + payload)
  if (workerData.counts) Atomics.add(workerData.counts, 0, 1)
  Atomics.wait(nap, 0, 0, payload.startsWith('long') ? 200 : 20)
  if (payload === 'long, and asks') isPoolEnding() || Atomics.wait(nap, 0, 0)
  if (workerData.counts) Atomics.add(workerData.counts, 1, 1)
  return { payload, threadId, data: workerData }
})
`,
)

interface Answer {
  readonly payload: string
  readonly threadId: number
  readonly data: unknown
}

function openPool(
  threads: number,
  notices: string[] = [],
  data: object | (() => object) = {},
): WorkerPool<string, Answer, string> {
  return new WorkerPool(pathToFileURL(module), { threads, data, onNotice: (notice) => notices.push(notice) })
}

describe('a pool of worker threads', () => {
  test('starts no more threads than it has work for, each with the data of its time', async () => {
    let starts = 0
    const pool = openPool(3, [], () => ({ start: ++starts }))
    expect((await pool.run('alone')).data).toMatchObject({ start: 1 })
    expect((await pool.run('again')).data).toMatchObject({ start: 1 })
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => pool.run(`task ${i}`)))
    expect(answers.map(({ payload }) => payload)).toEqual(Array.from({ length: 12 }, (_, i) => `task ${i}`))
    expect(new Set(answers.map(({ threadId }) => threadId)).size).toBe(3)
    expect(starts).toBe(3)
    await pool.close()
  })

  test('has a task wait for the thread that is free first', async () => {
    const pool = openPool(2)
    const first = pool.run('short')
    const second = pool.run('long 1')
    const third = first.then(() => pool.run('long 2'))
    await first
    const [fourth, on2, on1] = await Promise.all([pool.run('after long 1'), second, third])
    expect(on1.threadId).not.toBe(on2.threadId)
    expect(fourth.threadId).toBe(on2.threadId)
    await pool.close()
  })

  test('reaches every started thread, or starts all first', async () => {
    const pool = openPool(2)
    await pool.run('one')
    expect(await pool.runOnStarted('started')).toHaveLength(1)
    expect(await pool.runOnEach('each')).toHaveLength(2)
    await pool.close()
  })

  test('passes notices on before the answer, and failures as they were thrown', async () => {
    const notices: string[] = []
    const pool = openPool(1, notices)
    await pool.run('x')
    expect(notices).toEqual(['working on x'])
    await expect(pool.run('fail')).rejects.toMatchObject({
      code: 'HF_PACK_DAMAGED',
      hint: 'mend it',
      context: { pack: '1' },
    })
    expect((await pool.run('y')).payload).toBe('y')
    await pool.close()
  })

  test('fails all tasks of a thread that dies, and all later ones', async () => {
    const pool = openPool(1)
    const waiting = [pool.run('die'), pool.run('behind'), pool.run('last')]
    for (const task of waiting) await expect(task).rejects.toMatchObject({ code: 'HF_INTERNAL' })
    await expect(pool.run('later')).rejects.toMatchObject({ code: 'HF_INTERNAL' })
    await pool.close()
  })

  test('that is closed rejects what it has not done', async () => {
    const pool = openPool(1)
    const tasks = [pool.run('a'), pool.run('b')]
    const outcome = Promise.allSettled(tasks)
    await pool.close()
    expect((await outcome).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })

  // A thread that is stopped while it loads a native library takes the process with it.
  test.each(['long', 'long, and asks'])(
    'that is closed lets threads end what they are at (%s), and nothing more',
    async (payload) => {
      const counts = new Int32Array(new SharedArrayBuffer(8))
      const pool = openPool(1, [], { counts })
      const tasks = [pool.run(payload), pool.run('waits at the thread'), pool.run('waits in the pool')]
      const outcome = Promise.allSettled(tasks)
      while (Atomics.load(counts, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      await pool.close()
      expect([...counts]).toEqual([1, 1])
      expect((await outcome).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    },
  )
})

test('errors keep code, hint, context and system code across threads', () => {
  const error = new HoldfastError('HF_STORAGE_IO', 'cut off', { hint: 'again', context: { pack: 'x' }, retry: 'later' })
  expect(reviveError(plainError(error))).toMatchObject({
    code: 'HF_STORAGE_IO',
    message: 'cut off',
    hint: 'again',
    retry: 'later',
    context: { pack: 'x' },
  })
  expect(reviveError(plainError(Object.assign(new Error('gone'), { code: 'ENOENT' })))).toMatchObject({
    code: 'ENOENT',
    message: 'gone',
  })
  expect(reviveError(plainError('text'))).toMatchObject({ message: 'text' })
})
