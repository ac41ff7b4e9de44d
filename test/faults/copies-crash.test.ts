import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { monotonicMilliseconds } from '../../src/lib/clock.ts'
import { lacks } from '../support/requirements.ts'
import { noise } from '../support/storage-victims.ts'
import {
  CHEAP_KDF,
  expectResticContent,
  newRepository,
  PASSWORD,
  reopen,
  scratchFolder,
} from '../support/test-repository.ts'
import { loadEverything } from '../support/whole-snapshots.ts'

/** `HOLDFAST_KILLS=100` for the long run. */
const KILLS = Math.ceil(Number(process.env.HOLDFAST_KILLS ?? 100) / 20)

const program = join(import.meta.dirname, '../../bin/holdfast')

test('runs into two repositories that are killed leave both whole, and the next run brings both everything', async () => {
  using scratch = scratchFolder()
  const data = scratch.join('data')
  mkdirSync(data)
  writeFileSync(scratch.join('password'), PASSWORD, { mode: 0o600 })
  const names = ['one', 'two']
  for (const name of names)
    await newRepository(scratch.join(name), { chunkerPolynomial: 0x25b468838dcb75n, key: { kdf: CHEAP_KDF } })
  const at = (name: string) => ({ url: scratch.join(name), password: `file:${scratch.join('password')}` })
  const config = {
    version: 1,
    repositories: { one: at('one'), two: at('two') },
    sources: { data: { type: 'files', paths: [data], repositories: names, verify: 'none' } },
  }
  writeFileSync(scratch.join('holdfast.yaml'), JSON.stringify(config))
  const run = async (killAfterMs?: number): Promise<{ status: number | null; output: string }> => {
    const args = [
      '--pack-size',
      '4',
      '--retry-lock',
      '1m',
      'backup:run',
      '--all',
      '--config',
      scratch.join('holdfast.yaml'),
    ]
    const child = spawn(program, args, {
      env: { ...process.env, XDG_CACHE_HOME: scratch.join('cache') },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (text) => (output += text))
    child.stderr.on('data', (text) => (output += text))
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    if (killAfterMs !== undefined) {
      await Promise.race([sleep(killAfterMs), ended])
      child.kill('SIGKILL')
    }
    return { status: await ended, output }
  }
  const started = monotonicMilliseconds()
  for (let i = 0; i < 20; i++) writeFileSync(`${data}/${i}`, noise(i, 900_000))
  expect(await run()).toMatchObject({ status: 0 })
  const tookMs = monotonicMilliseconds() - started
  for (let kill = 1; kill <= KILLS; kill++) {
    for (let i = 0; i < 20; i++) writeFileSync(`${data}/${i}`, noise(kill * 100 + i, 900_000))
    await run((tookMs * kill) / (KILLS + 1))
    for (const name of names) await loadEverything((await reopen(scratch.join(name))).storage)
  }
  const last = await run()
  expect(last.status, last.output).toBe(0)
  const [one, two] = await Promise.all(names.map(async (name) => loadSnapshots(await reopen(scratch.join(name)))))
  // Whatever one of them got before a kill, the other has as well.
  const runs = (snapshots: typeof one): readonly string[] =>
    snapshots!.map(({ tags }) => tags.find((tag) => tag.startsWith('run='))!).sort()
  expect(runs(one)).toEqual(runs(two))
  expect(readdirSync(scratch.join('one', 'snapshots')).length).toBeGreaterThanOrEqual(2)
  if (lacks('restic')) return
  for (const name of names) {
    // What was killed has left its locks, which keep out who wants to be alone.
    const unlock = ['-r', scratch.join(name), '--password-file', scratch.join('password'), 'unlock', '--remove-all']
    expect(spawnSync(program, unlock).status).toBe(0)
    expectResticContent(scratch.join(name))
  }
}, 240_000)
