import { type BigIntStats, closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { readAttributes } from '../../src/engine/posix/extended-attributes.ts'
import { equalBytes, utf8 } from '../../src/lib/bytes.ts'

const BUFFER_BYTES = 1024 * 1024

/**
 * The first difference between two folders, or undefined when they are equal: names, types, modes, owners, modification times, extended
 * attributes (access lists too), link targets, hard links among themselves, and every byte.
 */
export function findDifference(expected: string, actual: string): string | undefined {
  return differenceOfFolders(expected, actual, '', new Map())
}

function differenceOfFolders(
  expected: string,
  actual: string,
  folder: string,
  links: Map<bigint, bigint>,
): string | undefined {
  const names = readdirSync(join(expected, folder)).sort()
  const found = readdirSync(join(actual, folder)).sort()
  if (names.join('/') !== found.join('/')) return `${folder}/: other names`
  for (const name of names) {
    const path = join(folder, name)
    const [a, b] = [join(expected, path), join(actual, path)]
    const [factsA, factsB] = [lstatSync(a, { bigint: true }), lstatSync(b, { bigint: true })]
    const difference =
      differenceOfFacts(factsA, factsB, links) ??
      differenceOfAttributes(a, b) ??
      (factsA.isFile() ? differenceOfBytes(a, b) : undefined)
    if (difference !== undefined) return `${path}: ${difference}`
    if (factsA.isSymbolicLink() && readlinkSync(a) !== readlinkSync(b)) return `${path}: other target`
    if (factsA.isDirectory()) {
      const deeper = differenceOfFolders(expected, actual, path, links)
      if (deeper !== undefined) return deeper
    }
  }
  return undefined
}

function differenceOfFacts(a: BigIntStats, b: BigIntStats, links: Map<bigint, bigint>): string | undefined {
  if (a.mode !== b.mode) return `mode ${b.mode.toString(8)} instead of ${a.mode.toString(8)}`
  if (a.uid !== b.uid || a.gid !== b.gid) return `owner ${b.uid}:${b.gid} instead of ${a.uid}:${a.gid}`
  if (a.mtimeNs !== b.mtimeNs) return `modified ${b.mtimeNs} instead of ${a.mtimeNs}`
  if (!a.isDirectory() && a.nlink > 1n) {
    const known = links.get(a.ino)
    if (known !== undefined && known !== b.ino) return 'no longer a hard link'
    links.set(a.ino, b.ino)
  }
  return undefined
}

function differenceOfAttributes(a: string, b: string): string | undefined {
  const [expected, actual] = [a, b].map(
    (path) => new Map(readAttributes(utf8(path)).map(({ name, value }) => [name, value])),
  )
  const same =
    expected!.size === actual!.size &&
    [...expected!].every(
      ([name, value]) => equalBytes(actual!.get(name) ?? new Uint8Array(), value) && actual!.has(name),
    )
  return same ? undefined : `other extended attributes: ${[...actual!.keys()]} instead of ${[...expected!.keys()]}`
}

const bufferA = Buffer.alloc(BUFFER_BYTES)
const bufferB = Buffer.alloc(BUFFER_BYTES)

function differenceOfBytes(a: string, b: string): string | undefined {
  const [fileA, fileB] = [openSync(a, 'r'), openSync(b, 'r')]
  try {
    for (let at = 0; ; ) {
      const count = readSync(fileA, bufferA)
      if (count !== readSync(fileB, bufferB) || bufferA.compare(bufferB, 0, count, 0, count) !== 0) {
        return `other bytes between ${at} and ${at + BUFFER_BYTES}`
      }
      if (count === 0) return undefined
      at += count
    }
  } finally {
    closeSync(fileA)
    closeSync(fileB)
  }
}
