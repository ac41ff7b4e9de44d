import { join } from 'node:path'
import { userName } from '../../../engine/posix/owner-names.ts'
import type { RestorePlan } from '../../../engine/restore/index.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { SourceRestorePlan } from '../../restore.ts'
import type { ClusterPlan } from './restore-plan.ts'
import { problemsOf } from './restore-problems.ts'
import { tablespaceText } from './tablespace-map.ts'

/** Within the data directory, where the server may write in any case. */
const SERVER_LOG = 'server.log'
/** Names of files told one by one; the rest is counted. */
const MAX_NAMED = 20

/** A plan as it is shown. */
export function describePlan(plan: ClusterPlan): SourceRestorePlan {
  const { target, snapshot, mapped, main } = plan
  const { version, systemId } = snapshot.manifest.server
  const plans = [main, ...mapped.map((space) => space.plan)]
  const files = plans.reduce((sum, { totals }) => sum + totals.files, 0)
  const bytes = plans.reduce((sum, { totals }) => sum + totals.bytes - totals.presentBytes, 0)
  const resumed = target.kind === 'interrupted' ? ', going on with a restore that was interrupted' : ''
  return {
    steps: [
      `write ${count(main.totals.files, 'file or folder', 'files and folders')}, ${formatSize(main.totals.bytes - main.totals.presentBytes)}, of PostgreSQL ${version} with system id ${systemId} to ${target.path}${resumed}`,
      ...mapped.map(
        ({ place, plan: { totals } }) =>
          `write tablespace ${tablespaceText(place.tablespace)}, ${formatSize(totals.bytes - totals.presentBytes)}, to ${place.path} and link to it`,
      ),
      'wait until everything is on the disk',
      'write global/pg_control, without which no server starts there',
    ],
    files,
    bytes,
    overwrites: plans.flatMap(overwritten),
    problems: problemsOf(plan),
    afterwards: afterwards(plan),
  }
}

function overwritten(plan: RestorePlan): string[] {
  const { entries } = plan
  let updated = 0
  for (let entry = 0; entry < entries.count; entry++) if (entries.action(entry) === 'update') updated++
  const deleted = plan.deletions.flatMap(({ paths }) => paths)
  const lines: string[] = []
  if (updated > 0) lines.push(`${count(updated, 'file', 'files')} in ${plan.target}, where they differ`)
  lines.push(...deleted.slice(0, MAX_NAMED).map((path) => `${path}, which is removed`))
  if (deleted.length > MAX_NAMED)
    lines.push(`${count(deleted.length - MAX_NAMED, 'more file', 'more files')} in ${plan.target}, which are removed`)
  return lines
}

function afterwards({
  target: { path },
  snapshot: { manifest, configuration },
  owner,
  programs,
}: ClusterPlan): string[] {
  const { majorVersion } = manifest.server
  const control = programs === undefined ? 'pg_ctl' : `${programs.folder}/pg_ctl`
  const isRoot = process.getuid?.() === 0 && owner !== undefined
  const user = isRoot ? userName(owner.uid) : ''
  const asWhom = isRoot && user === '' ? ' as the owner of the files' : ''
  const command = [
    ...(user === '' ? [] : ['runuser', '-u', user, '--']),
    ...[control, '-D', path, '-l', join(path, SERVER_LOG), 'start'],
  ]
  const lines = [
    `start it${asWhom} with PostgreSQL ${majorVersion}: ${command.map(shellWord).join(' ')}`,
    'it is ready when recovery has come to its end, which its log says; until then keep backup_label where it is',
  ]
  if (!configuration.has('postgresql.conf'))
    lines.unshift(
      `bring postgresql.conf, pg_hba.conf and pg_ident.conf: they lay outside of the data directory and are not in the snapshot; start with -o "-c config_file=FILE", or put them into ${path}`,
    )
  const text = [...configuration.values()].join('\n')
  if (/^\s*archive_mode\s*=?\s*'?(on|always|true|yes|1)\b/im.test(text))
    lines.push(
      'set archive_mode = off before the first start unless it takes the place of the old server: its configuration would archive WAL to where that one does',
    )
  else
    lines.push(
      'look at archive_command, primary_conninfo, port and extensions that run jobs before the first start: it has the configuration of the server it comes from',
    )
  lines.push(
    'on another system, look for indexes whose sort order is another one there: SELECT datname FROM pg_database WHERE datcollversion <> pg_database_collation_actual_version(oid)',
  )
  return lines
}

/** A number in groups of three. Not by `toLocaleString`: the first call of a process loads tables of languages for 40 ms. */
const grouped = (n: number): string => String(n).replace(/\B(?=(?:\d{3})+$)/g, ',')

const count = (n: number, one: string, many: string): string => `${grouped(n)} ${n === 1 ? one : many}`

/** A word for a shell, in quotes only where it needs them. */
const shellWord = (word: string): string =>
  /^[\w./:@%+,=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
