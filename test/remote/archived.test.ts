import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { randomBytes } from '../../src/lib/random.ts'
import { lacks } from '../support/requirements.ts'
import { type Azurite, startAzurite } from '../support/servers/azurite.ts'
import { type FaultProxy, type ProxiedRequest, startFaultProxy } from '../support/servers/fault-proxy.ts'
import { type S3Double, startS3Double } from '../support/servers/s3-double.ts'
import { play } from '../support/stage.ts'
import { PASSWORD, scratchFolder } from '../support/test-repository.ts'

const FILES = 3

/** Three packs: each of the files is larger than one. */
function fill(folder: string): void {
  mkdirSync(folder)
  for (let number = 0; number < FILES; number++) writeFileSync(`${folder}/${number}`, randomBytes(9 << 20))
}

describe('an archive as Amazon describes it', () => {
  const scratch = scratchFolder()
  const data = scratch.join('data')
  let double: S3Double
  let proxy: FaultProxy
  /** Packs that were asked for; and whether they have come. */
  const asked: string[] = []
  let mayCome = false
  let hasCome = false
  beforeAll(async () => {
    double = await startS3Double({ serverName: 'MinIO' })
    proxy = await startFaultProxy({ port: double.port })
    fill(data)
    await run('init')
    await run('backup', '--pack-size', '4', data)
    const isPack = ({ path }: ProxiedRequest): boolean => path.includes('/data/')
    const head = (restore?: string) => ({
      type: 'answer' as const,
      status: 200,
      headers: {
        'x-amz-storage-class': 'GLACIER',
        'Content-Length': '1000',
        ...(restore === undefined ? {} : { 'x-amz-restore': restore }),
      },
    })
    const isAsked = ({ path }: ProxiedRequest): boolean => asked.includes(path.split('?')[0]!)
    proxy.setFaults([
      {
        methods: ['POST'],
        when: (request) => {
          const isRestore = isPack(request) && request.path.includes('restore')
          if (isRestore) asked.push(request.path.split('?')[0]!)
          return isRestore
        },
        effect: { type: 'answer', status: 202 },
      },
      { methods: ['HEAD'], when: (request) => isPack(request) && !isAsked(request), effect: head() },
      {
        methods: ['HEAD'],
        when: (request) => isPack(request) && isAsked(request) && !hasCome,
        effect: head('ongoing-request="true"'),
      },
      {
        methods: ['GET'],
        when: (request) => isPack(request) && !(isAsked(request) && hasCome),
        effect: {
          type: 'answer',
          status: 403,
          headers: { 'Content-Type': 'application/xml' },
          body: '<Error><Code>InvalidObjectState</Code><Message>archived</Message></Error>',
        },
      },
    ])
  })
  afterAll(async () => {
    await proxy?.stop()
    await double?.stop()
    scratch[Symbol.dispose]()
  })

  const run = (...args: readonly string[]) =>
    play(args, {
      environment: {
        ...double.environment,
        HOLDFAST_REPOSITORY: `s3:${proxy.url}/bucket/archive`,
        HOLDFAST_PASSWORD: PASSWORD,
        XDG_CACHE_HOME: scratch.join('cache'),
      },
      // The minute between two looks, and what the store needs meanwhile.
      clock: {
        now: systemClock.now,
        sleep: async (milliseconds, signal) => {
          if (milliseconds === 60_000 && mayCome) hasCome = true
          await systemClock.sleep(Math.min(milliseconds, 20), signal)
        },
      },
    })
  const target = scratch.join('restored')

  test('is told before anything is written', async () => {
    const refused = await run('restore', 'latest', '--target', target)
    expect(refused.exitCode).toBe(1)
    expect(refused.stderr).toMatch(/[3-9] of [3-9] packs \(2[0-9.]+ MiB\) that are needed lie in an archive of s3:/)
    expect(refused.stderr).toContain('-o s3.enable-restore=true')
    expect(existsSync(target)).toBe(false)
    const rehearsed = await run('restore', 'latest', '--target', target, '--dry-run')
    expect(rehearsed.exitCode).toBe(0)
    expect(rehearsed.stderr).toMatch(/[3-9] of [3-9] packs \(2[0-9.]+ MiB\) that are needed lie in an archive/)
    expect(asked).toEqual([])
  })

  test('is asked for all packs at once, and waited for no longer than was said', async () => {
    const options = ['-o', 's3.enable-restore=true', '-o', 's3.restore-tier=Bulk', '-o', 's3.restore-timeout=0s']
    const away = await run(...options, 'restore', 'latest', '--target', target)
    expect(away.exitCode).toBe(1)
    expect(away.stderr).toContain('(usual: 5 to 12 hours from GLACIER, 48 hours from DEEP_ARCHIVE)')
    expect(away.stderr).toContain('run this again later')
    expect(existsSync(target)).toBe(false)
    expect(asked.length).toBeGreaterThanOrEqual(FILES)
    expect(new Set(asked).size).toBe(asked.length)
  })

  test('is waited for, and then everything is restored', async () => {
    const before = asked.length
    mayCome = true
    const waited = await run('-o', 's3.enable-restore=true', 'restore', 'latest', '--target', target)
    expect(waited.exitCode, waited.stderr).toBe(0)
    expect(waited.stderr).toContain(': 0 were asked for now')
    expect(asked).toHaveLength(before)
    for (const name of readdirSync(data))
      expect(readFileSync(`${target}${data}/${name}`).equals(readFileSync(`${data}/${name}`))).toBe(true)
  })
})

describe.skipIf(lacks('azurite'))('the archive tier of azurite', () => {
  let server: Azurite
  beforeAll(async () => {
    server = await startAzurite()
  })
  afterAll(() => server?.stop())

  test('is told before anything is written', async () => {
    using scratch = scratchFolder()
    fill(scratch.join('data'))
    const run = (...args: readonly string[]) =>
      play(args, {
        environment: {
          ...server.environment,
          HOLDFAST_REPOSITORY: 'azure:archive:/shop',
          HOLDFAST_PASSWORD: PASSWORD,
          XDG_CACHE_HOME: scratch.join('cache'),
        },
      })
    expect((await run('init')).exitCode).toBe(0)
    const tier = ['-o', 'azure.access-tier=Archive']
    expect((await run(...tier, 'backup', '--pack-size', '4', scratch.join('data'))).exitCode).toBe(0)
    const refused = await run('restore', 'latest', '--target', scratch.join('restored'))
    expect(refused.exitCode).toBe(1)
    expect(refused.stderr).toMatch(/[3-9] of [3-9] packs \(2[0-9.]+ MiB\) that are needed lie in an archive of azure:/)
    expect(existsSync(scratch.join('restored'))).toBe(false)
  })
})
