import { systemClock } from '../../../src/lib/clock.ts'
import { postgresKind } from '../../../src/sources/postgres/index.ts'
import type { Source } from '../../../src/sources/source.ts'
import type { PostgresServer } from './postgres.ts'

/** A server as a configured source; `keys` as in holdfast.yaml. */
export function sourceOf(
  server: Pick<PostgresServer, 'url'>,
  keys: Readonly<Record<string, unknown>> = {},
  secret = '',
): Source {
  const settings = postgresKind.settings.parse({ url: server.url, ...keys })
  return postgresKind.open('shop', settings, { clock: systemClock, secret: async () => secret })
}
