import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findEmbeddedPackage, unpackEmbedded } from '../../../src/sources/postgres/embedded-programs.ts'
import { findServerPrograms } from '../../../src/sources/postgres/server-programs.ts'

/** Major versions that tests can start. */
export type PostgresVersion = 15 | 18

const DEBIAN_15 = '/usr/lib/postgresql/15/bin'

/** Whether this machine has the server of a version. */
export const hasPostgres = (version: PostgresVersion): boolean =>
  version === 15 ? existsSync(join(DEBIAN_15, 'postgres')) : findEmbeddedPackage()?.version.startsWith('18.') === true

/** A folder with the server of a version and with the programs that dump and restore, as packages of systems have it. */
export function completePrograms(version: PostgresVersion): string | undefined {
  const folder = findServerPrograms(version)?.folder
  const needed = ['initdb', 'psql', 'pg_dump', 'pg_dumpall', 'pg_restore']
  return folder !== undefined && needed.every((name) => existsSync(join(folder, name))) ? folder : undefined
}

/** The folder with `postgres` and `initdb` of a version, readable for every user. */
export function postgresPrograms(version: PostgresVersion): string {
  if (version === 15) return DEBIAN_15
  const found = findEmbeddedPackage()
  if (found === undefined) throw new Error('PostgreSQL 18 of npm is not installed')
  return unpackEmbedded(found)
}
