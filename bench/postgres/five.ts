import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { systemClock } from '../../src/lib/clock.ts'
import { describeMachine, type Machine } from '../compare/machine.ts'
import type { BenchCluster } from './cluster.ts'
import { holdfastTool, run, sizeOf } from './tools.ts'

/** States of a cluster one after the other, each by a statement from the one before. */
const states: readonly { readonly name: string; readonly change?: (rows: number) => string }[] = [
  { name: 'first' },
  {
    name: '50,000 rows appended',
    change: () => `INSERT INTO events (at, tenant, status, token, body)
      SELECT now(), (hashint8(g) & 1023), 'new', md5((g * 11)::text), jsonb_build_object('user', md5((g % 50000)::text), 'uuid', md5((g * 17)::text)::uuid)
        FROM generate_series(1, 50000) g`,
  },
  {
    name: '2,500 rows updated all over the table',
    change: (rows) => `UPDATE events SET status = 'changed', token = md5(token)
      WHERE id IN (SELECT 1 + floor(random() * ${rows})::bigint FROM generate_series(1, 2500))`,
  },
  {
    name: '40 % of the newest 50,000 rows updated',
    change: () =>
      `UPDATE events SET status = 'sent' WHERE id > (SELECT max(id) - 50000 FROM events) AND random() < 0.4`,
  },
  { name: 'VACUUM', change: () => 'VACUUM events' },
]

export interface FiveResult {
  readonly date: string
  readonly machine: Machine
  readonly versions: Readonly<Record<'holdfast' | 'restic', string>>
  readonly server: string
  readonly clusterBytes: number
  /** What each repository had grown to after each state. */
  readonly stored: readonly { readonly state: string; readonly holdfast: number; readonly restic: number }[]
}

/** What the bytes stored by Holdfast may be of restic's. */
const BAR = 0.55

/** Backs a cluster up in five states: with Holdfast from the server, with restic from its data directory while nobody writes. */
export async function storeFive(
  cluster: BenchCluster,
  options: { readonly restic: string; readonly rows: number; readonly say: (text: string) => void },
): Promise<FiveResult> {
  const { restic, rows, say } = options
  const tool = holdfastTool(cluster)
  await tool.begin()
  const repository = cluster.folder('restic')
  const environment = {
    RESTIC_REPOSITORY: repository,
    RESTIC_PASSWORD: 'bench',
    RESTIC_CACHE_DIR: cluster.folder('restic-cache'),
  }
  await run([restic, 'init'], cluster.work, environment)
  const stored: { state: string; holdfast: number; restic: number }[] = []
  for (const { name, change } of states) {
    if (change !== undefined) await cluster.sql(change(rows))
    await cluster.sql('CHECKPOINT')
    await tool.backUp(stored.length === 0 ? 'full' : 'incremental')
    await cluster.sql('CHECKPOINT')
    // The log is left to neither: Holdfast stores no more of it than a snapshot needs.
    const leftOut = ['pg_wal/*', 'postmaster.pid'].flatMap((path) => ['--exclude', join(cluster.dataDirectory, path)])
    await run([restic, 'backup', '--quiet', ...leftOut, cluster.dataDirectory], cluster.work, environment)
    stored.push({ state: name, holdfast: tool.storedBytes(), restic: sizeOf(join(repository, 'data')) })
    const { holdfast, restic: theirs } = stored.at(-1)!
    say(`${name}: Holdfast ${mib(holdfast)} MiB, restic ${mib(theirs)} MiB`)
  }
  return {
    date: new Date(Number(systemClock.now() / 1_000_000n)).toISOString(),
    machine: describeMachine('/var/tmp'),
    versions: { holdfast: tool.version, restic: spawnSync(restic, ['version'], { encoding: 'utf8' }).stdout.trim() },
    server: cluster.version,
    clusterBytes: cluster.bytes,
    stored,
  }
}

export function fiveToMarkdown({ date, machine, versions, server, clusterBytes, stored }: FiveResult): string {
  const grown = (at: number, key: 'holdfast' | 'restic'): number => stored[at]![key] - (stored[at - 1]?.[key] ?? 0)
  const rows = stored.map(
    ({ state, holdfast, restic }, at) =>
      `| ${state} | ${mib(grown(at, 'holdfast'))} | ${mib(grown(at, 'restic'))} | ${mib(holdfast)} | ${mib(restic)} | ${(holdfast / restic).toFixed(2)}${at === stored.length - 1 ? ` (<= ${BAR})` : ''} |`,
  )
  return `# PostgreSQL: what five snapshots take, with Holdfast and with restic

${date.slice(0, 10)}, ${machine.processors} x ${machine.processor}, Linux ${machine.kernel}. Bytes do not depend on the load of the machine.

PostgreSQL ${server}, a cluster of ${mib(clusterBytes)} MiB in five states, each made from the one before. holdfast: ${versions.holdfast}, over the replication protocol, a full backup and four incremental ones, with the log each snapshot needs; restic: ${versions.restic}, of the data directory at a checkpoint, while nobody wrote, without \`pg_wal\`. Both with their own defaults; files below \`data\` of the repositories.

| state | Holdfast stored, MiB | restic stored, MiB | Holdfast in all | restic in all | ratio |
|---|---|---|---|---|---|
${rows.join('\n')}
`
}

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
