import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { scratchFolder } from '../../../test/support/test-repository.ts'
import { isAlive } from './processes.ts'
import { SandboxFolder } from './sandbox-folder.ts'

const OWNER = `
import { SandboxFolder } from ${JSON.stringify(new URL('./sandbox-folder.ts', import.meta.url).href)}
const folder = SandboxFolder.create()
const server = folder.start('sleeper', 'sleep', ['600'])
console.log(JSON.stringify({ path: folder.path, pid: server.pid }))
setInterval(() => {}, 1000)
`

function reachable(scratch: { readonly path: string }): string {
  chmodSync(scratch.path, 0o755)
  return scratch.path
}

test('a sandbox goes with its servers when it is disposed of', async () => {
  using scratch = scratchFolder()
  const root = reachable(scratch)
  let pid: number | undefined
  {
    await using folder = SandboxFolder.create({ root })
    expect(statSync(folder.path).mode & 0o777).toBe(0o700)
    mkdirSync(`${folder.path}/restored/below`, { recursive: true })
    writeFileSync(`${folder.path}/restored/below/file`, 'x')
    folder.handOver(`${folder.path}/restored`)
    expect(statSync(`${folder.path}/restored/below/file`).uid).toBe(folder.user.uid ?? process.getuid!())
    const server = folder.start(
      'server',
      process.execPath,
      [
        '-e',
        'console.log(process.getuid(), process.cwd(), process.env.SAID, process.env.HOME); setTimeout(() => {}, 600000)',
      ],
      { environment: { SAID: 'x' } },
    )
    pid = server.pid!
    while (server.log() === '') await delay(20)
    expect(server.log()).toBe(`${folder.user.uid ?? process.getuid!()} ${folder.path} x undefined\n`)
    expect(isAlive(pid)).toBe(true)
    expect(await folder.start('nothing', '/nowhere/server', []).ended).toContain('cannot be started')
    expect(await folder.start('short', 'sh', ['-c', 'exit 3']).ended).toBe('exit code 3')
  }
  expect(isAlive(pid)).toBe(false)
  expect(readdirSync(root)).toEqual([])
})

test('a sandbox goes with its servers when its owner is killed, and its watchdog as well', async () => {
  using scratch = scratchFolder()
  const root = reachable(scratch)
  const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', OWNER], {
    env: { ...process.env, HOLDFAST_SANDBOX_DIR: root },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const line = await new Promise<string>((resolve) => owner.stdout.once('data', (data) => resolve(String(data))))
  const { path, pid } = JSON.parse(line) as { readonly path: string; readonly pid: number }
  expect(existsSync(path) && isAlive(pid)).toBe(true)
  owner.kill('SIGKILL')
  for (let n = 0; n < 500 && (existsSync(path) || isAlive(pid)); n++) await delay(20)
  expect({ folder: existsSync(path), server: isAlive(pid) }).toEqual({ folder: false, server: false })

  const dead = `${root}/holdfast-sandbox-${owner.pid}-abcdef`
  mkdirSync(dead)
  const ours = `${root}/holdfast-sandbox-${process.pid}-abcdef`
  mkdirSync(ours)
  {
    await using _folder = SandboxFolder.create({ root })
    expect(existsSync(dead)).toBe(false)
    expect(existsSync(ours)).toBe(true)
  }
})

test('a place where no sandbox can be made is named', () => {
  expect(() => SandboxFolder.create({ root: '/nowhere' })).toThrow(
    expect.objectContaining({ code: 'HF_TARGET_INVALID', message: expect.stringContaining('/nowhere') }),
  )
})

test.skipIf(lacks('root'))(
  'a place that servers cannot reach is named, or passed over when nobody chose it',
  async () => {
    using scratch = scratchFolder()
    const inner = scratch.join('inner')
    mkdirSync(inner, { mode: 0o755 })
    expect(() => SandboxFolder.create({ root: inner })).toThrow(
      expect.objectContaining({
        code: 'HF_TARGET_INVALID',
        message: expect.stringContaining(`may not go through ${scratch.path}`),
      }),
    )
    const { TMPDIR, HOLDFAST_SANDBOX_DIR } = process.env
    delete process.env.HOLDFAST_SANDBOX_DIR
    process.env.TMPDIR = inner
    try {
      await using folder = SandboxFolder.create()
      expect(folder.path.startsWith(inner)).toBe(false)
      const seen = folder.start('who', 'sh', ['-c', 'pwd'])
      expect(await seen.ended).toBe('exit code 0')
      expect(seen.log()).toBe(`${folder.path}\n`)
    } finally {
      if (TMPDIR === undefined) delete process.env.TMPDIR
      else process.env.TMPDIR = TMPDIR
      if (HOLDFAST_SANDBOX_DIR !== undefined) process.env.HOLDFAST_SANDBOX_DIR = HOLDFAST_SANDBOX_DIR
    }
  },
)
