import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { scratchFolder } from '../../../../test/support/test-repository.ts'
import { systemClock } from '../../../lib/clock.ts'
import { type CheckSizes, storageChecks } from '../contract.ts'
import { newFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import { openStorage } from '../locations.ts'
import { defaultNetwork } from '../network.ts'
import type { Storage } from '../storage.ts'
import { errorFrom } from '../testing.ts'
import { rcloneBackend } from './rclone-backend.ts'

const few: CheckSizes = { listedFiles: 150, largeFileBytes: 4 << 20 }

/** As in the tests of the REST protocol: this is what rclone 1.60 does with a folder. */
const notKept = [
  'a reader sees all of a file or none of it',
  'a put cancelled on its way has happened whole or not at all',
  'a name whose put was cancelled can be written',
  'of writers of one name at the same time one wins, whole',
  'writers of one large file at the same time leave it whole',
]

const scratch = scratchFolder()
afterAll(() => scratch[Symbol.dispose]())
const environment = { PATH: process.env.PATH!, RCLONE_CONFIG: scratch.join('rclone.conf') }

function open(
  place: string,
  options: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
): Storage {
  return rcloneBackend.open!({
    place,
    options: new Map(Object.entries(options)),
    environment: { ...environment, ...env },
    settings: {},
    network: defaultNetwork,
    clock: systemClock,
    onNotice: () => undefined,
  })
}

/** Ids of the processes that have this among their arguments. */
const processesWith = (text: string): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      try {
        return pid > 0 && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text)
      } catch {
        return false
      }
    })

describe.skipIf(lacks('rclone'))('rclone', () => {
  let storage: Storage
  beforeAll(async () => {
    writeFileSync(environment.RCLONE_CONFIG, `[away]\ntype = alias\nremote = ${scratch.path}\n`)
    storage = open('away:repository')
    await storage.create()
  })
  afterAll(() => storage?.close())

  test.for(storageChecks.filter(({ name }) => !notKept.includes(name)))('keeps the contract: $name', async (check) => {
    await check.run(storage, few)
    for (const kind of ['data', 'index', 'key', 'lock', 'snapshot'] as const)
      expect(await listFiles(storage, kind)).toEqual([])
  })

  test('is one process for all calls, which ends with the store', async () => {
    mkdirSync(scratch.join('one-process'))
    const own = open('away:one-process')
    await own.create()
    const { file, content } = newFile('data', 3 << 20)
    await own.put(file, content)
    await Promise.all(Array.from({ length: 8 }, () => own.get(file)))
    expect(processesWith('away:one-process')).toHaveLength(1)
    await own.close()
    expect(processesWith('away:one-process')).toEqual([])
  })

  test('is started anew when it was ended', async () => {
    const place = 'away:killed'
    const retried = await openStorage(`rclone:${place}`, {
      environment,
      clock: { now: systemClock.now, sleep: (ms, signal) => systemClock.sleep(ms / 20, signal) },
      extended: ['rclone.timeout=10m'],
    })
    await retried.create()
    const { file, content } = newFile('index', 3000)
    await retried.put(file, content)
    for (const pid of processesWith(place)) process.kill(pid, 'SIGKILL')
    expect(await retried.get(file)).toEqual(content)
    await retried.close()
  })

  test('says itself what is wrong, at once', async () => {
    const unknown = await errorFrom(() => open('nowhere:x').create())
    expect(unknown).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'after-fix' })
    expect(unknown.message).toMatch(/rclone ended with exit status 1; it said: .*didn't find section in config file/)
  })
})

describe('a program in the place of rclone', () => {
  test('that is not there is told by its name', async () => {
    const error = await errorFrom(() => open('x:y', { program: '/no/rclone' }).create())
    expect(error.code).toBe('HF_STORAGE_LOCATION')
    expect(error.message).toContain('/no/rclone')
  })

  test('that never answers is given up, and ended', async () => {
    const args = "-e 'process.stdin.resume()' silent-one"
    const storage = open('x:y', { program: process.execPath, args, timeout: '300ms' })
    const error = await errorFrom(() => storage.create())
    expect(error).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'after-fix' })
    expect(error.message).toContain('has not answered within 0.3 s')
    await storage.close()
    expect(processesWith('silent-one')).toEqual([])
  })

  test('that speaks something else is told', async () => {
    const args = '-e \'console.log("hello".repeat(100));process.stdin.resume()\''
    const storage = open('x:y', { program: process.execPath, args })
    expect(await errorFrom(() => storage.create())).toMatchObject({
      code: 'HF_STORAGE_UNREACHABLE',
      retry: 'after-fix',
    })
    await storage.close()
  })

  test.each([
    ['timeout', 'soon'],
    ['connections', '0'],
    ['program', '"'],
    ['args', ''],
  ])('a wrong %s is refused', async (name, value) => {
    expect((await errorFrom(() => open('x:y', { [name]: value }))).code).toBe('HF_USAGE')
  })
})
