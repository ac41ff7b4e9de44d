import { lateSource } from '../late-source.ts'
import type { SourceKind } from '../source.ts'
import { type RedisSettings, redisSettings } from './settings.ts'

/** Redis and Valkey servers, with all their databases, and clusters of them. */
export const redisKind: SourceKind<RedisSettings> = {
  type: 'redis',
  summary: 'Redis and Valkey servers',
  settings: redisSettings,
  open: (name, settings, services) =>
    lateSource({ name, type: 'redis', host: name, paths: [`/${name}`] }, async () => {
      const { RedisSource } = await import('./redis-source.ts')
      return new RedisSource(name, settings, services)
    }),
}
