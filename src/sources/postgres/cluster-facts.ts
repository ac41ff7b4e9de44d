import type { Row, SqlSession } from './connection.ts'
import type { ReplicationConnection } from './replication.ts'
import { connectionError } from './server-error.ts'

export const OLDEST_MAJOR = 13
export const NEWEST_MAJOR = 18

/** What SQL says of a cluster, as far as the role may know it. */
export interface ClusterFacts {
  readonly version: string
  readonly majorVersion: number
  readonly role: string
  readonly mayReplicate: boolean
  readonly isStandby: boolean
  /** Our address as the server sees it; undefined over a Unix socket. */
  readonly clientAddress: string | undefined
  readonly databases: readonly { readonly oid: number; readonly name: string; readonly sizeBytes: number | undefined }[]
  /** Names by oid, without the built-in ones. */
  readonly tablespaceNames: ReadonlyMap<number, string>
}

export async function readClusterFacts(session: SqlSession): Promise<ClusterFacts> {
  const [facts] = await session.rows(`
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
           current_user::text AS role, rolsuper, rolreplication, pg_is_in_recovery() AS standby,
           host(inet_client_addr()) AS address
      FROM pg_catalog.pg_roles WHERE rolname = current_user`)
  const databases = await session.rows(`
    SELECT oid::int8::text AS oid, datname AS name,
           CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'MEMBER')
                THEN pg_database_size(oid)::text END AS size
      FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datname`)
  const tablespaces = await session.rows(`
    SELECT oid::int8::text AS oid, spcname AS name
      FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')`)
  if (facts === undefined) throw connectionError(new Error('it does not know the role it let in'), session.place)
  return {
    version: text(facts, 'version'),
    majorVersion: majorOf(Number(facts.number)),
    role: text(facts, 'role'),
    mayReplicate: facts.rolreplication === true || facts.rolsuper === true,
    isStandby: facts.standby === true,
    clientAddress: typeof facts.address === 'string' ? facts.address : undefined,
    databases: databases.map((row) => ({
      oid: Number(row.oid),
      name: text(row, 'name'),
      sizeBytes: row.size === null ? undefined : Number(row.size),
    })),
    tablespaceNames: new Map(tablespaces.map((row) => [Number(row.oid), text(row, 'name')])),
  }
}

/** What a WAL sender says of its cluster: the same server the backup comes from, whatever SQL was routed to. */
export interface ClusterIdentity {
  readonly version: string
  readonly majorVersion: number
  readonly systemId: string
  readonly timeline: number
  readonly pageBytes: number
  readonly walSegmentBytes: number
  /** Of one file of a relation. */
  readonly segmentBytes: number
  readonly dataChecksums: boolean
  /** Whether it has the setting `allow_in_place_tablespaces`, and insists on it. */
  readonly knowsFolders: boolean
  /** Of the data directory: 0700 or 0750. */
  readonly directoryMode: number
  /** Whether it keeps summaries of its WAL, by which it knows what changed; undefined before PostgreSQL 17, which has none. */
  readonly summarizesWal: boolean | undefined
}

/** From here on a server can send what changed since an earlier backup. */
export const FIRST_WITH_INCREMENTS = 17

/** The setting came to older versions with these minor ones. */
const firstWithFolders: ReadonlyMap<number, number> = new Map([
  [13, 130_008],
  [14, 140_005],
])

export async function readClusterIdentity(connection: ReplicationConnection): Promise<ClusterIdentity> {
  const { systemId, timeline } = await connection.identify()
  const versionNumber = Number(await connection.show('server_version_num'))
  return {
    version: await connection.show('server_version'),
    majorVersion: majorOf(versionNumber),
    systemId,
    timeline,
    pageBytes: Number(await connection.show('block_size')),
    walSegmentBytes: bytesOf(await connection.show('wal_segment_size')),
    segmentBytes: bytesOf(await connection.show('segment_size')),
    dataChecksums: (await connection.show('data_checksums')) === 'on',
    knowsFolders: versionNumber >= (firstWithFolders.get(majorOf(versionNumber)) ?? 0),
    directoryMode: Number.parseInt(await connection.show('data_directory_mode'), 8),
    summarizesWal:
      majorOf(versionNumber) < FIRST_WITH_INCREMENTS ? undefined : (await connection.show('summarize_wal')) === 'on',
  }
}

/** What is known of all databases together; undefined when not a single one may be measured. */
export function knownSize({ databases }: ClusterFacts): number | undefined {
  const sizes = databases.map(({ sizeBytes }) => sizeBytes).filter((size) => size !== undefined)
  return sizes.length === 0 ? undefined : sizes.reduce((sum, size) => sum + size, 0)
}

const majorOf = (versionNumber: number): number => Math.floor(versionNumber / 10_000)

const text = (row: Row, column: string): string => String(row[column])

/** `16MB`, `1GB`: how SHOW writes a setting that is counted in bytes. */
function bytesOf(shown: string): number {
  const found = /^([0-9]+)(B|kB|MB|GB|TB)$/.exec(shown)
  return found === null ? Number.NaN : Number(found[1]) * 1024 ** ['B', 'kB', 'MB', 'GB', 'TB'].indexOf(found[2]!)
}
