import type { SourceKind } from './source.ts'

// Sources of all settings stand in one table; each gets what its own schema made.
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnySourceKind = SourceKind<any>

/** All sorts of sources, by type. Their code is loaded together, when a command works on what is configured. */
const kinds: readonly (() => Promise<AnySourceKind>)[] = [
  async () => (await import('./files/index.ts')).filesKind,
  async () => (await import('./config-files/index.ts')).configKind,
  async () => (await import('./logs/index.ts')).logsKind,
  async () => (await import('./postgres/index.ts')).postgresKind,
  async () => (await import('./redis/index.ts')).redisKind,
  async () => (await import('./mongodb/index.ts')).mongoKind,
]

/** @returns the sorts of sources by type, as in `type: postgres` */
export async function loadSourceKinds(): Promise<ReadonlyMap<string, AnySourceKind>> {
  const loaded = await Promise.all(kinds.map((load) => load()))
  return new Map(loaded.map((kind) => [kind.type, kind]))
}
