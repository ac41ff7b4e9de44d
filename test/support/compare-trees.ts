import { type BigIntStats, closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import { readAttributes } from '../../src/engine/posix/extended-attributes.ts'

const slash = Buffer.from('/')
const COMPARE_BYTES = 4 * 1024 * 1024
const bufferA = Buffer.alloc(COMPARE_BYTES)
const bufferB = Buffer.alloc(COMPARE_BYTES)

/**
 * The first difference between what lies in two folders, or undefined: names as bytes, types, modes, owners, modification times, devices,
 * extended attributes, link targets, hard links among themselves, and every byte. The two folders' own attributes do not count.
 */
export function findTreeDifference(expected: string, actual: string): string | undefined {
  return differenceIn(Buffer.from(expected), Buffer.from(actual), new Map())
}

function differenceIn(expected: Buffer, actual: Buffer, links: Map<bigint, bigint>): string | undefined {
  const [names, found] = [namesIn(expected), namesIn(actual)]
  if (names.join('/') !== found.join('/')) return `${expected}: other names, such as ${firstOther(names, found)}`
  for (const name of names) {
    const bytes = Buffer.from(name, 'latin1')
    const [a, b] = [Buffer.concat([expected, slash, bytes]), Buffer.concat([actual, slash, bytes])]
    const [factsA, factsB] = [lstatSync(a, { bigint: true }), lstatSync(b, { bigint: true })]
    const difference = differenceOfFacts(factsA, factsB, links) ?? differenceOfContent(a, b, factsA)
    if (difference !== undefined) return `${a}: ${difference}`
    const deeper = factsA.isDirectory() ? differenceIn(a, b, links) : undefined
    if (deeper !== undefined) return deeper
  }
  return undefined
}

function firstOther(names: readonly string[], found: readonly string[]): string | undefined {
  const [expected, actual] = [new Set(names), new Set(found)]
  return names.find((name) => !actual.has(name)) ?? found.find((name) => !expected.has(name))
}

const namesIn = (folder: Buffer): string[] =>
  (readdirSync(folder, { encoding: 'buffer' }) as Buffer[]).map((name) => name.toString('latin1')).sort()

function differenceOfFacts(a: BigIntStats, b: BigIntStats, links: Map<bigint, bigint>): string | undefined {
  for (const field of ['mode', 'uid', 'gid', 'mtimeNs', 'rdev'] as const)
    if (a[field] !== b[field]) return `${field} ${b[field]} instead of ${a[field]}`
  if (!a.isDirectory() && a.size !== b.size) return `size ${b.size} instead of ${a.size}`
  if (a.isDirectory() || a.nlink === 1n) return undefined
  const known = links.get(a.ino)
  links.set(a.ino, b.ino)
  return known === undefined || known === b.ino ? undefined : 'no longer a hard link'
}

function differenceOfContent(a: Buffer, b: Buffer, facts: BigIntStats): string | undefined {
  if (facts.isSymbolicLink())
    return readlinkSync(a, { encoding: 'buffer' }).equals(readlinkSync(b, { encoding: 'buffer' }))
      ? undefined
      : 'other target'
  const [attributesA, attributesB] = [a, b].map((path) =>
    readAttributes(path)
      .map(({ name, value }) => `${name}=${Buffer.from(value).toString('hex')}`)
      .sort()
      .join(' '),
  )
  if (attributesA !== attributesB) return `attributes ${attributesB} instead of ${attributesA}`
  return facts.isFile() && facts.size > 0n ? differenceOfBytes(a, b) : undefined
}

function differenceOfBytes(a: Buffer, b: Buffer): string | undefined {
  const [fileA, fileB] = [openSync(a, 'r'), openSync(b, 'r')]
  try {
    for (let at = 0; ; ) {
      const count = readSync(fileA, bufferA)
      if (count !== readSync(fileB, bufferB) || bufferA.compare(bufferB, 0, count, 0, count) !== 0)
        return `other bytes after ${at}`
      if (count === 0) return undefined
      at += count
    }
  } finally {
    closeSync(fileA)
    closeSync(fileB)
  }
}
