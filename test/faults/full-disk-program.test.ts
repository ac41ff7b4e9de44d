import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { initRepository } from '../../src/engine/repository/repository.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { openS3 } from '../../src/engine/storage/s3/testing.ts'
import { copyStorage } from '../support/copy-storage.ts'
import { countFiles, type ProgramEnd, runProgram } from '../support/killed-program.ts'
import { lacks } from '../support/requirements.ts'
import { startS3Double } from '../support/servers/s3-double.ts'
import { canMount, smallDisk } from '../support/small-disk.ts'
import { noise } from '../support/storage-victims.ts'
import { CHEAP_KDF, expectResticContent, newRepository, PASSWORD, scratchFolder } from '../support/test-repository.ts'

const MIB = 1024 * 1024
const FILES = 8
const FILE_BYTES = 1.5 * MIB
const first = { chunkerPolynomial: 0x25b468838dcb75n, key: { kdf: CHEAP_KDF } }

/** What a full disk must say: which disk, and what to do; and that it is no crash. */
function expectFull({ status, output }: ProgramEnd, place: string): void {
  expect(status, output).toBeGreaterThan(0)
  expect(output).toMatch(/no space|is full|disk full/i)
  expect(output).toContain(place)
  expect(output).not.toMatch(/HF_INTERNAL|\.ts:\d+/)
}

describe.skipIf(!canMount() || lacks('restic'))('the program and a full disk', () => {
  const scratch = scratchFolder()
  const data = scratch.join('data')
  beforeAll(() => {
    mkdirSync(data)
    for (let i = 0; i < FILES; i++) writeFileSync(join(data, `${i}`), noise(i + 1, FILE_BYTES))
    writeFileSync(scratch.join('password'), PASSWORD, { mode: 0o600 })
  })
  afterAll(() => scratch[Symbol.dispose]())

  /** A configuration of these repositories; runs commands on it. */
  function program(repositories: Readonly<Record<string, string>>, more: Readonly<Record<string, string>> = {}) {
    const password = `file:${scratch.join('password')}`
    const config = {
      version: 1,
      repositories: Object.fromEntries(Object.entries(repositories).map(([name, url]) => [name, { url, password }])),
      sources: { data: { type: 'files', paths: [data], repositories: Object.keys(repositories), verify: 'none' } },
    }
    writeFileSync(scratch.join('holdfast.yaml'), JSON.stringify(config))
    const environment = {
      HOLDFAST_CONFIG: scratch.join('holdfast.yaml'),
      XDG_CACHE_HOME: scratch.join('cache'),
      ...more,
    }
    return (...args: readonly string[]) => runProgram(['--pack-size', '4', ...args], { environment })
  }

  test('of a repository: backup:run fails, leaves no lock and no half snapshot, and completes once there is room', async () => {
    using disk = smallDisk(32 * MIB)
    const path = disk.join('repository')
    await (await newRepository(path, first)).close()
    disk.fill(6 * MIB)
    const run = program({ main: path })
    expectFull(await run('backup:run', 'data'), path)
    expect([countFiles(path, 'snapshots'), countFiles(path, 'locks')]).toEqual([0, 0])
    disk.free()
    expect(await run('backup:run', 'data')).toMatchObject({ status: 0 })
    expectResticContent(path)
  }, 60_000)

  test('of another repository: copy fails, what is copied stays, and the next one completes', async () => {
    using disk = smallDisk(32 * MIB)
    const [from, to] = [scratch.join('from'), disk.join('to')]
    for (const path of [from, to]) await (await newRepository(path, first)).close()
    expect(await program({ from })('backup:run', 'data')).toMatchObject({ status: 0 })
    disk.fill(6 * MIB)
    const run = program({ from, to })
    const copy = ['-r', 'to', 'copy', '--from-repo', 'from']
    expectFull(await run(...copy), to)
    expect([countFiles(to, 'snapshots'), countFiles(to, 'locks'), countFiles(from, 'locks')]).toEqual([0, 0, 0])
    disk.free()
    expect(await run(...copy)).toMatchObject({ status: 0 })
    expectResticContent(to)
  }, 60_000)

  test('of the target: restore:run fails, and the next one goes on from there', async () => {
    using disk = smallDisk(24 * MIB)
    const path = scratch.join('restored-from')
    await (await newRepository(path, first)).close()
    const run = program({ main: path })
    expect(await run('backup:run', 'data')).toMatchObject({ status: 0 })
    disk.fill(5 * MIB)
    const target = disk.join('target')
    const refused = await run('restore:run', 'data', '--to', target)
    expect(refused.status, refused.output).toBeGreaterThan(0)
    expect(refused.output).toMatch(/space|room/i)
    expect(countFiles(path, 'locks')).toBe(0)
    disk.free()
    const done = await run('restore:run', 'data', '--to', target, '--overwrite')
    expect(done.status, done.output).toBe(0)
    for (let i = 0; i < FILES; i++)
      expect(Buffer.compare(readFileSync(join(target, data, `${i}`)), noise(i + 1, FILE_BYTES)), `${i}`).toBe(0)
  }, 60_000)

  test('of cache and spool: a run into two stores does without both', async () => {
    using disk = smallDisk(MIB)
    disk.fill()
    const double = await startS3Double()
    try {
      const environment = { ...double.environment, XDG_CACHE_HOME: disk.path, HOLDFAST_SPOOL_DIR: disk.path }
      const names = ['one', 'two']
      const stores = names.map((name) => openS3(`${double.url}/${name}`, { environment }))
      for (const store of stores) {
        await store.create()
        await initRepository(store, { password: PASSWORD }, first)
      }
      const urls = Object.fromEntries(names.map((name) => [name, `s3:${double.url}/${name}`]))
      const { status, output } = await program(urls, environment)('backup:run', 'data')
      expect(status, output).toBe(0)
      for (const [i, name] of names.entries()) {
        await copyStorage(stores[i]!, openLocalStorage(scratch.join(name)))
        expectResticContent(scratch.join(name))
      }
    } finally {
      await double.stop()
    }
  }, 60_000)
})
