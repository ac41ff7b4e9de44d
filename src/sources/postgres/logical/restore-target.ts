import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { type Endpoint, urlEndpoint } from '../endpoint.ts'
import { userPassword } from '../password-file.ts'
import { CopySession } from './copy-session.ts'

/** A server that is restored to. */
export interface TargetServer {
  /** Its database is the one to ask about others. */
  readonly endpoint: Endpoint
  readonly password: string | undefined
  /** The one the URL names, if it names one. */
  readonly namedDatabase: string | undefined
}

export interface TargetFacts {
  readonly version: string
  readonly majorVersion: number
  readonly role: string
  readonly isSuperuser: boolean
  readonly mayCreateDatabases: boolean
  readonly roles: ReadonlySet<string>
  readonly databases: ReadonlySet<string>
  /** Versions that can be installed, by extension. */
  readonly extensions: ReadonlyMap<string, ReadonlySet<string>>
}

/** What a database to be restored to has already. */
export interface TargetDatabase {
  readonly encoding: string
  /** Schemas with how many objects each has. Those of the system and what belongs to extensions do not count. */
  readonly schemas: ReadonlyMap<string, number>
  /** Types, functions, collations and sequences by their names with the schema in JSON: `["public","mood"]`. */
  readonly objects: ReadonlySet<string>
  /** Those that are installed. */
  readonly extensions: ReadonlySet<string>
}

/** As `TargetDatabase` has names of objects. */
export const objectKey = (schema: string, name: string): string => JSON.stringify([schema, name])

const MAINTENANCE_DATABASE = 'postgres'

/**
 * Reads a URL. The configured password serves only the server and the role it was configured for; for others libpq's own ways do: PGPASSWORD
 * and the password file.
 *
 * @throws HoldfastError HF_USAGE
 */
export function targetServer(
  url: string,
  source: { readonly endpoint: Endpoint; readonly password: string | undefined },
): TargetServer {
  const { endpoint: given, problem } = urlEndpoint(url)
  if (given === undefined || given.host === undefined)
    throw new HoldfastError('HF_USAGE', `the target ${problem ?? 'must name a host'}`, {
      hint: 'write it like postgres://user@host:5432/database; a password goes into PGPASSWORD or ~/.pgpass',
    })
  const endpoint: Endpoint = {
    port: 5432,
    user: 'postgres',
    sslmode: 'prefer',
    ...given,
    host: given.host,
    database: MAINTENANCE_DATABASE,
  }
  const { host, port, user } = source.endpoint
  const isSource = endpoint.host === host && endpoint.port === port && endpoint.user === user
  return {
    endpoint,
    password: isSource
      ? source.password
      : userPassword({ ...endpoint, database: given.database ?? MAINTENANCE_DATABASE }),
    namedDatabase: given.database,
  }
}

/** A session for questions: in the database that every server has, else in the one that was named. */
export async function openTarget(target: TargetServer, signal?: AbortSignal): Promise<CopySession> {
  try {
    return await CopySession.open(target.endpoint, target.password, { signal })
  } catch (error) {
    if (!isHoldfastError(error) || target.namedDatabase === undefined) throw error
    return await CopySession.open({ ...target.endpoint, database: target.namedDatabase }, target.password, { signal })
  }
}

export async function readTarget(session: CopySession): Promise<TargetFacts> {
  const row = await session.row(`
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
           rolname AS role, rolsuper AS super, rolcreatedb OR rolsuper AS creates
      FROM pg_catalog.pg_roles WHERE rolname = current_user`)
  const roles = await session.rows('SELECT rolname AS name FROM pg_catalog.pg_roles')
  const databases = await session.rows('SELECT datname AS name FROM pg_catalog.pg_database')
  const extensions = await session.rows('SELECT name, version FROM pg_catalog.pg_available_extension_versions')
  const versions = new Map<string, Set<string>>()
  for (const { name, version } of extensions) {
    const known = versions.get(name!) ?? new Set()
    versions.set(name!, known.add(version!))
  }
  return {
    version: row.version!,
    majorVersion: Number(row.major),
    role: row.role!,
    isSuperuser: row.super === 't',
    mayCreateDatabases: row.creates === 't',
    roles: new Set(roles.map(({ name }) => name!)),
    databases: new Set(databases.map(({ name }) => name!)),
    extensions: versions,
  }
}

/** What is in a database. */
export async function readTargetDatabase(session: CopySession): Promise<TargetDatabase> {
  const row = await session.row(
    'SELECT pg_encoding_to_char(encoding) AS encoding FROM pg_catalog.pg_database WHERE datname = current_database()',
  )
  const schemas = await session.rows(`
    SELECT n.nspname AS name,
           (SELECT count(*) FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relkind <> 'i' AND NOT EXISTS (
              SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'))
         + (SELECT count(*) FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid AND NOT EXISTS (
              SELECT FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'))
         + (SELECT count(*) FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid AND t.typtype IN ('e', 'd') AND NOT EXISTS (
              SELECT FROM pg_catalog.pg_depend d WHERE d.objid = t.oid AND d.classid = 'pg_type'::regclass AND d.deptype = 'e'))
           AS objects
      FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`)
  const objects = await session.rows(`
    SELECT n.nspname AS schema, o.name FROM pg_catalog.pg_namespace n JOIN (
        SELECT typnamespace AS namespace, typname AS name FROM pg_catalog.pg_type
        UNION ALL SELECT pronamespace, proname FROM pg_catalog.pg_proc
        UNION ALL SELECT collnamespace, collname FROM pg_catalog.pg_collation
        UNION ALL SELECT relnamespace, relname FROM pg_catalog.pg_class WHERE relkind = 'S') o ON o.namespace = n.oid
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`)
  const extensions = await session.rows('SELECT extname AS name FROM pg_catalog.pg_extension')
  return {
    encoding: row.encoding!,
    schemas: new Map(schemas.map((one) => [one.name!, Number(one.objects)])),
    objects: new Set(objects.map(({ schema, name }) => objectKey(schema!, name!))),
    extensions: new Set(extensions.map(({ name }) => name!)),
  }
}
