import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { randomBytes } from '../../src/lib/random.ts'
import { lacks } from '../support/requirements.ts'
import { type FaultProxy, startFaultProxy } from '../support/servers/fault-proxy.ts'
import { type RestServer, startRcloneRest } from '../support/servers/rclone-rest.ts'
import { type SshServer, startSshd } from '../support/servers/sshd.ts'
import { play } from '../support/stage.ts'
import { PASSWORD, scratchFolder } from '../support/test-repository.ts'

const program = new URL('../../bin/holdfast', import.meta.url).pathname

/** Retries wait for a twentieth of their time. */
const quick = {
  now: systemClock.now,
  sleep: (milliseconds: number, signal?: AbortSignal) => systemClock.sleep(milliseconds / 20, signal),
}

function fill(folder: string, number: number): void {
  mkdirSync(join(folder, 'more'), { recursive: true })
  writeFileSync(join(folder, `random ${number}`), randomBytes(700_000))
  writeFileSync(join(folder, 'more', 'text'), `the text of round ${number}\n`)
}

describe.skipIf(lacks('rclone'))('a server that is 200 ms away and fails now and then', () => {
  const scratch = scratchFolder()
  const source = scratch.join('source')
  let server: RestServer
  let proxy: FaultProxy
  beforeAll(async () => {
    server = await startRcloneRest()
    proxy = await startFaultProxy(server)
  })
  afterAll(async () => {
    await proxy?.stop()
    await server?.stop()
    scratch[Symbol.dispose]()
  })

  test('who waits for it is stopped by a signal', { timeout: 60_000 }, async () => {
    proxy.setFaults([{ effect: { type: 'answer', status: 503, headers: { 'Retry-After': '300' } } }])
    const environment = { HOLDFAST_REPOSITORY: `rest:${proxy.url}/away/`, HOLDFAST_PASSWORD: PASSWORD }
    const child = spawn(program, ['--no-cache', 'snapshots'], { env: { ...process.env, ...environment } })
    let said = ''
    child.stderr.on('data', (text) => {
      // Only once: a second signal ends it in any case.
      if (!said.includes('trying again') && `${said}${text}`.includes('trying again')) child.kill('SIGTERM')
      said += text
    })
    const enough = setTimeout(() => child.kill('SIGKILL'), 40_000)
    const status = await new Promise((resolve) => child.on('close', resolve))
    clearTimeout(enough)
    expect(said).toContain('trying again in 300 s')
    expect(status).toBe(130)
  })

  test(
    'everything works all the same',
    async () => {
      // More than one in a hundred, since there are only some hundred requests.
      proxy.setFaults([
        { effect: { type: 'delay', milliseconds: 200 } },
        { call: 6, every: 31, effect: { type: 'reset' } },
        { call: 17, every: 37, effect: { type: 'lose-answer' } },
        { call: 25, every: 41, effect: { type: 'answer', status: 503, headers: { 'Retry-After': '2' } } },
        { methods: ['GET'], call: 9, every: 29, effect: { type: 'truncate', bytes: 30 } },
        { methods: ['POST'], call: 4, every: 13, effect: { type: 'cut-upload', bytes: 100 } },
      ])
      let retries = 0
      const must = async (name: string, ...args: readonly string[]): Promise<string> => {
        const environment = {
          HOLDFAST_REPOSITORY: `rest:${proxy.url}/${name}/`,
          HOLDFAST_PASSWORD: PASSWORD,
          ...(name === 'second'
            ? { HOLDFAST_FROM_REPOSITORY: `rest:${proxy.url}/first/`, HOLDFAST_FROM_PASSWORD: PASSWORD }
            : {}),
          XDG_CACHE_HOME: scratch.join('cache'),
        }
        const { exitCode, stdout, stderr } = await play(args, { environment, clock: quick })
        expect({ args, exitCode, stderr: exitCode === 0 ? '' : stderr }).toEqual({ args, exitCode: 0, stderr: '' })
        retries += stderr.split('trying again').length - 1
        return stdout
      }
      fill(source, 1)
      await must('first', 'init')
      await must('first', 'backup', source)
      fill(source, 2)
      await must('first', 'backup', source)
      expect(JSON.parse(await must('first', 'snapshots', '--json'))).toHaveLength(2)
      await must('first', 'check', '--read-data')
      await must('first', 'forget', '--keep-last', '1', '--prune')
      await must('first', 'tag', '--add', 'kept')
      await must('second', 'init', '--copy-chunker-params')
      await must('second', 'copy')
      await must('second', 'check', '--read-data', '--no-cache')
      await must('second', 'restore', 'latest', '--target', scratch.join('restored'), '--no-cache')
      for (const file of ['random 1', 'random 2', 'more/text'])
        expect(readFileSync(join(scratch.join('restored'), source, file))).toEqual(readFileSync(join(source, file)))
      expect(retries).toBeGreaterThan(5)
    },
    15 * 60_000,
  )
})

describe.skipIf(lacks('rclone', 'sshd', 'restic'))('a backup that is killed', () => {
  const scratch = scratchFolder()
  let rest: RestServer
  let ssh: SshServer
  beforeAll(async () => {
    rest = await startRcloneRest()
    ssh = await startSshd()
  })
  afterAll(async () => {
    await rest?.stop()
    await ssh?.stop()
    scratch[Symbol.dispose]()
  })

  test.each(['rest', 'sftp'])(
    'again and again on %s leaves a repository that the next one completes',
    async (kind) => {
      const source = scratch.join(kind)
      const location = kind === 'rest' ? `rest:${rest.url}killed/` : ssh.url('killed')
      const environment = {
        ...process.env,
        ...(kind === 'rest' ? {} : ssh.environment),
        HOLDFAST_REPOSITORY: location,
        HOLDFAST_PASSWORD: PASSWORD,
        XDG_CACHE_HOME: scratch.join('cache'),
      }
      const run = async (
        args: readonly string[],
        killWhen?: () => boolean,
      ): Promise<{ code: number | null; said: string }> => {
        const child = spawn(program, args, { env: environment, stdio: ['ignore', 'ignore', 'pipe'] })
        let said = ''
        child.stderr.on('data', (text) => {
          said += text
        })
        let code: number | null | undefined
        const ended = new Promise<void>((resolve) => {
          child.once('close', (status) => {
            code = status
            resolve()
          })
        })
        while (killWhen !== undefined && code === undefined && !killWhen()) await systemClock.sleep(3)
        if (killWhen !== undefined) child.kill('SIGKILL')
        await ended
        return { code: code ?? null, said }
      }
      mkdirSync(source, { recursive: true })
      for (let number = 0; number < 6; number += 1) writeFileSync(join(source, `${number}`), randomBytes(5_000_000))
      expect(await run(['init'])).toMatchObject({ code: 0 })
      const data = kind === 'rest' ? rest.data : ssh.data
      const packs = (): number =>
        Number(spawnSync('sh', ['-c', 'find "$0/killed/data" -type f | wc -l', data], { encoding: 'utf8' }).stdout)
      for (const more of [1, 2]) {
        const before = packs()
        await run(['backup', '--pack-size', '4', source], () => packs() >= before + more)
      }
      expect(await run(['backup', '--pack-size', '4', source])).toMatchObject({ code: 0 })
      expect(await run(['unlock'])).toMatchObject({ code: 0 })
      expect(await run(['restore', 'latest', '--target', scratch.join('back', kind), '--no-cache'])).toMatchObject({
        code: 0,
      })
      for (let number = 0; number < 6; number += 1)
        expect(
          readFileSync(join(scratch.join('back', kind), source, `${number}`)).equals(
            readFileSync(join(source, `${number}`)),
          ),
        ).toBe(true)
      expect(await run(['prune'])).toMatchObject({ code: 0 })
      const env = { ...process.env, RESTIC_PASSWORD: PASSWORD }
      const check = spawnSync('restic', ['-r', join(data, 'killed'), '--no-cache', 'check', '--read-data'], {
        env,
        encoding: 'utf8',
      })
      expect({ status: check.status, stderr: check.stderr }).toEqual({ status: 0, stderr: '' })
    },
    240_000,
  )
})
