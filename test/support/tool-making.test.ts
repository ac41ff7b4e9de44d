import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { monotonicMilliseconds } from '../../src/lib/clock.ts'
import { scratchFolder } from './test-repository.ts'
import { announceMaking, awaitMaking, concludeMaking, failedMakings, isBeingMade } from './tool-making.ts'

let scratch: ReturnType<typeof scratchFolder>
beforeEach(() => {
  scratch = scratchFolder()
  vi.stubEnv('XDG_CACHE_HOME', scratch.path)
})
afterEach(() => {
  vi.unstubAllEnvs()
  scratch[Symbol.dispose]()
})

/** A process that passes for one that makes tools, for as long as its standard input is open, and one second more. */
function maker(program = 'make-tools.ts'): ChildProcessByStdio<Writable, Readable, null> {
  const path = scratch.join(program)
  writeFileSync(path, "process.stdin.on('end', () => setTimeout(() => {}, 1000)).resume()\nconsole.log('ready')\n")
  return spawn(process.execPath, [path], { stdio: ['pipe', 'pipe', 'ignore'] })
}

test('who needs a tool waits until its maker is done or dead', async () => {
  const child = maker()
  await once(child.stdout, 'data')
  announceMaking('hammer', child.pid!)
  expect(isBeingMade('hammer')).toBe(true)
  expect(isBeingMade('anvil')).toBe(false)
  awaitMaking('anvil')
  const started = monotonicMilliseconds()
  const ended = once(child, 'exit')
  child.stdin.end()
  // Input is closed by the loop of events, which waiting blocks.
  await once(child.stdin, 'finish')
  awaitMaking('hammer')
  expect(monotonicMilliseconds() - started).toBeGreaterThan(500)
  expect(isBeingMade('hammer')).toBe(false)
  await ended
})

test('a process that was given the number of a dead maker makes nothing', async () => {
  const child = maker('something-else.ts')
  await once(child.stdout, 'data')
  announceMaking('hammer', child.pid!)
  expect(isBeingMade('hammer')).toBe(false)
  child.kill()
  await once(child, 'exit')
})

test('a tool that could not be made is told with its reason, and no longer when it was made after all', () => {
  expect(failedMakings()).toEqual([])
  announceMaking('hammer', process.pid)
  expect(failedMakings()).toEqual([])
  concludeMaking('hammer', 'out of iron')
  expect(isBeingMade('hammer')).toBe(false)
  expect(failedMakings()).toEqual([{ name: 'hammer', failure: 'out of iron' }])
  concludeMaking('hammer')
  expect(failedMakings()).toEqual([])
})
