import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { CHEAP_KDF, memoryRepository, scratchFolder } from '../../../../test/support/test-repository.ts'
import { openRepository } from '../../repository/repository.ts'
import { errorFrom } from '../../storage/testing.ts'
import type { KitPage } from './kit-pages.ts'
import { type MadeKit, makeKit } from './make-kit.ts'
import { type OpenedKit, openKit, readPages } from './read-kit.ts'
import { fromRows, toRows } from './share-text.ts'

const repository = await memoryRepository()
const kdf = CHEAP_KDF
const shared: MadeKit = await makeKit(
  repository,
  ['s3:https://host/bucket', '/srv/copy'],
  { total: 5, needed: 3 },
  { kdf },
)
const other: MadeKit = await makeKit(repository, ['/srv/copy'], { total: 3, needed: 2 }, { kdf })

const noPassphrase = async (): Promise<string> => {
  throw new Error('asked for a passphrase')
}

/** Opens a kit with these pages of it, counted from 1. */
const openPages = ({ pages }: MadeKit, numbers: readonly number[], change = same): Promise<OpenedKit> =>
  openTexts(numbers.map((number) => [`${number}.txt`, change(pages[number - 1]!.text, number)]))

const openTexts = async (texts: readonly (readonly [string, string])[]): Promise<OpenedKit> =>
  openKit(
    texts.flatMap(([name, text]) => readPages(text, name)),
    noPassphrase,
  )

const same = (text: string, _page: number): string => text
const failing = (numbers: readonly number[], change = same): Promise<Error> =>
  errorFrom(() => openPages(shared, numbers, change))

describe('a kit in shares', () => {
  test.each([[[1, 2, 3]], [[5, 3, 1]], [[2, 4, 5, 1]]])('opens with pages %j', async (numbers) => {
    const { password, facts, rejected } = await openPages(shared, numbers)
    const opened = await openRepository(repository.storage, { password, keyHint: facts.keyId })
    expect(opened.keyId).toBe(shared.keyId)
    expect(facts).toMatchObject({
      repository: repository.config.id,
      locations: ['s3:https://host/bucket', '/srv/copy'],
    })
    expect(rejected).toEqual([])
  })

  test('does not open with fewer, and says which may be brought', async () => {
    expect(await failing([4, 1])).toMatchObject({
      code: 'HF_KIT_INVALID',
      message: '2 of 3 needed pages: 1, 4',
      hint: `bring 1 more of the pages 2, 3, 5 of kit ${shared.kit}`,
    })
    expect(await failing([2, 2, 2])).toMatchObject({ message: '1 of 3 needed pages: 2' })
  })

  test('does not open with a page of another kit', async () => {
    const texts = [shared.pages[0]!, shared.pages[1]!, other.pages[2]!].map(
      ({ text }, index) => [`${index}.txt`, text] as const,
    )
    const error = await errorFrom(() => openTexts(texts))
    expect(error.message).toBe(`2.txt is of kit ${other.kit}, 0.txt of kit ${shared.kit}`)
  })

  test('names the row that was mistyped', async () => {
    const mistyped = (text: string, page: number): string =>
      page === 2 ? text.replace(/^(row 2: .)(.)/m, (_, start, letter) => start + (letter === 'A' ? 'B' : 'A')) : text
    expect(await failing([1, 2, 3], mistyped)).toMatchObject({ message: '2.txt: row 2 of page 2 is damaged' })
    const short = (text: string): string => text.replace(/^row 3: .*\n/m, '')
    expect((await failing([1, 2, 3], short)).message).toMatch(/row 3 of page 1 is damaged/)
  })

  test('takes what people type: small letters, O for 0, l for 1', async () => {
    const typed = (text: string): string =>
      text.replace(
        /^(row \d): (.*)$/gm,
        (_, row, text) => `${row}: ${text.toLowerCase().replaceAll('0', 'o').replaceAll('1', 'l')}`,
      )
    expect((await openPages(shared, [1, 2, 3], typed)).rejected).toEqual([])
  })

  /** A share somebody made up, with checks that fit. */
  const forged = (text: string, page: number): string => {
    const rows = toRows(new Uint8Array(33).fill(7), (row) => `${shared.kit} ${page} ${row}`)
    return text.replace(/^row (\d): .*$/gm, (_, row) => `row ${row}: ${rows[Number(row) - 1]}`)
  }

  test('names a share that was exchanged, and does without it where it can', async () => {
    const change = (text: string, page: number): string => (page === 3 ? forged(text, page) : text)
    const error = await failing([1, 2, 3], change)
    expect(error.message).toBe('page 3 (3.txt) holds a share that is not what the other pages expect')
    const { rejected, password } = await openPages(shared, [1, 2, 3, 5], change)
    expect(rejected).toEqual([{ source: '3.txt', what: 'page 3 holds a share that is not of this kit' }])
    expect(password).toBe((await openPages(shared, [1, 2, 4])).password)
  })

  test('names a share that was exchanged together with its digest on that page', async () => {
    const { shareDigest } = await import('./kit.ts')
    const digest = shareDigest(shared.kit, 3, new Uint8Array(33).fill(7))
    const change = (text: string, page: number): string =>
      page === 3 ? forged(text, page).replace(/^share 3: .*$/m, `share 3: ${digest}`) : text
    expect((await failing([1, 2, 3], change)).message).toContain('page 3 (3.txt) holds a share that is not what')
  })

  test('believes no location that was changed', async () => {
    const lured = (text: string): string => text.replace('location: s3:https://host/', 'location: s3:https://evil/')
    const change = (text: string, page: number): string => (page === 1 ? lured(text) : text)
    const { facts, rejected } = await openPages(shared, [1, 2, 3], change)
    expect(facts.locations[0]).toBe('s3:https://host/bucket')
    expect(rejected).toEqual([{ source: '1.txt', what: 'what page 1 says about the repository was changed' }])
    expect((await failing([1, 2, 3], lured)).message).toContain('what they say about the repository was changed')
  })

  test.each([
    ['rubbish', 'x.txt is no page of a recovery kit'],
    ['-----BEGIN HOLDFAST RECOVERY KIT-----\nversion: 1\n', 'a page is not whole'],
    [pageWith('kit: xyz'), 'the line "kit: ..." is missing or damaged'],
    [pageWith('needed: 9'), 'the line "needed: ..." is missing or damaged'],
    [pageWith('page: 77'), 'the line "page: ..." is missing or damaged'],
    [pageWith('code: 12'), 'the line "code: ..." is missing or damaged'],
    ['x'.repeat(300_000), 'too long'],
  ])('%.60j is refused', async (text, message) => {
    expect((await errorFrom(() => readPages(text, 'x.txt'))).message).toContain(message)
  })
})

function pageWith(line: string): string {
  const [name] = line.split(':')
  return shared.pages[0]!.text.replace(new RegExp(`^${name}: .*$`, 'm'), line)
}

describe('a kit with a passphrase', async () => {
  const passphrase = 'five words taken by chance'
  const kit = await makeKit(repository, ['/srv/copy'], { passphrase }, { kdf })
  const text = kit.pages[0]!.text
  const openText = (changed: string, typed = passphrase): Promise<OpenedKit> =>
    openKit(readPages(changed, 'kit.txt'), async () => typed)

  test('opens with it, and with no other', async () => {
    const { password } = await openText(text)
    expect(text).not.toContain(password)
    expect((await openRepository(repository.storage, { password })).keyId).toBe(kit.keyId)
    expect(await errorFrom(() => openText(text, 'four words taken by chance'))).toMatchObject({
      code: 'HF_KIT_INVALID',
      message: 'kit.txt does not open: the passphrase is wrong, or the page is damaged',
    })
  })

  test('does not open when it was changed', async () => {
    const lured = await errorFrom(() => openText(text.replace('location: /srv/copy', 'location: /srv/evil')))
    expect(lured.message).toBe('kit.txt: what it says about the repository was changed after it was made')
    const at = text.indexOf('-----END AGE') - 10
    const damaged = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
    expect((await errorFrom(() => openText(damaged))).message).toContain('or the page is damaged')
    const without = text.slice(0, text.indexOf('-----BEGIN AGE'))
    expect((await errorFrom(() => openText(without))).message).toBe('kit.txt: the part for age is missing')
  })

  test('with too short a passphrase, or of too few pages, is not made', async () => {
    const keys = await Array.fromAsync(repository.storage.list('key'))
    for (const protection of [
      { passphrase: 'short' },
      { total: 3, needed: 1 },
      { total: 2, needed: 3 },
      { total: 17, needed: 3 },
    ])
      expect(await errorFrom(() => makeKit(repository, [], protection))).toMatchObject({ code: 'HF_USAGE' })
    expect(await Array.fromAsync(repository.storage.list('key'))).toEqual(keys)
  })

  test.skipIf(lacks('age'))('opens with age alone', async () => {
    using scratch = scratchFolder()
    writeFileSync(scratch.join('kit.age'), text.slice(text.indexOf('-----BEGIN AGE')))
    // age asks a terminal for passphrases and nothing else.
    const { stdout } = spawnSync('script', ['-qec', 'age --decrypt --output password kit.age', '/dev/null'], {
      cwd: scratch.path,
      input: `${passphrase}\n`,
      encoding: 'utf8',
    })
    expect(existsSync(scratch.join('password')), stdout).toBe(true)
    expect(readFileSync(scratch.join('password'), 'utf8')).toBe((await openText(text)).password)
  })
})

test('shares survive being written down, whatever bytes they are', () => {
  for (const fill of [0, 1, 127, 128, 255]) {
    const bytes = Uint8Array.from({ length: 33 }, (_, index) => (fill * (index + 1)) & 255)
    const rows = toRows(bytes, (row) => `x ${row}`)
    expect(fromRows(rows, (row) => `x ${row}`, 33)).toEqual(bytes)
    expect(fromRows(rows, (row) => `y ${row}`, 33)).toEqual({ wrongRow: 1 })
    expect(fromRows([...rows].reverse(), (row) => `x ${row}`, 33)).toEqual({ wrongRow: 1 })
  }
})

test('pages are short enough for paper, and plain', () => {
  for (const { text } of shared.pages as readonly KitPage[]) {
    expect(text).toMatch(/^[\x20-\x7e\n]*$/)
    expect(text.split('\n').length).toBeLessThan(66)
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(110)
  }
})
