import type { Fault } from '../proof/check-list.ts'
import { decoded } from './names.ts'
import type { Toc, TocEntry } from './toc.ts'

/** Of the dump, not of the database; or about it as a whole, which a sandbox makes by itself. */
const unrelated: ReadonlySet<string> = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH', 'DATABASE'])

/**
 * Compares what a dump consists of with what a restored database does: each object by its kind, its names and its definition, sequences with
 * their values.
 *
 * @param byText whether definitions are compared; another version of `pg_dump` may write the same otherwise
 */
export function definitionFaults(database: string, before: Toc, after: Toc, byText: boolean): readonly Fault[] {
  const found = new Map<string, TocEntry[]>()
  for (const entry of after.entries) {
    const same = found.get(keyOf(entry)) ?? []
    found.set(keyOf(entry), [...same, entry])
  }
  const faults: Fault[] = []
  for (const entry of before.entries) {
    if (unrelated.has(entry.kind)) continue
    const item = `${database}: ${nameOf(entry)}`
    const others = found.get(keyOf(entry)) ?? []
    // Several may have the same name: constraints of the same text, rights.
    const match = others.findIndex((other) => !byText || differences(entry, other).length === 0)
    if (match >= 0) others.splice(match, 1)
    else if (others.length === 0) faults.push({ item, what: 'it was dumped, and is not in the restored database' })
    else
      faults.push({ item, what: `after the restore it is another: ${differences(entry, others.shift()!).join(', ')}` })
  }
  for (const entry of [...found.values()].flat())
    if (!unrelated.has(entry.kind) && entry.kind !== 'SCHEMA')
      faults.push({ item: `${database}: ${nameOf(entry)}`, what: 'it is in the restored database, and was not dumped' })
  return faults
}

const keyOf = ({ kind, schema, tag }: TocEntry): string => [kind, schema ?? '', tag].join('\0')

const nameOf = ({ kind, schema, tag }: TocEntry): string =>
  `${kind} ${schema === undefined || schema === '' ? '' : `${decoded(schema)}.`}${decoded(tag)}`

function differences(one: TocEntry, other: TocEntry): readonly string[] {
  const parts: string[] = []
  if (plain(one.definition) !== plain(other.definition))
    parts.push(`its definition was ${decoded(one.definition ?? '').trim()}`)
  if (plain(one.copyStatement) !== plain(other.copyStatement)) parts.push('its columns')
  if (one.owner !== other.owner) parts.push(`its owner was ${decoded(one.owner ?? '')}`)
  return parts
}

/**
 * A definition without casts and brackets: where the server adds some itself, as in checks of varchar columns, it adds more when it reads its
 * own text again.
 */
const plain = (statement: string | undefined): string =>
  (statement ?? '')
    .replaceAll(/::(?:"(?:[^"]|"")*"|[\w. ]+?)(?:\([0-9, ]+\))?(?:\[\])*(?=[^\w. ]|\s|$)/g, '')
    .replaceAll(/[()\s]/g, '')
