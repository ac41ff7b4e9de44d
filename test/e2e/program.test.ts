import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'

const program = join(import.meta.dirname, '..', '..', 'bin', 'holdfast')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-program-'))
afterAll(() => rmSync(folder, { recursive: true }))

interface Ending {
  readonly code: number | null
  readonly signal: string | null
  readonly stderr: string
}

function start(...args: readonly string[]): { child: ChildProcess; ending: Promise<Ending>; told(): string } {
  const { PATH = '', HOME = folder } = process.env
  const child = spawn(program, args, { env: { PATH, HOME }, stdio: 'pipe' })
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ending = new Promise<Ending>((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal, stderr })),
  )
  return { child, ending, told: () => stderr }
}

/** A program that waits for its password on a pipe. */
async function waiting(): Promise<ReturnType<typeof start>> {
  const started = start(
    'init',
    '-r',
    join(folder, 'repository'),
    '--password-command',
    'sh -c "echo ready >&2; exec sleep 120"',
  )
  await expect.poll(started.told, { timeout: 60_000 }).toContain('ready')
  return started
}

describe('the process', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('ends with 130 after %s', async (signal) => {
    const { child, ending } = await waiting()
    child.kill(signal)
    const { code, stderr } = await ending
    expect(code).toBe(130)
    expect(stderr).toContain(`signal ${signal} received, cleaning up`)
    expect(stderr).toContain(`interrupted by ${signal}`)
  })

  test('keeps running on SIGUSR1, and opens no debugger', async () => {
    const { child, ending, told } = await waiting()
    child.kill('SIGUSR1')
    child.kill('SIGUSR1')
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(told()).not.toContain('Debugger')
    child.kill('SIGTERM')
    expect((await ending).code).toBe(130)
  })

  test('ends silently when its reader is gone', async () => {
    const { child, ending } = start('completion', 'bash')
    child.stdout!.destroy()
    const { code, stderr } = await ending
    expect(stderr).toBe('')
    expect(code).toBe(141)
  })

  test('tells a wrong command line on standard error', async () => {
    const { ending } = start('frobnicate', '--json')
    const { code, stderr } = await ending
    expect(code).toBe(1)
    expect(JSON.parse(stderr)).toMatchObject({ message_type: 'exit_error', code: 1 })
  })
})
