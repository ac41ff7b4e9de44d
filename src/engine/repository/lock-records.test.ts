import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { FakeClock } from '../../../test/support/fake-clock.ts'
import { MemoryLocks } from '../../../test/support/memory-locks.ts'
import { scratchFolder } from '../../../test/support/test-repository.ts'
import { utcTimestamp } from '../../lib/go-time.ts'
import { acquireLock } from './lock.ts'
import { currentHolder, encodeLock } from './lock-file.ts'
import { noteLocks, removeNotedLeftovers } from './lock-records.ts'

const clock = new FakeClock()
const lockNow = (): Uint8Array => encodeLock({ ...currentHolder(), time: utcTimestamp(clock.now()), exclusive: true })

/** Says of the only note in a folder that another process wrote it. */
function change(folder: string, fields: Readonly<Record<string, unknown>>): void {
  const [name] = readdirSync(folder)
  const path = `${folder}/${name}`
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...fields }))
}

/** A process id that was used and is free. */
const goneProcess = (): number => spawnSync('true').pid

test.runIf(process.platform === 'linux')('a lock is noted while it is held, and its note goes with it', async () => {
  using scratch = scratchFolder()
  const folder = scratch.join('locks')
  const files = new MemoryLocks()
  const lock = await acquireLock(noteLocks(files, folder), { exclusive: true })
  expect(readdirSync(folder)).toEqual([lock.id])
  // Its process is there: nothing is left behind.
  expect(await removeNotedLeftovers(files, folder)).toEqual([])
  expect(files.files.size).toBe(1)
  await lock.release()
  expect(readdirSync(folder)).toEqual([])
})

test.runIf(process.platform === 'linux')('the lock of a process that is gone is taken away, and no other', async () => {
  using scratch = scratchFolder()
  for (const [fields, isRemoved] of [
    [{ pid: goneProcess() }, true],
    // Somebody else has the number now.
    [{ started: '1' }, true],
    // A container of the same machine, whose processes nobody here sees.
    [{ pid: goneProcess(), namespace: 'pid:[1]' }, false],
    // The machine was started anew, or this is a copy of it: the lock is still young.
    [{ pid: goneProcess(), boot: 'another' }, false],
    [{ pid: 'x' }, false],
  ] as const) {
    const folder = scratch.join(JSON.stringify(fields).replaceAll(/\W/g, ''))
    const files = new MemoryLocks()
    const id = await noteLocks(files, folder).save(lockNow())
    const unknown = await files.save(lockNow())
    change(folder, fields)
    expect(await removeNotedLeftovers(files, folder, { clock })).toEqual(isRemoved ? [id] : [])
    expect([...files.files.keys()]).toEqual(isRemoved ? [unknown] : [id, unknown])
    expect(readdirSync(folder)).toEqual(isRemoved ? [] : [id])
  }
})

test.runIf(process.platform === 'linux')('after a restart a lock counts until it is old', async () => {
  using scratch = scratchFolder()
  const folder = scratch.join('locks')
  const files = new MemoryLocks()
  const id = await noteLocks(files, folder).save(lockNow())
  change(folder, { boot: 'the one before' })
  await clock.advance(29 * 60_000)
  expect(await removeNotedLeftovers(files, folder, { clock })).toEqual([])
  await clock.advance(2 * 60_000)
  expect(await removeNotedLeftovers(files, folder, { clock })).toEqual([id])
})

test('notes of locks that are gone are removed, what is no note is left alone, and nothing needs the folder', async () => {
  using scratch = scratchFolder()
  const files = new MemoryLocks()
  expect(await removeNotedLeftovers(files, scratch.join('nowhere'))).toEqual([])
  const folder = scratch.join('locks')
  mkdirSync(folder)
  writeFileSync(`${folder}/note`, '{}')
  writeFileSync(`${folder}/${'ab'.repeat(32)}`, 'no JSON')
  expect(await removeNotedLeftovers(files, folder)).toEqual([])
  expect(readdirSync(folder)).toHaveLength(2)
  writeFileSync(scratch.join('file'), '')
  const lock = await acquireLock(noteLocks(files, scratch.join('file/locks')), { exclusive: true })
  await lock.release()
  expect(files.files.size).toBe(0)
})
