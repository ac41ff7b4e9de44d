import { readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { CHEAP_KDF, PASSWORD, scratchFolder } from '../../../test/support/test-repository.ts'
import { randomBytes } from '../../lib/random.ts'
import { initRepository } from '../repository/repository.ts'
import { openMemoryStorage } from '../storage/memory/memory-storage.ts'
import type { RestorePlan } from './restore-plan.ts'
import { restoreForTest, TreeMaker } from './testing.ts'
import { verifyRestore } from './verify.ts'

const MIB = 1024 * 1024

/** Restores three files, lets `spoil` do harm, and verifies. */
async function verifyAfter(
  spoil: (folder: string) => void,
): Promise<{ errors: { item: string; message: string }[]; files: number; plan: RestorePlan }> {
  using scratch = scratchFolder()
  const repository = await initRepository(openMemoryStorage(), { password: PASSWORD }, { key: { kdf: CHEAP_KDF } })
  const maker = new TreeMaker(repository)
  const tree = await maker.finish([
    await maker.file('small', ['content']),
    await maker.file('empty', []),
    await maker.file('large', [randomBytes(MIB), randomBytes(MIB), randomBytes(MIB)]),
    maker.symlink('link', 'small'),
  ])
  const { plan, failed } = await restoreForTest(repository, tree, scratch.path)
  spoil(scratch.path)
  const errors: { item: string; message: string }[] = []
  const outcome = await verifyRestore(repository, plan, {
    except: failed,
    onError: (item, error) => errors.push({ item, message: error.message }),
  })
  expect(outcome.errors).toBe(errors.length)
  return { errors, files: outcome.files, plan }
}

describe('verifying a restore', () => {
  test('finds nothing wrong with what was just restored', async () => {
    expect(await verifyAfter(() => undefined)).toMatchObject({ errors: [], files: 3 })
  })

  test.each([
    ['one bit of a small file', (f: string): void => writeFileSync(`${f}/small`, 'contenu'), '/small', 'bytes 0-6'],
    [
      'a byte deep in a large file',
      (f: string): void => poke(`${f}/large`, MIB + 5),
      '/large',
      `${MIB}-${2 * MIB - 1}`,
    ],
    ['the end of a file', (f: string): void => truncateSync(`${f}/large`, 3 * MIB - 1), '/large', 'bytes instead of'],
    ['a byte too many', (f: string): void => writeFileSync(`${f}/empty`, 'x'), '/empty', '1 bytes instead of 0'],
    ['a lost file', (f: string): void => rmSync(`${f}/small`), '/small', 'cannot be read'],
    ['a link to the right content', (f: string): void => relink(`${f}/small`), '/small', 'cannot be read'],
  ])('finds %s', async (_, spoil, item, message) => {
    const { errors, files } = await verifyAfter(spoil)
    expect(errors).toMatchObject([{ item, message: expect.stringContaining(message) }])
    expect(files).toBe(2)
  })
})

/** Turns a byte round. */
function poke(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at]! ^= 0xff
  writeFileSync(path, bytes)
}

function relink(path: string): void {
  rmSync(path)
  writeFileSync(`${path} elsewhere`, 'content')
  symlinkSync(`${path} elsewhere`, path)
}
