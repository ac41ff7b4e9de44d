import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { processExists } from '../engine/posix/process.ts'
import { readCommandOutput } from './command-output.ts'

async function outputOf(
  commandLine: readonly string[],
  signal: AbortSignal = new AbortController().signal,
  lines: string[] = [],
): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of readCommandOutput(commandLine, { signal, onErrorLine: (line) => lines.push(line) }))
    chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('gives what a command prints, and its complaints by the line; words are not for a shell to read', async () => {
  const lines: string[] = []
  expect(await outputOf(['printf', '%s', '$HOME; `x`'])).toBe('$HOME; `x`')
  expect(await outputOf(['sh', '-c', 'echo one >&2; echo two >&2; echo out'], undefined, lines)).toBe('out\n')
  expect(lines).toEqual(['one', 'two'])
  expect(await outputOf(['cat'])).toBe('')
})

test.each([
  [['sh', '-c', 'echo half; exit 3'], 'failed: exit status 3'],
  [['sh', '-c', 'kill -TERM $$'], 'was ended by SIGTERM'],
  [['/no/such/program'], 'cannot be run'],
])('%j fails after all it has printed', async (commandLine, reason) => {
  await expect(outputOf(commandLine)).rejects.toMatchObject({
    code: 'HF_SOURCE_COMMAND',
    message: expect.stringContaining(reason),
  })
})

test('an interruption ends the command', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const lines: string[] = []
  setTimeout(() => controller.abort(reason), 300)
  const script = 'echo $$ >&2; exec sleep 60'
  await expect(outputOf(['sh', '-c', script], controller.signal, lines)).rejects.toBe(reason)
  const pid = Number(lines[0])
  expect(pid).toBeGreaterThan(0)
  for (let tries = 0; processExists(pid) && tries < 100; tries++) await sleep(20)
  expect(processExists(pid)).toBe(false)
})

test('a reader that goes away ends the command', async () => {
  let pid = 0
  const reader = readCommandOutput(['sh', '-c', 'echo $$; exec yes'], {
    signal: new AbortController().signal,
    onErrorLine: () => undefined,
  })
  for await (const chunk of reader) {
    pid = Number(Buffer.from(chunk).toString().split('\n')[0])
    break
  }
  for (let tries = 0; processExists(pid) && tries < 100; tries++) await sleep(20)
  expect(processExists(pid)).toBe(false)
})
