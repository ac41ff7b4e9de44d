import { lateSource } from '../late-source.ts'
import type { Source, SourceKind, SourceServices } from '../source.ts'
import { type PostgresSettings, postgresSettings } from './settings.ts'

/** PostgreSQL clusters, 13 to 18. */
export const postgresKind: SourceKind<PostgresSettings> = {
  type: 'postgres',
  summary: 'PostgreSQL clusters, whole over the replication protocol, or databases as pg_dump has them',
  settings: postgresSettings,
  open: (name, settings, services) =>
    lateSource({ name, type: 'postgres', host: name, paths: [`/${name}`], canCheck: true }, () =>
      load(name, settings, services),
    ),
}

async function load(name: string, configured: PostgresSettings, services: SourceServices): Promise<Source> {
  const { withService } = await import('./login.ts')
  const settings = withService(configured)
  if (settings.logical === undefined) {
    const { ClusterSource } = await import('./cluster-source.ts')
    return new ClusterSource(name, settings, services)
  }
  const { LogicalSource } = await import('./logical/source.ts')
  return new LogicalSource(name, settings, settings.logical, services)
}
