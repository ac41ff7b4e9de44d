import { describe, expect, test } from 'vitest'
import { compareRecordings } from './golden.ts'
import type { Recording } from './recording.ts'

const restic: Recording = {
  name: 'case',
  arguments: ['backup', 'tree'],
  exitCode: 3,
  stdout: [
    'Size   Name',
    '-----------',
    { message_type: 'summary', files_new: 1, nested: { program: 'restic 0.19.1' } },
  ],
  stderr: ['missing does not exist', { message_type: 'exit_error', code: 3, message: 'Warning' }],
}

const problems = (change: Partial<Recording>, difference?: Parameters<typeof compareRecordings>[2]): number =>
  compareRecordings(restic, { ...restic, ...change }, difference).length

describe('a recording of ours', () => {
  test('that says the same passes, however it is worded, with fields of our own, and however wide columns are', () => {
    expect(problems({})).toBe(0)
    expect(problems({ stdout: ['Size  Name', '---------', ...restic.stdout.slice(2)] })).toBe(0)
    const error = { message_type: 'exit_error', code: 3, message: 'what is wrong', error_code: 'HF_INCOMPLETE' }
    expect(problems({ stderr: ['one line', 'and a hint', error] })).toBe(0)
  })

  const [header, rule, summary] = restic.stdout as [string, string, object]
  test.each<[string, Partial<Recording>]>([
    ['another exit code', { exitCode: 1 }],
    ['a line less', { stdout: [header, summary] }],
    ['another line', { stdout: ['Name  Size', rule, summary] }],
    ['no message', { stdout: [header, rule] }],
    ['another number', { stdout: [header, rule, { ...summary, files_new: 2 }] }],
    ['a number as text', { stdout: [header, rule, { ...summary, files_new: '1' }] }],
    ['a field less', { stdout: [header, rule, { message_type: 'summary', files_new: 1 }] }],
    ['a field more', { stdout: [header, rule, { ...summary, more: true }] }],
    ['another type', { stdout: [header, rule, { ...summary, message_type: 'status' }] }],
    ['no words', { stderr: restic.stderr.slice(1) }],
    ['no message about the error', { stderr: restic.stderr.slice(0, 1) }],
    ['nothing on standard error', { stderr: [] }],
  ])('with %s fails', (_, change) => {
    expect(problems(change)).toBe(1)
  })

  test('may differ where that is listed, and only so', () => {
    expect(problems({ exitCode: 0 }, { see: '', exitCode: 0 })).toBe(0)
    expect(problems({ exitCode: 1 }, { see: '', exitCode: 0 })).toBe(1)
    expect(problems({ stdout: [] }, { see: '', stdout: (lines) => lines.slice(3) })).toBe(0)
    expect(problems({}, { see: '', stdout: [] })).toBe(1)
    // Lines for people are compared word by word when they are listed.
    expect(problems({ stderr: ['a'] }, { see: '', stderr: ['b'] })).toBe(1)
  })
})
