import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { HoldfastError } from '../lib/errors.ts'
import { readSecret, type SecretOptions, secretReference } from './secret.ts'
import { inScratchFolder } from './testing.ts'

const options: SecretOptions = { environment: {}, checkPermissions: true }

async function refusal(reading: Promise<string>): Promise<HoldfastError> {
  const error = await reading.then(String, (thrown: unknown) => thrown)
  if (!(error instanceof HoldfastError)) throw new Error('was not refused')
  expect(error.code).toBe('HF_SECRET_UNAVAILABLE')
  return error
}

describe('a reference', () => {
  test.each([
    ['env:NAME', { kind: 'env', name: 'NAME' }],
    ['file:/etc/a b', { kind: 'file', name: '/etc/a b' }],
  ])('%s', (text, expected) => {
    expect(secretReference.parse(text)).toEqual(expected)
  })
  test.each(['hunter2', 'env:', 'kms:x', ''])('"%s" is none', (text) => {
    expect(secretReference.safeParse(text).success).toBe(false)
  })
})

describe('a secret in a variable', () => {
  const read = (value: string | undefined): Promise<string> =>
    readSecret({ kind: 'env', name: 'KEY' }, { ...options, environment: { KEY: value } })

  test('loses the line end behind it and nothing else', async () => {
    expect(await read(' a b\r\n')).toBe(' a b')
  })
  test('is missing or empty', async () => {
    expect((await refusal(read(undefined))).message).toBe('environment variable KEY is not set')
    expect((await refusal(read('\n'))).message).toBe('environment variable KEY is empty')
  })
})

describe('a secret in a file', () => {
  const inFile = (content: string | Uint8Array, mode: number, prepare?: (path: string) => Promise<void>) =>
    inScratchFolder(async (folder) => {
      const path = join(folder, 'key')
      await writeFile(path, content)
      await chmod(path, mode)
      await prepare?.(path)
      return readSecret({ kind: 'file', name: path }, options)
    })

  test('of `openssl rand -base64 32`, with its newline, is the text of one line (S2-55)', async () => {
    expect(await inFile('q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=\n', 0o600)).toHaveLength(44)
  })
  test('that every user can read is refused with the command that mends it (S2-55)', async () => {
    const error = await refusal(inFile('hunter2\n', 0o604))
    expect(error.message).toMatch(/key can be read by every user of this machine$/)
    expect(error.hint).toMatch(/^run: chmod 600 \/.*\/key$/)
    expect(error.message + error.hint).not.toContain('hunter2')
  })
  test.skipIf(process.getuid?.() !== 0)(
    'that a group can read is refused, unless it is the group of root (S2-55)',
    async () => {
      expect(await inFile('key', 0o640, (path) => chown(path, 0, 0))).toBe('key')
      expect((await refusal(inFile('key', 0o640, (path) => chown(path, 0, 12345)))).message).toMatch(
        /read by the group 12345$/,
      )
    },
  )
  test('that others can read is taken when permissions do not matter', async () => {
    await inScratchFolder(async (folder) => {
      const path = join(folder, 'key')
      await writeFile(path, 'key')
      await chmod(path, 0o644)
      expect(await readSecret({ kind: 'file', name: path }, { ...options, checkPermissions: false })).toBe('key')
    })
  })
  test('is missing, empty, no text, too large, or no file', async () => {
    const missing = await refusal(readSecret({ kind: 'file', name: '/does/not/exist' }, options))
    expect(missing.message).toBe('password file /does/not/exist does not exist')
    expect((await refusal(inFile('\r\n', 0o600))).message).toMatch(/is empty$/)
    expect((await refusal(inFile(Uint8Array.of(0xff), 0o600))).message).toMatch(/is not UTF-8 text$/)
    expect((await refusal(inFile('x'.repeat(70_000), 0o600))).message).toMatch(/is larger than 64 KiB$/)
    await inScratchFolder(async (folder) => {
      const path = join(folder, 'folder')
      await mkdir(path)
      expect((await refusal(readSecret({ kind: 'file', name: path }, options))).message).toMatch(
        /cannot be read: EISDIR$/,
      )
    })
  })
})
