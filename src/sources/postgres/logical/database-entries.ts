import { textToByteString } from '../../../engine/repository/tree/node.ts'
import type { CopySession } from './copy-session.ts'
import type { DatabaseRecord } from './manifest.ts'
import { literal, quoted } from './names.ts'
import { renameDatabase } from './sql-names.ts'
import type { Toc, TocEntry } from './toc.ts'

/** Encodings of which PostgreSQL knows no way to UTF-8. */
const withoutUnicode: ReadonlySet<string> = new Set(['SQL_ASCII', 'MULE_INTERNAL'])

/** In which encoding a database is dumped: names and rows in UTF-8 wherever that can be. For `pg_dump`. */
export const encodingArguments = ({ encoding }: Pick<DatabaseRecord, 'encoding'>): readonly string[] =>
  withoutUnicode.has(encoding) ? [] : ['--encoding=UTF8']

/** A tablespace of another server would be none here. */
const TABLESPACE = / TABLESPACE = (?:"(?:[^"]|"")*"|[\w$\x80-\xff]+)/

/** The only one before this version, which does not know the word; `pg_dump` of a newer one writes it all the same. */
const LOCALE_PROVIDER = / LOCALE_PROVIDER = libc/
const FIRST_WITH_PROVIDERS = 15

/** Makes a database with the encoding, locale and provider of the one that was dumped, on a server of a major version. As bytes. */
export function createStatement(
  name: string,
  record: Pick<DatabaseRecord, 'encoding' | 'collate' | 'ctype'>,
  toc: Toc | undefined,
  majorVersion: number,
): Buffer {
  const dumped = toc?.entries.find(({ kind }) => kind === 'DATABASE')?.definition?.replace(TABLESPACE, '')
  if (dumped !== undefined) {
    const known = majorVersion < FIRST_WITH_PROVIDERS ? dumped.replace(LOCALE_PROVIDER, '') : dumped
    return asBytes(renameDatabase(known, textToByteString(name)))
  }
  const { encoding, collate, ctype } = record
  return Buffer.from(
    `CREATE DATABASE ${quoted(name)} TEMPLATE template0 ENCODING ${literal(encoding)} LC_COLLATE ${literal(collate)} LC_CTYPE ${literal(ctype)}`,
  )
}

/** Whether an entry is about the database as a whole: `pg_restore` leaves it out where it does not make the database. */
const isAboutDatabase = ({ kind, tag }: TocEntry): boolean =>
  kind === 'DATABASE PROPERTIES' || (/^(ACL|COMMENT|SECURITY LABEL)$/.test(kind) && tag.startsWith('DATABASE '))

/**
 * Gives the database of a session the settings, the comment and, where owners are kept, the rights of the one that was dumped. From within:
 * what all databases share is read there as it was when it was dumped.
 */
export async function applyDatabaseEntries(session: CopySession, toc: Toc, keepOwners: boolean): Promise<void> {
  const entries = toc.entries.filter((entry) => isAboutDatabase(entry) && (entry.kind !== 'ACL' || keepOwners))
  if (entries.length === 0) return
  const { name } = await session.row('SELECT pg_catalog.current_database() AS name')
  for (const { definition } of entries)
    if (definition !== undefined) await session.rows(asBytes(renameDatabase(definition, textToByteString(name!))))
}

const asBytes = (statement: string): Buffer => Buffer.from(statement, 'latin1')
