import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import type { Clock } from '../../lib/clock.ts'
import { formatTime, utcTimestamp } from '../../lib/go-time.ts'
import { shortId } from '../../lib/id.ts'
import type { RestoreTarget } from '../../sources/restore.ts'
import type { Environment } from '../environment.ts'

/** Where sandboxes that people look into are made: on a disk, not among temporary files. */
function sandboxRoot(environment: Environment): string {
  if (environment.HOLDFAST_SANDBOX_DIR) return environment.HOLDFAST_SANDBOX_DIR
  if (process.getuid?.() === 0) return '/var/lib/holdfast/sandboxes'
  return join(environment.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'holdfast', 'sandboxes')
}

/** Makes the folder for sandboxes: who does not own it may pass it, so that servers of other users start below it, and not look around. */
export function makeSandboxRoot(environment: Environment): void {
  const root = sandboxRoot(environment)
  mkdirSync(dirname(root), { recursive: true })
  mkdirSync(root, { recursive: true, mode: 0o711 })
}

/** Where the restore of one source goes; several share a folder. */
export function targetOf(
  to: RestoreTarget | 'sandbox',
  {
    source,
    isOneOfSeveral,
    snapshot,
  }: { readonly source: string; readonly isOneOfSeveral: boolean; readonly snapshot: StoredSnapshot },
  { environment, clock }: { readonly environment: Environment; readonly clock: Clock },
): RestoreTarget {
  if (to === 'sandbox') {
    const time = formatTime(utcTimestamp(clock.now())).slice(0, 19).replaceAll(/[-:]/g, '')
    return { kind: 'directory', path: join(sandboxRoot(environment), `${source}-${shortId(snapshot.id)}-${time}`) }
  }
  if (to.kind === 'server') return to
  return { kind: 'directory', path: isOneOfSeveral ? resolve(to.path, source) : resolve(to.path) }
}
