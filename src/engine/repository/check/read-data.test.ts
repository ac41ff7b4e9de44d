import { describe, expect, test } from 'vitest'
import {
  type CraftedBlob,
  craftPack,
  craftSnapshot,
  newMemoryRepository,
  storePack,
} from '../../../../test/support/crafted-repository.ts'
import { flipBit, overwrite, tamper } from '../../../../test/support/damaged-storage.ts'
import { farStorage, packReads } from '../../../../test/support/far-storage.ts'
import { newRepository, PASSWORD, scratchFolder } from '../../../../test/support/test-repository.ts'
import { utf8 } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { noProgress } from '../../../lib/progress.ts'
import { randomBytes } from '../../../lib/random.ts'
import { sha256Hex } from '../../kernels/sha256.ts'
import { type Fault, withFaults } from '../../storage/layers/with-faults.ts'
import { entriesOf, type PackListing, rowsOf } from '../pack/blob-rows.ts'
import type { PackEntry } from '../pack/header.ts'
import { openRepository, type Repository } from '../repository.ts'
import { checkRepository } from './check.ts'
import type { Finding } from './finding.ts'

/** What reading everything finds, beside the hints of the structure. */
async function read(repository: Repository, threads = 0): Promise<readonly Finding[]> {
  const { findings } = await checkRepository(repository, { read: { kind: 'all' }, threads, progress: noProgress })
  return findings.filter(({ severity }) => severity === 'error')
}

const data = (text: string, lies: Partial<CraftedBlob> = {}): CraftedBlob => ({
  type: 'data',
  plaintext: utf8(text),
  ...lies,
})
const blobs = [data('the first'), data('the second one'), data('the third')]
const idOf = (text: string): string => sha256Hex(utf8(text))

/** The rows with changed entries. */
const altered = (rows: Uint8Array, change: (entries: PackEntry[]) => PackEntry[]): Uint8Array =>
  rowsOf(change(entriesOf(rows)))

/** What is found in one pack with the listing an index gives, here changed. */
async function findIn(
  pack: ReturnType<typeof craftPack>,
  repository: Repository,
  change: (entries: PackEntry[]) => PackEntry[] = (entries) => entries,
): Promise<readonly Finding[]> {
  const listing: PackListing = { pack: pack.listing.pack, rows: altered(pack.listing.rows, change) }
  await storePack(repository, pack, [listing])
  return await read(repository)
}

describe('a pack that is authentic but not right', () => {
  test('is nothing to report when it is right', async () => {
    const repository = await newMemoryRepository()
    expect(await findIn(craftPack(repository, blobs), repository)).toEqual([])
  })

  test.each([
    [
      'a blob under a wrong id',
      data('one thing', { id: idOf('another') }),
      `blob ${idOf('another')}: does not have the content its id stands for`,
    ],
    [
      'a blob that is no frame',
      data('plain', { body: utf8('not compressed at all') }),
      /^blob [0-9a-f]{64}: compressed data of 21 bytes cannot be decompressed/,
    ],
    [
      'a blob that is longer than it is said to be',
      data('longer', { uncompressedLength: 3 }),
      /^blob [0-9a-f]{64}: .*holds more than the expected 3 bytes/,
    ],
    [
      'a blob that is shorter than it is said to be',
      data('shorter', { uncompressedLength: 30 }),
      /^blob [0-9a-f]{64}: it is shorter than the index says/,
    ],
  ])('%s is named, the others are not', async (_, blob, problem) => {
    const repository = await newMemoryRepository()
    const pack = craftPack(repository, [blobs[0]!, blob, blobs[1]!])
    const [finding, ...others] = await findIn(pack, repository)
    expect(others).toEqual([])
    expect(finding).toMatchObject({ kind: 'pack-damaged', object: { type: 'data', id: pack.listing.pack } })
    expect(finding!.details).toEqual([expect.stringMatching(problem)])
    expect(finding!.hint).toContain(`holdfast repair packs ${pack.listing.pack}`)
  })

  test.each<[string, (entries: PackEntry[]) => PackEntry[], RegExp[]]>([
    [
      'a blob the header does not list',
      (entries) => entries.slice(0, 2),
      [
        /pack header size does not match, want 155, got 114/,
        new RegExp(`blob ${idOf('the third')} is not in the pack header`),
      ],
    ],
    [
      'another id in the header',
      ([first, second, third]) => [first!, { ...second!, id: idOf('x') }, third!],
      [
        new RegExp(`blob ${idOf('x')} is not contained in index`),
        new RegExp(`blob ${idOf('the second one')} is not in`),
      ],
    ],
    [
      'another type in the header',
      ([first, second, third]) => [first!, { ...second!, type: 'tree' }, third!],
      [
        new RegExp(`blob ${idOf('the second one')} is not contained`),
        new RegExp(`${idOf('the second one')} is not in`),
      ],
    ],
    [
      'another plaintext length in the header',
      ([first, second, third]) => [first!, second!, { ...third!, uncompressedLength: 8 }],
      [new RegExp(`blob ${idOf('the third')} is not contained`), new RegExp(`blob ${idOf('the third')} is not in`)],
    ],
    [
      'a header of uncompressed entries',
      (entries) => entries.map((entry) => ({ ...entry, uncompressedLength: 0 })),
      [/pack header size does not match, want 155, got 143/, /is not contained/],
    ],
  ])('%s', async (_, change, problems) => {
    const repository = await newMemoryRepository()
    const pack = craftPack(repository, blobs, { header: (rows) => altered(rows, change) })
    const findings = await findIn(pack, repository)
    const details = findings.find(({ kind }) => kind === 'pack-damaged')!.details
    for (const problem of problems) expect(details).toContainEqual(expect.stringMatching(problem))
  })

  test('bytes between the blobs and the header are named, and so is an index with a gap', async () => {
    const repository = await newMemoryRepository()
    const pack = craftPack(repository, blobs, { gap: 5 })
    expect((await findIn(pack, repository)).map(({ kind }) => kind)).toEqual(['pack-size'])

    const shifted = await newMemoryRepository()
    const findings = await findIn(craftPack(shifted, blobs), shifted, ([first, second, third]) => [
      first!,
      { ...second!, offset: second!.offset + 4 },
      third!,
    ])
    expect(findings[0]!.details).toEqual([
      'index for pack contains gaps / overlapping blobs',
      expect.stringMatching(`blob ${idOf('the second one')}: .*authentication`),
      `blob ${idOf('the second one')} is not contained in index or position is incorrect`,
      `blob ${idOf('the second one')} is not in the pack header or position is incorrect`,
    ])
  })

  test('an index that lists a blob twice, or behind the end of the file, is named', async () => {
    const twice = await newMemoryRepository()
    const pack = craftPack(twice, blobs)
    expect((await findIn(pack, twice, (entries) => [...entries, entries[1]!])).map(({ kind }) => kind)).toEqual([
      'pack-size',
      'pack-damaged',
    ])
    const beyond = await newMemoryRepository()
    const findings = await findIn(craftPack(beyond, blobs), beyond, ([first, second, third]) => [
      first!,
      second!,
      { ...third!, length: 40_000 },
    ])
    expect(findings[1]!.details).toContain(`blob ${idOf('the third')}: lies beyond the end of the file`)
  })

  test('the content of another pack is named', async () => {
    const repository = await newMemoryRepository()
    const pack = craftPack(repository, blobs)
    const id = await storePack(repository, pack)
    // The same blobs sealed anew: all authentic, and of the same size.
    await overwrite(repository.storage, { kind: 'data', name: id }, craftPack(repository, blobs).bytes)
    expect((await read(repository))[0]!.details).toEqual([expect.stringMatching(/^unexpected pack id [0-9a-f]{64}$/)])
  })

  test('a length field that points elsewhere is named', async () => {
    const repository = await newMemoryRepository()
    const pack = craftPack(repository, blobs)
    const id = await storePack(repository, pack)
    for (const length of [70, 0, 156, pack.bytes.length - 4, 0xffff_ffff]) {
      const bytes = Buffer.from(pack.bytes)
      bytes.writeUInt32LE(length, bytes.length - 4)
      await overwrite(repository.storage, { kind: 'data', name: id }, bytes)
      expect((await read(repository))[0]!.details).toEqual([
        expect.stringMatching('unexpected pack id'),
        expect.stringMatching(/^pack header: /),
      ])
    }
  })
})

/** Where the blobs of a listing end, ascending. */
const blobEnds = (rows: Uint8Array): number[] => entriesOf(rows).map(({ offset, length }) => offset + length)

describe('bytes that changed', () => {
  const lengths = [0, 1, 40, 77, 200]

  test.each(lengths)('a file of %i bytes is not a pack', async (length) => {
    const repository = await newMemoryRepository()
    const pack = craftPack(repository, blobs)
    await storePack(repository, pack)
    await overwrite(repository.storage, { kind: 'data', name: pack.listing.pack }, pack.bytes.subarray(0, length))
    const findings = await read(repository)
    expect(findings.map(({ kind }) => kind)).toEqual(['pack-size', 'pack-damaged'])
    expect(findings[1]!.details).toContainEqual(expect.stringMatching('unexpected pack id'))
    expect(findings[1]!.details).toContainEqual(expect.stringMatching('pack header'))
    const lost = findings[1]!.details.filter((detail) => detail.includes('beyond the end'))
    expect(lost).toHaveLength(blobs.filter((_, i) => length < blobEnds(pack.listing.rows)[i]!).length)
  })

  test('every single bit of a small pack counts', async () => {
    const repository = await newMemoryRepository()
    const pack = craftPack(repository, blobs)
    const id = await storePack(repository, pack)
    const unnoticed: number[] = []
    for (let bit = 0; bit < pack.bytes.length * 8; bit += 7) {
      await overwrite(repository.storage, { kind: 'data', name: id }, flipBit(pack.bytes, bit))
      const findings = await read(repository)
      if (findings.length !== 1 || findings[0]!.object.id !== id) unnoticed.push(bit)
    }
    expect(unnoticed).toEqual([])
  })
})

/** Packs of many sizes: thousands of small blobs, blobs larger than a window, and more than one window. */
async function largeRepository(repository: Repository): Promise<Repository> {
  const small = Array.from({ length: 3000 }, (_, i) => utf8(`blob number ${i} `.repeat(1 + (i % 40))))
  await craftSnapshot(repository, { small, medium: Array.from({ length: 9 }, () => randomBytes(1_500_000)) })
  const large: CraftedBlob[] = [10_000_000, 1000, 8_388_576].map((size) => ({
    type: 'data',
    plaintext: randomBytes(size),
  }))
  await storePack(repository, craftPack(repository, large))
  return repository
}

describe('large packs', () => {
  test('are whole on the calling thread, and on threads that read themselves or ask for it', async () => {
    using scratch = scratchFolder()
    const local = await largeRepository(await newRepository(scratch.join('repository')))
    expect(await read(local, 0)).toEqual([])
    expect(await read(local, 2)).toEqual([])
    const remote = await openRepository(withFaults(local.storage, []), { password: PASSWORD })
    expect(await read(remote, 3)).toEqual([])
  })

  test('all ways to read find the same', async () => {
    using scratch = scratchFolder()
    const local = await largeRepository(await newRepository(scratch.join('repository')))
    for (const [i, name] of (await local.list('data')).entries())
      await tamper(local.storage, { kind: 'data', name }, (bytes) =>
        flipBit(bytes, 8 * (Math.floor(bytes.length / 3) + i)),
      )
    const remote = await openRepository(withFaults(local.storage, []), { password: PASSWORD })
    const found = await Promise.all(
      [read(local, 0), read(local, 2), read(remote, 2)].map(async (findings) =>
        (await findings).toSorted((a, b) => (a.message < b.message ? -1 : 1)),
      ),
    )
    expect(found[0]!.length).toBeGreaterThan(2)
    expect(found[1]).toEqual(found[0])
    expect(found[2]).toEqual(found[0])
  })
})

describe('storage that fails', () => {
  const fails = (options: Partial<Fault>): Fault => ({
    operation: 'get',
    kind: 'data',
    effect: { type: 'fail', error: new HoldfastError('HF_STORAGE_IO', 'the cable is loose') },
    ...options,
  })

  const openWith = async (fault: Fault): Promise<{ repository: Repository; pack: string }> => {
    const sound = await newMemoryRepository()
    const pack = await storePack(sound, craftPack(sound, blobs))
    return { repository: await openRepository(withFaults(sound.storage, [fault]), { password: PASSWORD }), pack }
  }

  test.each([0, 1])('for once is reported as passing (%i threads)', async (threads) => {
    const { repository, pack } = await openWith(fails({ times: 1 }))
    expect(await read(repository, threads)).toMatchObject([
      { kind: 'pack-passing-failure', object: { id: pack }, severity: 'error' },
    ])
  })

  test.each([0, 1])('for good is reported with its reason, and is nothing to repair (%i threads)', async (threads) => {
    const { repository, pack } = await openWith(fails({}))
    const result = await checkRepository(repository, { read: { kind: 'all' }, threads, progress: noProgress })
    expect(result.findings).toMatchObject([
      { kind: 'pack-unreadable', message: `pack ${pack} cannot be read: the cable is loose` },
    ])
    expect(result.brokenPacks).toEqual([])
  })

  test.each([0, 1])('to bring the right bytes at first is told apart from damage (%i threads)', async (threads) => {
    const { repository, pack } = await openWith(
      // Without threads the first call brings the header, the second the whole; for threads the whole is fetched.
      fails({ call: threads === 0 ? 2 : 1, times: 1, effect: { type: 'flip', bit: 200 } }),
    )
    const [finding, ...others] = await read(repository, threads)
    expect(others).toEqual([])
    expect(finding).toMatchObject({ kind: 'pack-passing-failure', object: { id: pack } })
    expect(finding!.details).toContainEqual(expect.stringContaining(idOf('the first')))
  })

  test.each([0, 1])('to bring the right header twice is told apart from damage (%i threads)', async (threads) => {
    const inHeader = {
      type: 'flip',
      bit: craftPack(await newMemoryRepository(), blobs).bytes.length * 8 - 100,
    } as const
    const { repository, pack } = await openWith(fails({ times: 2, effect: inHeader }))
    expect(await read(repository, threads)).toMatchObject([
      { kind: 'pack-passing-failure', object: { id: pack }, details: [expect.stringMatching(/^pack header: /)] },
    ])
  })
})

test('packs of a far store are fetched whole, as many at a time as it has connections', async () => {
  const sound = await newMemoryRepository()
  for (let pack = 0; pack < 6; pack++) await storePack(sound, craftPack(sound, [data(`in pack ${pack}`)]))
  const far = farStorage(sound.storage, 3)
  const repository = await openRepository(far.storage, { password: PASSWORD })
  expect(await read(repository, 2)).toEqual([])
  expect(packReads(far)).toBe(6)
  expect(far.most.reads).toBe(3)
})
