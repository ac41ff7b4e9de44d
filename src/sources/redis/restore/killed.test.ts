import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type RedisServer, readRdbFile, startRedis } from '../../../../test/support/servers/redis.ts'
import { noise } from '../../../../test/support/storage-victims.ts'
import { scratchFolder } from '../../../../test/support/test-repository.ts'

const program = join(import.meta.dirname, '../../../../bin/holdfast')

describe.skipIf(lacks('redis-server'))('a restore into a running server that is killed', () => {
  const KEYS = 100
  let scratch: ReturnType<typeof scratchFolder>
  let environment: NodeJS.ProcessEnv
  let source: RedisServer
  let target: RedisServer | undefined
  let digest: string

  beforeAll(async () => {
    scratch = scratchFolder()
    source = await startRedis()
    for (let i = 0; i < KEYS; i++) await source.command('SET', `key:${i}`, noise(i, 100_000))
    digest = String(await source.command('DEBUG', 'DIGEST'))
    writeFileSync(scratch.join('password'), 'secret', { mode: 0o600 })
    const config = scratch.join('holdfast.yaml')
    writeFileSync(
      config,
      `version: 1
repositories: { main: { url: ${scratch.join('repository')}, password: "file:${scratch.join('password')}" } }
sources: { session: { type: redis, url: "${source.url}" } }
defaults: { verify: none }
`,
    )
    environment = {
      PATH: process.env.PATH,
      HOME: scratch.path,
      XDG_STATE_HOME: scratch.join('state'),
      HOLDFAST_CONFIG: config,
      REDISCLI_AUTH: 'right',
    }
    run('init')
    run('backup:run', 'session')
  })

  afterAll(async () => {
    await source?.stop()
    scratch?.[Symbol.dispose]()
  })

  afterEach(async () => {
    await target?.stop()
    target = undefined
  })

  function run(...args: readonly string[]): void {
    const { status, stderr } = spawnSync(program, args, { env: environment, encoding: 'utf8' })
    expect(status, stderr).toBe(0)
  }

  const info = async (): Promise<string> =>
    `${await target!.command('INFO', 'replication')}${await target!.command('INFO', 'persistence')}`

  /** Kills the restore, which is a process without children that matter, once the server says `mark`. */
  async function killedAt(mark: RegExp): Promise<void> {
    const restore: ChildProcess = spawn(program, ['restore:run', 'session', '--to', target!.url, '--overwrite'], {
      env: environment,
      stdio: 'ignore',
    })
    const ended = new Promise((resolve) => restore.once('exit', resolve))
    while (restore.exitCode === null && !mark.test(await info())) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(restore.exitCode).toBe(null)
    restore.kill('SIGKILL')
    await ended
  }

  async function isMasterAgain(): Promise<void> {
    for (let state = ''; !state.includes('role:master') || !state.includes('masterauth,as it was'); ) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      state = `${await info()}${await target!.command('CONFIG', 'GET', 'masterauth').catch(() => '')}`
    }
  }

  const copies = (): readonly string[] =>
    readdirSync(scratch.join('state/holdfast/before-restore')).map((name) =>
      scratch.join(`state/holdfast/before-restore/${name}`),
    )

  test('while the data is sent leaves a master with what it had, and runs again', async () => {
    target = await startRedis({ password: 'right', args: ['--masterauth', 'as it was'] })
    await target.command('SET', 'old', 'data')
    await killedAt(/role:slave/)
    await isMasterAgain()
    expect(String(await target.command('GET', 'old'))).toBe('data')
    const kept = copies().map((path) => readRdbFile(readFileSync(path)).entries.map(({ key }) => String(key)))
    expect(kept).toEqual([['old']])
    expect(await target.command('SET', 'old', 'writable')).toBe('OK')
    run('restore:run', 'session', '--to', target.url, '--overwrite')
    expect(String(await target.command('DEBUG', 'DIGEST'))).toBe(digest)
    await isMasterAgain()
  })

  test('while the server loads leaves a master with all of it, and runs again', async () => {
    target = await startRedis({
      password: 'right',
      args: [
        '--masterauth',
        'as it was',
        '--key-load-delay',
        '9000',
        '--loading-process-events-interval-bytes',
        '1024',
      ],
    })
    await killedAt(/loading:1/)
    await isMasterAgain()
    await target.command('CONFIG', 'SET', 'key-load-delay', '0')
    run('restore:run', 'session', '--to', target.url, '--overwrite')
    expect(String(await target.command('DEBUG', 'DIGEST'))).toBe(digest)
    await isMasterAgain()
  })
})
